"""The forward pass compiled by `torch.compile`, once for each freeze pattern.

On CUDA its forward and backward passes become CUDA graphs (mode `reduce-overhead`); on a CPU they
are compiled alone. Weights and buffers are the graphs' own inputs, wherever they lie; images and
labels are copied. What a pass returns, gradients included, lies in memory that the next run of the
same graph overwrites.
"""

from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor

from netstab.study.schedule import Frozen, Phase

Forward = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Images and labels -> mean loss (differentiable) and number of first guesses that are right."""

Pattern = tuple[Frozen | None, ...]
"""What is frozen and how, part by part."""


class Compiled:
    """Compiled functions by freeze pattern; a pattern that comes back is not compiled again.

    Args:
        forward: a method.
        backend: of `torch.compile`.
    """

    def __init__(self, forward: Forward, backend: str | Callable[..., Any] = "inductor") -> None:
        assert isinstance(forward, MethodType)
        self._forward = forward
        self._backend = backend
        self._functions: dict[Pattern, Forward] = {}

    def of(self, phase: Phase) -> Forward:
        """The function for a phase's freeze pattern."""
        pattern = tuple(s if isinstance(s, Frozen) else None for s in phase.settings)
        if pattern not in self._functions:
            self._functions[pattern] = torch.compile(
                _with_code_of_its_own(self._forward),
                fullgraph=True,
                dynamic=False,
                backend=self._backend,
                # Other backends know no modes, and warn.
                mode="reduce-overhead" if self._backend == "inductor" else None,
            )
        return self._functions[pattern]


def _with_code_of_its_own(method: MethodType) -> Forward:
    """The same method for a compiler that keeps what it compiled with the code object.

    A graph compiled for one pattern may outlive a change of `requires_grad`, so none is ever
    offered to another; and no pattern uses up another's limit of recompilations.
    """
    function = method.__func__
    assert isinstance(function, FunctionType)
    copy = FunctionType(
        function.__code__.replace(), function.__globals__, function.__name__, None, None
    )
    bound: Forward = MethodType(copy, method.__self__)
    return bound
