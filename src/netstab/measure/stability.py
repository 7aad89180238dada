"""How far signals shift when weights move: activations forward, gradients backward, predictions.

Measured on a fixed probe batch with batch norm in eval mode, in full single precision. A block's
forward signal is its input, what the blocks before hand to it; its backward signal is the gradient
of the loss with respect to its output, what the blocks behind ask of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional

from netstab.measure.precision import full_precision
from netstab.measure.similarity import (
    Gram,
    cosine,
    debiased_cka,
    prediction_change,
    relative_change,
)
from netstab.params import PARTS
from netstab.study.measuring import NETWORK

Row = dict[str, str | int | float | None]
"""A row of `stability.csv` without its epoch."""


@dataclass(frozen=True, slots=True)
class Signals:
    """What a probe batch of N images sends through a network.

    Attributes:
        forward: input of each block, [N, C, H, W] (the first one's are the images), and under
            `network` the last features, which the linear head sees, [N, D].
        backward: gradient of the loss, summed over images, with respect to each block's output.
        logits: [N, classes].
        grams: Gram matrices of all of them, by direction and name, for CKA.
    """

    forward: dict[str, Tensor]
    backward: dict[str, Tensor]
    logits: Tensor
    grams: dict[tuple[str, str], Gram]


def signals(
    model: nn.Module, boundaries: Mapping[str, tuple[str, str]], x: Tensor, y: Tensor
) -> Signals:
    """Send the probe batch through a network and back.

    Args:
        model: its children are the parts, in the order of `PARTS`; it is put into eval mode, and
            no gradient of a weight is computed.
        boundaries: first and last part of each block.
        x: images [N, C, H, W].
        y: labels, int64 [N].
    """
    model.eval()
    model.requires_grad_(False)
    with full_precision():
        return _signals(model, boundaries, x, y)


def _signals(
    model: nn.Module, boundaries: Mapping[str, tuple[str, str]], x: Tensor, y: Tensor
) -> Signals:
    into: dict[str, Tensor] = {}
    out: dict[str, Tensor] = {}
    h = x
    for index, part in enumerate(PARTS):
        into[part] = h
        h = model.get_submodule(part)(h)
        if index == 0:
            # The graph begins behind the first part: nothing asks for gradients before it.
            h = h.requires_grad_()
        out[part] = h
    loss = functional.cross_entropy(h, y, reduction="sum")
    ends = {name: out[last] for name, (_, last) in boundaries.items()}
    gradients = torch.autograd.grad(loss, list(ends.values()))
    forward = {name: into[first].detach() for name, (first, _) in boundaries.items()}
    forward[NETWORK] = into[PARTS[-1]].detach().mean(dim=(2, 3))
    backward = dict(zip(ends, gradients, strict=True))
    named = chain(
        ((("forward", name), signal) for name, signal in forward.items()),
        ((("backward", name), signal) for name, signal in backward.items()),
    )
    return Signals(forward, backward, h.detach(), {name: Gram(signal) for name, signal in named})


def compare(
    before: Signals, after: Signals, distance: str, path: Mapping[str, float] | None
) -> list[Row]:
    """Rows of `stability.csv`, one a block and one for the network.

    Args:
        before: signals of the weights at the start.
        after: signals of the weights at the end.
        distance: what lies in between: `step`, `epoch` or `floor`.
        path: length of the path of each block's weights and the network's.
    """
    return [_row(before, after, distance, name, path) for name in before.forward]


def _row(
    before: Signals,
    after: Signals,
    distance: str,
    name: str,
    path: Mapping[str, float] | None,
) -> Row:
    row: Row = {"distance": distance, "block": name}
    for direction in ("forward", "backward"):
        old = getattr(before, direction).get(name)
        new = getattr(after, direction).get(name)
        apart = old is None
        row[f"{direction}_change"] = None if apart else relative_change(old, new)
        row[f"{direction}_cosine"] = None if apart else cosine(old, new)
        row[f"{direction}_cka"] = (
            None
            if apart
            else debiased_cka(before.grams[direction, name], after.grams[direction, name])
        )
    row["path"] = path[name] if path else 0.0
    changed = prediction_change(before.logits, after.logits) if name == NETWORK else (None, None)
    row["changed_pct"], row["kl_nats"] = changed
    return row


class Path:
    """Length of the path of weights, step by step, for each block and the whole network."""

    def __init__(self, weights: Mapping[str, list[Tensor]]) -> None:
        """Start at the weights as they are now: block -> its parameters."""
        self._weights = weights
        self._last = {name: [w.detach().clone() for w in ws] for name, ws in weights.items()}
        first = next(iter(weights.values()))[0]
        self._sums = {
            name: torch.zeros((), dtype=torch.float64, device=first.device)
            for name in (*weights, NETWORK)
        }

    @torch.no_grad()
    def step(self) -> None:
        """Add the step from the weights at the last call to those of now."""
        total = torch.zeros_like(self._sums[NETWORK])
        for name, weights in self._weights.items():
            last = self._last[name]
            moved = torch._foreach_sub(list(weights), last)
            squares = torch.stack(torch._foreach_norm(moved)).double().square().sum()
            self._sums[name] += squares.sqrt()
            total += squares
            torch._foreach_copy_(last, list(weights))
        self._sums[NETWORK] += total.sqrt()

    def lengths(self) -> dict[str, float]:
        """Euclidean length so far, by block, and of all weights under `network`."""
        return {name: float(length) for name, length in self._sums.items()}
