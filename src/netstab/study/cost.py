"""What training costs: operations counted from the network's shape, never guessed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from netstab.params import Model, Params
from netstab.study.plan import Work
from netstab.study.schedule import Phase


@dataclass(frozen=True, slots=True)
class Layer:
    """What a forward pass of one image multiplies in one layer.

    Attributes:
        part: of the network.
        weights: number of them, biases and norms left out.
        positions: that each weight is used at.
        products: multiplications of activations with each other.
    """

    part: str
    weights: int
    positions: int
    products: int = 0


# Of a part's operations, those of the convolutions that its input goes into, whose gradients
# nobody needs below the lowest trained part: 9 of 4 * 9, where a layer has as many channels as come
# in; (9 + 1) / 2 of 9 / 2 + 3 * 9 + 1 / 2 where it has twice as many.
_ENTERING = {"layer1": 1 / 4, "layer2": 5 / 32, "layer3": 5 / 32, "layer4": 5 / 32}


def layers(model: Model, image_size: int, channels: int, classes: int) -> Iterator[Layer]:
    """The layers of a network of netstab's own, from input to output."""
    width = model.width or 0
    if model.name == "vit":
        yield from _transformer(width, image_size, channels, classes)
    elif model.name == "wide_resnet":
        yield from _convolutions(16, width, (2, 2, 2), image_size, channels, classes)
    else:
        depths = (3, 4, 6, 3) if model.name == "resnet34" else (2, 2, 2, 2)
        plain = model.name == "plain"
        yield from _convolutions(width, width, depths, image_size, channels, classes, plain=plain)


def _convolutions(
    inputs: int,
    width: int,
    depths: tuple[int, ...],
    size: int,
    channels: int,
    classes: int,
    *,
    plain: bool = False,
) -> Iterator[Layer]:
    yield Layer("stem", 9 * channels * inputs, size**2)
    for index, depth in enumerate(depths):
        outputs = width * 2**index
        size = size if index == 0 else -(-size // 2)
        weights = 9 * inputs * outputs + (2 * depth - 1) * 9 * outputs**2
        changes = index > 0 or inputs != outputs
        weights += inputs * outputs if changes and not plain else 0
        yield Layer(f"layer{index + 1}", weights, size**2)
        inputs = outputs
    yield Layer("head", inputs * classes, 1)


def _transformer(width: int, size: int, channels: int, classes: int) -> Iterator[Layer]:
    patches = (size // 4) ** 2
    tokens = 1 + patches
    yield Layer("stem", 16 * channels * width, patches)
    for index, depth in enumerate((2, 2, 2, 1)):
        # Queries, keys, values, output, and a perceptron twice as wide; then their products.
        products = depth * 2 * tokens**2 * width
        yield Layer(f"layer{index + 1}", depth * 8 * width**2, tokens, products)
    yield Layer("head", width * classes, 1)


UNKNOWN_FLOP = 1e6
"""What each part of a network of one's own counts for: its operations are not known before it is
built, so times of other phases are in proportion to those that were measured."""


def forward_flop(
    model: Model, image_size: int, channels: int, classes: int, parts: Sequence[str] = ()
) -> dict[str, float]:
    """Floating-point operations of a forward pass of one image, by part.

    Two for each multiply-add; norms, biases and activations are left out (under 2 % of the
    operations of a ResNet of width 64). `parts` are those of a network of one's own.
    """
    if model.is_own:
        return dict.fromkeys(parts, UNKNOWN_FLOP)
    return {
        layer.part: 2.0 * (layer.weights * layer.positions + layer.products)
        for layer in layers(model, image_size, channels, classes)
    }


def state_bytes(model: Model, image_size: int, channels: int, classes: int) -> float:
    """Bytes of a state: weights and momentum in fp32 (norms are under 1 % and left out).

    0 for a network of one's own.
    """
    if model.is_own:
        return 0.0
    found = layers(model, image_size, channels, classes)
    return 4.0 * 2 * sum(layer.weights for layer in found)


def training_flop(phase: Phase, forward: Mapping[str, float]) -> float:
    """Operations of a training step for one image in a phase.

    A forward pass; backward, a gradient of the weights for each trained part, and a gradient of
    the input for every part above the lowest trained one, each as costly as forward; and within
    the lowest, for all but the convolutions that its own input goes into.
    """
    trained = [phase.parts.index(part) for part in phase.trained]
    total = sum(forward.values())
    for index, part in enumerate(phase.parts):
        if index in trained:
            total += forward[part]
        if trained and index > trained[0]:
            total += forward[part]
    if trained:
        lowest = phase.parts[trained[0]]
        total += forward[lowest] * (1 - _ENTERING.get(lowest, 1.0))
    return total


LOOKS = 3
"""Weights that a measurement over an epoch looks at: before, after a step, at the end."""
PRODUCTS = 3
"""Hessian-vector products that an eigenvalue takes, typically."""


# Orders of magnitude for a first estimate, before anything was measured: operations a second of
# one core of a current processor and of a current data-centre GPU, and the seconds that a step
# takes however small its work. Estimates made with them are called rough.
ROUGH_FLOP_PER_CORE = 4e10
ROUGH_FLOP_GPU = 1.5e14
ROUGH_STEP_S_CPU = 0.012
ROUGH_STEP_S_GPU = 0.006


def rough_epoch_seconds(
    flop: float, images: int, batch_size: int, *, gpu: bool, threads: int
) -> float:
    """Seconds of an epoch, to an order of magnitude, for operations an image in training."""
    steps = images // batch_size
    if gpu:
        return steps * ROUGH_STEP_S_GPU + images * flop / ROUGH_FLOP_GPU
    return steps * ROUGH_STEP_S_CPU + images * flop / (ROUGH_FLOP_PER_CORE * threads)


@dataclass(frozen=True)
class Costs:
    """Operations of training and measuring under given parameters.

    Args:
        params: the parameters.
        images: number of training images.
        channels: of an image.
        classes: number of classes.
    """

    params: Params
    images: int
    channels: int
    classes: int

    @cached_property
    def forward(self) -> dict[str, float]:
        """Operations of a forward pass of one image, by part."""
        shape = self.params.data.image_size, self.channels, self.classes
        return forward_flop(self.params.model, *shape, self.params.parts)

    def flop(self, work: Iterable[Work]) -> float:
        """Floating-point operations of some work."""
        return sum(w.epochs * self.images * training_flop(w.phase, self.forward) for w in work)

    @cached_property
    def measuring(self) -> dict[str, float]:
        """Operations of one measurement of each measure, roughly, by name."""
        settings = self.params.measure
        curvature, lines = settings.sharpness, settings.barriers
        passes = {
            # Forward, and back to the signals alone.
            "stability": LOOKS * settings.stability.images * 2,
            # A gradient is three forward passes; that those of single images stay apart takes
            # memory and time, not operations.
            "field": LOOKS * settings.field.images * 3,
            # Of the network; a block alone takes less. A product goes back through both directions
            # of a gradient, six more. Eigenvalues are searched for twice, plain and adaptive.
            "sharpness": curvature.images
            * (4 + 3 * (1 + curvature.trace_samples) + 6 * 2 * PRODUCTS),
            # Forward at every point of the line.
            "barriers": lines.points * (lines.images or 0),
        }
        forward = sum(self.forward.values())
        return {measure: count * forward for measure, count in passes.items()}
