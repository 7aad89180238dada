"""Field stability: how gradients of single images shift when weights move, block by block.

The field is the gradient of the loss at a point of weight space, as it is drawn with the images. It
is stable if gradients met after a step come from nearly the distribution met before it. Measured on
N images with batch norm in eval mode, in full single precision; all of them at both weights, so
that the choice of images adds the same to both.

The shift of the expected gradient has no bias of few images: the squared length of a mean of N
differences is larger than that of their expectation, by their scatter over N. What is taken instead
is the mean product of the differences of two images, over all pairs. It can come out negative,
where the shift is less than the images can tell.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional

from netstab.measure.precision import full_precision
from netstab.measure.views import State
from netstab.study.measuring import NETWORK

PIECE = {"cpu": 2**23}
"""Numbers that gradients of single images take at once, for each set of weights, by device."""
ELSEWHERE = 2**27

Loss = Callable[[Tensor, Tensor], Tensor]
"""Of outputs [n, ...] and labels [n], their mean."""

Gradients = tuple[dict[str, Tensor], Tensor]
"""Gradient of each parameter, [n, ...], and losses [n], of n images."""


class UntakenError(Exception):
    """torch.func cannot take gradients of single images of a network; the message says why."""


@dataclass(frozen=True, slots=True)
class Shift:
    """How far gradients shift between two states of a network; None where that is not defined.

    Attributes:
        loss_change: mean |l' - l| over the mean of l, of the images' losses.
        gradient_cosine: of the angle between an image's two gradients, mean over the images that
            have two.
        shift_squared: ‖E g' - E g‖² / (s² / B): in units of the noise of a batch of B, without the
            bias of few images; negative where it is less than they can tell.
        noise: s, the standard deviation of gradients at the first weights: s² is the trace of
            their covariance.
    """

    loss_change: float | None
    gradient_cosine: float | None
    shift_squared: float | None
    noise: float | None


NOTHING = Shift(None, None, None, None)
"""Where nothing can be measured."""


def compare(
    model: nn.Module,
    blocks: Mapping[str, Sequence[str]],
    x: Tensor,
    y: Tensor,
    before: State,
    after: Mapping[str, State],
    batch_size: int,
    loss: Loss = functional.cross_entropy,
) -> dict[str, dict[str, Shift]]:
    """Compare the gradients of images at one set of weights with those at others.

    Args:
        model: says what is computed; it is put into eval mode, its own weights are not used.
        blocks: names of each block's parameters.
        x: images [N, C, H, W], at least two.
        y: labels, int64 [N].
        before: the first weights.
        after: the others, by a name.
        batch_size: B.
        loss: that gradients are of.

    Returns:
        By name, and by block, and `network` for all weights.

    Raises:
        UntakenError: torch.func cannot take the network.
    """
    size = sum(before[name].numel() for names in blocks.values() for name in names)
    count = max(1, PIECE.get(x.device.type, ELSEWHERE) // max(1, size))
    taken = _per_image(model, loss)
    tallies = {name: _Tally(blocks) for name in after}
    with full_precision():
        for images, labels in zip(*(torch.split(part, count) for part in (x, y)), strict=True):
            old = taken(before, images, labels)
            for name, weights in after.items():
                tallies[name].add(old, taken(weights, images, labels))
    return {name: tally.shifts(batch_size) for name, tally in tallies.items()}


def _per_image(model: nn.Module, loss: Loss) -> Callable[[State, Tensor, Tensor], Gradients]:
    model.eval()
    parameters = {name for name, _ in model.named_parameters()}
    others = {name for name, _ in model.named_buffers()}

    def of_one(weights: State, buffers: State, x: Tensor, y: Tensor) -> Tensor:
        return loss(functional_call(model, (dict(weights), dict(buffers)), (x[None],)), y[None])

    # Not torch.func's grad, which imports torch's compiler: a second and 150 MB of each process.
    # The weights are there once an image instead, without a copy, and each has a gradient.
    each = vmap(of_one, in_dims=(0, None, 0, 0))

    def taken(state: State, x: Tensor, y: Tensor) -> Gradients:
        weights = {
            name: tensor.detach().expand(len(x), *tensor.shape).requires_grad_()
            for name, tensor in state.items()
            if name in parameters
        }
        buffers = {name: tensor for name, tensor in state.items() if name in others}
        try:
            losses = each(weights, buffers, x, y)
            gradients = torch.autograd.grad(losses.sum(), list(weights.values()))
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, NotImplementedError) as error:
            raise UntakenError(str(error)) from error
        return dict(zip(weights, gradients, strict=True)), losses.detach()

    return taken


class _Sums(NamedTuple):
    """Sums over some parameters.

    Attributes:
        squares: ‖g‖², ‖g'‖² and ‖g' - g‖² of each image, float64 [3, N].
        lengths: ‖Σ g‖² and ‖Σ (g' - g)‖² of the sums over images, float64 [2].
    """

    squares: Tensor
    lengths: Tensor


class _Tally:
    """Gradients of images at the first weights (g) and at others (g'), a piece at a time."""

    def __init__(self, blocks: Mapping[str, Sequence[str]]) -> None:
        self._blocks = blocks
        self._squares: dict[str, list[Tensor]] = {name: [] for name in blocks}
        self._sums: dict[str, Tensor] = {}
        self._losses: list[Tensor] = []

    def add(self, old: Gradients, new: Gradients) -> None:
        """Take in a piece: gradients and losses of its images at both weights."""
        for block, names in self._blocks.items():
            found = []
            for name in names:
                g, other = old[0][name].flatten(1), new[0][name].flatten(1)
                apart = other - g
                found.append(torch.stack([t.square().sum(1).double() for t in (g, other, apart)]))
                piece = torch.stack([g.sum(0), apart.sum(0)])
                self._sums[name] = self._sums[name] + piece if name in self._sums else piece
            self._squares[block].append(torch.stack(found).sum(0))
        self._losses.append(torch.stack([old[1], new[1]]).double())

    def shifts(self, batch_size: int) -> dict[str, Shift]:
        """What came out, by block and of the whole network."""
        blocks = {block: self._of(block) for block in self._blocks}
        squares, lengths = (
            torch.stack(parts).sum(0) for parts in zip(*blocks.values(), strict=True)
        )
        changed = _loss_change(torch.cat(self._losses, 1))
        return {
            **{block: _shift(sums, batch_size, None) for block, sums in blocks.items()},
            NETWORK: _shift(_Sums(squares, lengths), batch_size, changed),
        }

    def _of(self, block: str) -> _Sums:
        sums = [self._sums[name].double().square().sum(1) for name in self._blocks[block]]
        return _Sums(torch.cat(self._squares[block], 1), torch.stack(sums).sum(0))


def _shift(sums: _Sums, batch_size: int, loss_change: float | None) -> Shift:
    n = sums.squares.shape[1]
    old, _, apart = sums.squares.sum(1).tolist()
    gradient, moved = sums.lengths.tolist()
    variance = max((old - gradient / n) / (n - 1), 0.0)
    # Over pairs of different images: all products less those of an image with itself.
    squared = (moved - apart) / (n * (n - 1))
    shift = squared * batch_size / variance if variance else None
    if squared == 0:
        shift = 0.0
    return Shift(loss_change, _cosine(sums.squares), _finite(shift), _finite(math.sqrt(variance)))


def _cosine(squares: Tensor) -> float | None:
    """Mean cosine from squared lengths, [3, N]; by that of the difference, which loses no digits.

    Where two gradients are nearly the same, their product says less of the angle than rounding.
    """
    old, new, apart = squares[:, (squares[0] != 0) & (squares[1] != 0)]
    if not len(old):
        return None
    cosines = (old + new - apart) / (2 * (old * new).sqrt())
    return _finite(float(cosines.clamp(-1, 1).mean()))


def _loss_change(losses: Tensor) -> float | None:
    old, new = losses
    changed, mean = float((new - old).abs().mean()), float(old.mean())
    if changed == 0:
        return 0.0
    return _finite(changed / mean) if mean > 0 else None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
