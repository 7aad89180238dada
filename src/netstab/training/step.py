"""One step of the optimizer: run operation by operation, or recorded once and then replayed.

A step takes a batch in one or more pieces of the same size: the first clears the gradients, each
adds its share to them, the last moves the weights. Recording is for CUDA graphs
(`training.cuda_graph`), where a replay costs the host next to nothing; all else that recording
needs is here, and the tests run it on the CPU.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

Forward = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Images and labels -> mean loss (differentiable) and number of first guesses that are right."""

Work = Callable[[], None]

WARM_UP_PIECES = 3
"""Pieces before a recording: torch's documentation asks for a few, to choose kernels and compile.

They are pieces of the training like any other, so nothing has to be undone behind them, and when
the recording begins every momentum is there.
"""


class Step(Protocol):
    """Takes a model through the steps of one phase."""

    def begin(self) -> None:
        """Before an epoch."""

    def __call__(self, x: Tensor, y: Tensor, *, first: bool, last: bool) -> tuple[Tensor, Tensor]:
        """Take one piece of a batch.

        Args:
            x: images.
            y: labels.
            first: of its batch: gradients from before are forgotten.
            last: of its batch: the optimizer steps.

        Returns:
            Mean loss and number of first guesses that are right; read them before the next piece.
        """


class EagerStep:
    """A step as it is written down.

    Args:
        forward: images and labels -> loss and hits.
        optimizer: holds what is trained.
        pieces: of a batch; their gradients are averaged.
        learns: whether anything is trained at all.
    """

    def __init__(
        self, forward: Forward, optimizer: torch.optim.Optimizer, *, pieces: int, learns: bool
    ) -> None:
        self._forward = forward
        self._optimizer = optimizer
        self._pieces = pieces
        self._learns = learns

    def begin(self) -> None:
        """Nothing is kept from one epoch to the next."""

    def __call__(self, x: Tensor, y: Tensor, *, first: bool, last: bool) -> tuple[Tensor, Tensor]:
        """See `Step`."""
        if first:
            self._optimizer.zero_grad(set_to_none=True)
        loss, right = self._forward(x, y)
        if self._learns:
            (loss / self._pieces if self._pieces > 1 else loss).backward()  # type: ignore[no-untyped-call]
            if last:
                self._optimizer.step()
        return loss.detach(), right


class Recorder(Protocol):
    """Records what a piece of work has the device do, and makes it do that again.

    Replayed work reads and writes the memory that it read and wrote when it was recorded, with
    the numbers it was given then.
    """

    def aside(self, work: Work) -> None:
        """Do the work as it would be done while recording; before and after in order."""

    def record(self, works: Sequence[Work]) -> list[Work]:
        """Record works without doing them; they are replayed in this order, one may be repeated."""


class GraphedStep:
    """A step whose work is recorded after a few pieces, and replayed from then on.

    A recording holds for one phase (rates, modes and what is frozen are part of it) and for the
    tensors it was made with. `Engine` makes a new `GraphedStep` for every phase it enters and
    whenever a state was put in from outside; beyond that, `begin` looks whether every tensor and
    setting is still the one recorded, and records anew if not.

    Args:
        eager: what is recorded.
        recorder: records and replays.
        model: whose tensors the step reads and writes.
        optimizer: likewise.
        pieces: of a batch.
    """

    def __init__(
        self,
        eager: Step,
        recorder: Recorder,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        pieces: int,
    ) -> None:
        self._eager = eager
        self._recorder = recorder
        self._model = model
        self._optimizer = optimizer
        # A piece's place in its batch, (first, last), in the order in which places come.
        places = ((True, False), (False, False), (False, True)) if pieces > 1 else ((True, True),)
        self._places = tuple(p for p in places if pieces > 2 or any(p))
        self._done = 0
        self._replays: Mapping[tuple[bool, bool], Work] | None = None
        self._recorded: object = None
        self._input: tuple[Tensor, Tensor] | None = None
        self._output: tuple[Tensor, Tensor] | None = None

    def begin(self) -> None:
        """Drop a recording that no longer holds: weights, momentum or settings are others.

        Warming up begins anew with every epoch, so that a step of this one comes before the
        recording, and a momentum that somebody took away is there again.
        """
        if self._replays is None or self._recorded != self._what_is_recorded():
            self._drop()

    def __call__(self, x: Tensor, y: Tensor, *, first: bool, last: bool) -> tuple[Tensor, Tensor]:
        """See `Step`; what is returned is overwritten by the next piece."""
        if first:
            self._admit(x, y)
        assert self._input is not None
        for own, given in zip(self._input, (x, y), strict=True):
            own.copy_(given)
        if first and self._replays is None and self._done >= WARM_UP_PIECES:
            self._record()
        if self._replays is not None:
            self._replays[first, last]()
        else:
            self._recorder.aside(partial(self._work, first, last))
            self._done += 1
        assert self._output is not None
        return self._output

    def _admit(self, x: Tensor, y: Tensor) -> None:
        """Have memory of its own for a batch's images and labels; of another shape, start anew."""
        if self._input is None or any(
            own.shape != given.shape or own.stride() != given.stride()
            for own, given in zip(self._input, (x, y), strict=True)
        ):
            self._drop()
            self._input = torch.empty_like(x), torch.empty_like(y)

    def _drop(self) -> None:
        self._replays = self._recorded = self._output = None
        self._done = 0

    def _work(self, first: bool, last: bool) -> None:
        assert self._input is not None
        results = self._eager(*self._input, first=first, last=last)
        if self._output is None:
            loss, right = results
            self._output = loss.clone(), right.clone()
        else:
            for own, result in zip(self._output, results, strict=True):
                own.copy_(result)

    def _record(self) -> None:
        # All places at once: the gradients that the first one makes are the ones that the others
        # add to, and nobody can replace them in between.
        works = [partial(self._work, *place) for place in self._places]
        replays = self._recorder.record(works)
        self._replays = dict(zip(self._places, replays, strict=True))
        self._recorded = self._what_is_recorded()

    def _what_is_recorded(self) -> object:
        """Where each tensor lies, and every number and mode that a recording takes as given."""
        tensors = [*self._model.parameters(), *self._model.buffers()]
        momentum = [
            (name, value.data_ptr() if isinstance(value, Tensor) else value)
            for parameter in self._model.parameters()
            for name, value in self._optimizer.state.get(parameter, {}).items()
        ]
        rates = [
            {name: value for name, value in group.items() if name != "params"}
            for group in self._optimizer.param_groups
        ]
        modes = [module.training for module in self._model.modules()]
        return [(t.data_ptr(), t.requires_grad) for t in tensors], momentum, rates, modes
