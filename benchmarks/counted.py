"""Operations and bytes of an epoch, counted on the network's shape. No torch."""

from dataclasses import dataclass

from netstab.params import PARTS
from netstab.study.cost import forward_flop, training_flop
from netstab.study.schedule import Phase

STRIDES = (1, 2, 2, 2)
BYTES = {"fp32": 4, "bf16": 2}
"""Of a value between two layers; weights and momentum are fp32 under either precision."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a network is and sees.

    Attributes:
        width: channels of the first layer.
        image_size: height and width of an image.
        channels: of an image.
        classes: of the data.
    """

    width: int
    image_size: int
    channels: int
    classes: int

    @property
    def forward(self) -> dict[str, float]:
        """Operations of a forward pass of one image, by part."""
        return forward_flop(self.width, self.image_size, self.channels, self.classes)


@dataclass(frozen=True, slots=True)
class Amount:
    """How much of it an epoch is.

    Attributes:
        training: images trained on.
        validation: images evaluated on.
        batch_size: images a step.
    """

    training: int
    validation: int
    batch_size: int

    @property
    def steps(self) -> int:
        """Steps of an epoch; an incomplete batch is dropped."""
        return self.training // self.batch_size

    @property
    def trained(self) -> int:
        """Images that the steps take."""
        return self.steps * self.batch_size


def epoch_flop(phase: Phase, shape: Shape, amount: Amount) -> float:
    """Operations of an epoch: training steps, and a forward pass of each validation image."""
    training = amount.trained * training_flop(phase, shape.forward)
    return training + amount.validation * sum(shape.forward.values())


def outputs(shape: Shape) -> dict[str, int]:
    """Values that the convolutions of a part give for one image."""
    size, inputs = shape.image_size, shape.width
    values = {"stem": shape.width * size**2}
    for layer, stride in enumerate(STRIDES):
        channels = shape.width * 2**layer
        size = -(-size // stride)
        convolutions = 4 + (stride != 1 or inputs != channels)
        values[f"layer{layer + 1}"] = convolutions * channels * size**2
        inputs = channels
    return values | {"head": shape.classes}


def weights(shape: Shape) -> dict[str, int]:
    """Parameters of each part: convolutions, two a channel of batch norm, the linear head."""
    inputs = shape.width
    counts = {"stem": (9 * shape.channels + 2) * shape.width}
    for layer, stride in enumerate(STRIDES):
        channels = shape.width * 2**layer
        count = (9 * inputs + 3 * 9 * channels + 4 * 2) * channels
        if stride != 1 or inputs != channels:
            count += (inputs + 2) * channels
        counts[f"layer{layer + 1}"] = count
        inputs = channels
    return counts | {"head": (inputs + 1) * shape.classes}


def epoch_bytes(phase: Phase, shape: Shape, amount: Amount, precision: str) -> float:
    """The fewest bytes that an epoch has to move, if no tensor stays in a cache.

    Every output of a convolution is written and read: batch norm needs the whole batch before
    the first value goes on. Backward, from the lowest trained part up, its gradient is written
    and read, and it is read again. A step reads every weight; of trained parts it reads the
    momentum and writes both. Images are uint8. All else is taken to be fused, hence the fewest.
    """
    values, counts = outputs(shape), weights(shape)
    lowest = min((PARTS.index(part) for part in phase.trained), default=len(PARTS))
    forward = 2 * sum(values.values())
    backward = 3 * sum(values[part] for part in PARTS[lowest:])
    pixels = shape.channels * shape.image_size**2
    each = BYTES[precision]
    step = BYTES["fp32"] * sum(count * _passes(part, phase) for part, count in counts.items())
    return (
        amount.trained * (each * (forward + backward) + pixels)
        + amount.steps * step
        + amount.validation * (each * forward + pixels)
    )


def _passes(part: str, phase: Phase) -> int:
    """How often a step goes over a weight of the part: read; momentum read, both written."""
    return 4 if part in phase.trained else 1
