"""A recorder for the CPU that does to memory what a CUDA graph does.

Recording keeps every operation with the tensors and numbers it was given, and undoes what it did.
A replay does the same operations with the same memory and the same numbers again: a rate, a mode,
a momentum or a weight that became another one since is not noticed, as on a GPU.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from netstab.training.step import Work

Operation = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], list[Tensor]]


class Tape:
    """See `netstab.training.step.Recorder`.

    Attributes:
        warm_ups: pieces done aside.
        recordings: works recorded.
        replays: replays so far.
    """

    def __init__(self) -> None:
        self.warm_ups = self.recordings = self.replays = 0

    def aside(self, work: Work) -> None:
        self.warm_ups += 1
        work()

    def record(self, works: Sequence[Work]) -> list[Work]:
        return [self._record(work) for work in works]

    def _record(self, work: Work) -> Work:
        self.recordings += 1
        notes = _Notes()
        with notes:
            work()
        notes.undo()
        operations = notes.operations

        def replay() -> None:
            self.replays += 1
            with torch.no_grad():
                for function, args, kwargs, results in operations:
                    again = function(*args, **kwargs)
                    for old, new in zip(results, _tensors(again), strict=True):
                        if old.data_ptr() != new.data_ptr():
                            old.copy_(new)

        return replay


class _Notes(TorchDispatchMode):
    """Notes operations, and what outside memory held before."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[Operation] = []
        self._made: set[int] = set()
        self._before: dict[int, tuple[Tensor, Tensor]] = {}

    @classmethod
    def is_infra_mode(cls) -> bool:
        return True  # or torch.compile refuses what it has compiled

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        assert function is not torch.ops.aten._local_scalar_dense.default, "host waits for device"
        kwargs = kwargs or {}
        for tensor in _tensors((args, kwargs)):
            memory = tensor.untyped_storage().data_ptr()
            if memory not in self._made and memory not in self._before:
                self._before[memory] = tensor, tensor.detach().clone()
        result = function(*args, **kwargs)
        results = list(_tensors(result))
        for tensor in results:
            memory = tensor.untyped_storage().data_ptr()
            if memory not in self._before:
                self._made.add(memory)
        self.operations.append((function, args, kwargs, results))
        return result

    @torch.no_grad()
    def undo(self) -> None:
        for tensor, before in self._before.values():
            tensor.copy_(before)


def _tensors(tree: Any) -> Iterator[Tensor]:
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))
