"""What training costs: operations counted from the network's shape, never guessed."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from netstab.params import PARTS, Params
from netstab.study.plan import Work
from netstab.study.schedule import Phase

_STRIDES = (1, 2, 2, 2)
# Of a part's operations, those of the convolutions that its input goes into, whose gradients
# nobody needs below the lowest trained part: 9 of 4 * 9, where a layer has as many channels as come
# in; (9 + 1) / 2 of 9 / 2 + 3 * 9 + 1 / 2 where it has twice as many.
_ENTERING = {"layer1": 1 / 4, "layer2": 5 / 32, "layer3": 5 / 32, "layer4": 5 / 32}


def forward_flop(width: int, image_size: int, channels: int, classes: int) -> dict[str, float]:
    """Floating-point operations of a forward pass of one image, by part.

    Two for each multiply-add of convolutions and the linear head; batch norm and activations
    are left out (under 2 % of the operations at width 64).
    """
    size = image_size
    flop = {"stem": 2.0 * 9 * channels * width * size**2}
    inputs = width
    for layer, stride in enumerate(_STRIDES):
        outputs = width * 2**layer
        size = -(-size // stride)
        convolutions = 9 * inputs * outputs + 3 * 9 * outputs**2
        shortcut = inputs * outputs if stride != 1 or inputs != outputs else 0
        flop[f"layer{layer + 1}"] = 2.0 * (convolutions + shortcut) * size**2
        inputs = outputs
    flop["head"] = 2.0 * inputs * classes
    return flop


def state_bytes(width: int, channels: int, classes: int) -> float:
    """Bytes of a state: weights and momentum in fp32 (batch norm is under 1 % and left out)."""
    weights, inputs = 9 * channels * width, width
    for layer, stride in enumerate(_STRIDES):
        outputs = width * 2**layer
        weights += 9 * inputs * outputs + 3 * 9 * outputs**2
        weights += inputs * outputs if stride != 1 or inputs != outputs else 0
        inputs = outputs
    return 4.0 * 2 * (weights + (inputs + 1) * classes)


def training_flop(phase: Phase, forward: dict[str, float]) -> float:
    """Operations of a training step for one image in a phase.

    A forward pass; backward, a gradient of the weights for each trained part, and a gradient of
    the input for every part above the lowest trained one, each as costly as forward; and within
    the lowest, for all but the convolutions that its own input goes into.
    """
    trained = [PARTS.index(part) for part in phase.trained]
    total = sum(forward.values())
    for index, part in enumerate(PARTS):
        if index in trained:
            total += forward[part]
        if trained and index > trained[0]:
            total += forward[part]
    if trained:
        lowest = PARTS[trained[0]]
        total += forward[lowest] * (1 - _ENTERING.get(lowest, 1.0))
    return total


LOOKS = 3
"""Passes of the probe batch for a measurement of stability: before, after a step, at the end."""
PRODUCTS = 3
"""Hessian-vector products that an eigenvalue takes, typically."""


def stability_flop(images: int, forward: dict[str, float]) -> float:
    """Operations of a measurement of stability: forward, and back to the signals alone."""
    return LOOKS * images * 2 * sum(forward.values())


def sharpness_flop(images: int, trace_samples: int, forward: dict[str, float]) -> float:
    """Operations of a measurement of sharpness, roughly: a block alone takes less.

    A gradient is three forward passes, and so is one of each image by itself; a product goes back
    through both directions, six more. Eigenvalues are searched for twice, plain and adaptive.
    """
    return images * (4 + 3 * (1 + trace_samples) + 6 * 2 * PRODUCTS) * sum(forward.values())


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
        width, size = self.params.model.width, self.params.data.image_size
        return forward_flop(width, size, self.channels, self.classes)

    def flop(self, work: Iterable[Work]) -> float:
        """Floating-point operations of some work."""
        return sum(w.epochs * self.images * training_flop(w.phase, self.forward) for w in work)

    def measuring_flop(self, stabilities: int, sharpnesses: int) -> tuple[float, float]:
        """Operations of so many measurements of stability, and of sharpness."""
        settings = self.params.measure
        drift = stability_flop(settings.stability.images, self.forward)
        samples = settings.sharpness.trace_samples
        curvature = sharpness_flop(settings.sharpness.images, samples, self.forward)
        return stabilities * drift, sharpnesses * curvature
