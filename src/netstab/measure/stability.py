"""How far signals shift when weights move: activations forward, gradients backward, predictions.

Measured on a fixed probe batch with batch norm in eval mode, in full single precision. A block's
forward signal is its input, what the blocks before hand to it; its backward signal is the gradient
of the loss with respect to its output, what the blocks behind ask of it.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

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
from netstab.study.measuring import NETWORK

Row = dict[str, str | int | float | None]
"""A row of `stability.csv` without its epoch."""


@dataclass(frozen=True, slots=True)
class Signals:
    """What a probe batch of N images sends through a network.

    Attributes:
        forward: input of each block, [N, ...] (the first one's are the images), and under `network`
            the last features, which the linear classifier sees, [N, D].
        backward: gradient of the loss, summed over images, with respect to each block's output.
        logits: [N, classes].
        grams: Gram matrices of all of them, by direction and name, for CKA.
        blocks: every block, also one without signals: where a network calls a block's first or
            last module more or less than once, there is no one input or output.
    """

    forward: dict[str, Tensor]
    backward: dict[str, Tensor]
    logits: Tensor
    grams: dict[tuple[str, str], Gram]
    blocks: tuple[str, ...]


@full_precision()
def signals(
    model: nn.Module, boundaries: Mapping[str, tuple[str, str]], x: Tensor, y: Tensor
) -> Signals:
    """Send the probe batch through a network and back.

    Args:
        model: any network; it is put into eval mode, and no gradient of a weight is computed.
        boundaries: of each block, paths of its first and its last module.
        x: images [N, C, H, W].
        y: labels, int64 [N].
    """
    model.eval()
    model.requires_grad_(False)
    with _watched(model, boundaries) as (into, out, features):
        logits = model(x)
    loss = functional.cross_entropy(logits, y, reduction="sum")
    ends = {name: calls[0] for name, calls in out.items() if len(calls) == 1}
    gradients = torch.autograd.grad(loss, list(ends.values()), allow_unused=True)
    forward = {name: calls[0] for name, calls in into.items() if len(calls) == 1}
    # The classifier is the linear layer that the logits come out of, and nothing else.
    if features and _same(features[-1][1], logits):
        forward[NETWORK] = features[-1][0]
    backward = {n: g for n, g in zip(ends, gradients, strict=True) if g is not None}
    named = chain(
        ((("forward", name), signal) for name, signal in forward.items()),
        ((("backward", name), signal) for name, signal in backward.items()),
    )
    grams = {name: Gram(signal) for name, signal in named}
    return Signals(forward, backward, logits.detach(), grams, tuple(boundaries))


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors hold the same, also where that is no number."""
    same = one.shape == other.shape
    return same and bool(torch.isclose(one, other, rtol=0, atol=0, equal_nan=True).all())


Calls = dict[str, list[Tensor]]


@contextmanager
def _watched(
    model: nn.Module, boundaries: Mapping[str, tuple[str, str]]
) -> Iterator[tuple[Calls, Calls, list[tuple[Tensor, Tensor]]]]:
    """Inputs and outputs of blocks, call by call; inputs and outputs of linear layers in turn."""
    into: Calls = {name: [] for name in boundaries}
    out: Calls = {name: [] for name in boundaries}
    features: list[tuple[Tensor, Tensor]] = []

    def enters(name: str, given: tuple[Any, ...]) -> None:
        if isinstance(given[0], Tensor):
            # A copy: what comes next may change it in place.
            into[name].append(given[0].detach().clone())

    def leaves(name: str, output: Any) -> Tensor | None:
        if not isinstance(output, Tensor):
            return None
        # The graph begins behind the first block: nothing asks for gradients before it.
        out[name].append(output if output.requires_grad else output.requires_grad_())
        return output.clone()

    modules = dict(model.named_modules(remove_duplicate=False))
    with ExitStack() as hooks:
        for name, (first, last) in boundaries.items():
            # A single parameter is called by nobody.
            if first in modules:
                entered = modules[first].register_forward_pre_hook(
                    lambda _, x, name=name: enters(name, x)
                )
                hooks.enter_context(entered)
            if last in modules:
                left = modules[last].register_forward_hook(
                    lambda _, __, h, name=name: leaves(name, h)
                )
                hooks.enter_context(left)
        for module in model.modules():
            if isinstance(module, nn.Linear):
                called = module.register_forward_hook(
                    lambda _, given, output: features.append((given[0].detach().clone(), output))
                )
                hooks.enter_context(called)
        yield into, out, features


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
    names = (*before.blocks, NETWORK)
    return [_row(before, after, distance, name, path) for name in names]


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
        apart = old is None or new is None
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
