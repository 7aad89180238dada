"""An epoch that is measured: weights are kept at its start, after its first step and at its end."""

import time
from collections.abc import Callable, Mapping

from torch import Tensor, nn

from netstab.measure.stability import Path
from netstab.measure.views import State

Lengths = Mapping[str, float]
"""How far the weights of each block, and of the `network`, have gone since the start."""


class Watch:
    """Weights on their way through an epoch, all measured at its end.

    Signals and gradients of single images are larger than weights, and none is there while training
    takes its own memory.

    Args:
        model: that is trained.
        weights: of each block, followed step by step.
        finish: measures, at the end.

    Attributes:
        before: parameters and buffers at the start.
        after: after the first `step` and after the `epoch`, with the lengths of the ways there.
        seconds: that following and keeping took so far.
    """

    def __init__(
        self,
        model: nn.Module,
        weights: Mapping[str, list[Tensor]],
        finish: Callable[["Watch"], None],
    ) -> None:
        self._model, self._finish = model, finish
        self.after: dict[str, tuple[State, Lengths]] = {}
        started = time.monotonic()
        self._path, self.before = Path(weights), self._copied()
        self.seconds = time.monotonic() - started

    def step(self) -> None:
        """After an optimizer step."""
        started = time.monotonic()
        self._path.step()
        if not self.after:
            self._keep("step")
        self.seconds += time.monotonic() - started

    def end(self) -> None:
        """After the epoch: measurements are taken, and go to the store."""
        self._keep("epoch")
        self._finish(self)

    def _keep(self, distance: str) -> None:
        self.after[distance] = self._copied(), self._path.lengths()

    def _copied(self) -> State:
        return {name: t.detach().clone() for name, t in self._model.state_dict().items()}
