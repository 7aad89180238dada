"""The forward pass compiled by `torch.compile`, once for each freeze pattern."""

from types import FunctionType, MethodType

import torch

from netstab.study.schedule import Frozen, Phase
from netstab.training.step import Forward

Pattern = tuple[Frozen | None, ...]
"""What is frozen and how, part by part."""


class Compiled:
    """Compiled functions by freeze pattern; a pattern that comes back is not compiled again.

    Args:
        forward: a method.
        backend: of `torch.compile`.
    """

    def __init__(self, forward: Forward, backend: str = "inductor") -> None:
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
