"""Barriers: the loss along the straight line between two states of a network.

Linear mode connectivity (Frankle et al. 2020, 1912.05671). Weights between two states have no
running statistics of their own, and those in between the ends' would be wrong (Izmailov et al.
2018, 1803.05407). So batch norm takes the statistics of the very images that the loss is of, all of
them at once: one forward pass recomputes and uses them. It is so at the ends as well. Whatever else
tells training from evaluation is in mode eval. In full single precision.
"""

from collections.abc import Callable
from math import isfinite

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from netstab.measure.precision import full_precision
from netstab.measure.views import State, copy_into

Loss = Callable[[Tensor, Tensor], Tensor]
"""Of outputs [N, ...] and labels [N], their mean."""


@torch.no_grad()
def loss_at(
    model: nn.Module, state: State, x: Tensor, y: Tensor, loss: Loss = functional.cross_entropy
) -> float | None:
    """The loss on some images, with batch-norm statistics of these images; None if not finite.

    Args:
        model: says what is computed; the state is copied into it.
        state: of the same shapes.
        x: images [N, C, H, W], at least two.
        y: labels, int64 [N].
        loss: that is taken.
    """
    copy_into(model, state)
    model.eval()
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.train()
    with full_precision():
        found = float(loss(model(x), y))
    return found if isfinite(found) else None


def between(first: State, second: State, share: float) -> dict[str, Tensor]:
    """The state a share of the way from the first to the second; counters are the first's."""
    return {
        name: torch.lerp(tensor, second[name], share) if tensor.is_floating_point() else tensor
        for name, tensor in first.items()
    }


def losses_between(
    model: nn.Module,
    first: State,
    second: State,
    points: int,
    x: Tensor,
    y: Tensor,
    loss: Loss = functional.cross_entropy,
) -> list[float | None]:
    """Losses at the points of a line but its ends, at equal distances; see `loss_at`.

    Args:
        model: says what is computed; what is in it is overwritten.
        first: one end.
        second: the other.
        points: of the line, its ends among them.
        x: images [N, C, H, W], at least two.
        y: labels, int64 [N].
        loss: that is taken.
    """
    shares = (at / (points - 1) for at in range(1, points - 1))
    return [loss_at(model, between(first, second, share), x, y, loss) for share in shares]
