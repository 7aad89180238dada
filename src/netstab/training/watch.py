"""What is measured over an epoch: at its start, after its first step and at its end.

A measurement of each kind is taken by a `Watched`; a `Watch` tells all of an epoch when it is time.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from torch import Tensor, nn

from netstab.measure import field, stability
from netstab.measure.stability import Path, Row, Signals

Finish = Callable[[list[Row], float], None]
"""Takes the rows of a complete measurement, and the seconds that it took."""

Lengths = Mapping[str, float]
"""How far the weights of each block, and of the `network`, have gone since the start."""


class Watched(ABC):
    """One measurement over an epoch.

    Attributes:
        rows: what came out so far.
        finish: takes the measurement when it is complete.
    """

    def __init__(self, finish: Finish) -> None:
        self.rows: list[Row] = []
        self.finish = finish

    @abstractmethod
    def begin(self) -> None:
        """At the start."""

    @abstractmethod
    def step(self, path: Lengths) -> None:
        """After the first step."""

    @abstractmethod
    def end(self, path: Lengths) -> None:
        """At the end."""


class Drift(Watched):
    """The stability of signals.

    Args:
        look: takes the signals at the weights of now.
        finish: takes the measurement.
        floor: whether signals are taken twice at the start.
    """

    def __init__(self, look: Callable[[], Signals], finish: Finish, *, floor: bool) -> None:
        super().__init__(finish)
        self._look = look
        self._floor = floor

    def begin(self) -> None:
        """Take the signals that later ones are compared with."""
        self._before = self._look()
        if self._floor:
            self.rows += stability.compare(self._before, self._look(), "floor", None)

    def step(self, path: Lengths) -> None:
        """Compare over a step."""
        self.rows += stability.compare(self._before, self._look(), "step", path)

    def end(self, path: Lengths) -> None:
        """Compare over the epoch."""
        self.rows += stability.compare(self._before, self._look(), "epoch", path)


class Field(Watched):
    """The stability of the field of gradients.

    Gradients of single images are too large to keep: weights are kept instead, and all gradients
    taken at the end, a few images at a time.

    Args:
        model: whose weights are watched.
        compare: compares the gradients at weights with those at others, by their names.
        finish: takes the measurement.
        floor: whether the weights of the start are compared with themselves.
    """

    def __init__(
        self,
        model: nn.Module,
        compare: Callable[
            [field.State, Mapping[str, field.State]], dict[str, dict[str, field.Shift]]
        ],
        finish: Finish,
        *,
        floor: bool,
    ) -> None:
        super().__init__(finish)
        self._model = model
        self._compare = compare
        self._floor = floor
        self._paths: dict[str, Lengths] = {}
        self._states: dict[str, field.State] = {}

    def begin(self) -> None:
        """Keep the first weights."""
        self._before = self._copied()
        if self._floor:
            self._states["floor"] = self._before
            self._paths["floor"] = {}

    def step(self, path: Lengths) -> None:
        """Keep the weights after a step."""
        self._states["step"], self._paths["step"] = self._copied(), path

    def end(self, path: Lengths) -> None:
        """Compare the field at the weights that were kept, and at those of now."""
        self._states["epoch"], self._paths["epoch"] = self._copied(), path
        for distance, shifts in self._compare(self._before, self._states).items():
            for block, shift in shifts.items():
                walked = self._paths[distance].get(block, 0.0)
                self.rows.append(
                    {"distance": distance, "block": block, **asdict(shift), "path": walked}
                )

    def _copied(self) -> field.State:
        return {name: t.detach().clone() for name, t in self._model.state_dict().items()}


class Watch:
    """An epoch that is measured.

    Args:
        weights: of each block, followed step by step.
        watched: what is measured.

    Attributes:
        seconds: that measuring took so far.
    """

    def __init__(self, weights: Mapping[str, list[Tensor]], watched: Sequence[Watched]) -> None:
        self._watched = watched
        self._taken = [0.0] * len(watched)
        self._stepped = False
        started = time.monotonic()
        self._path = Path(weights)
        self._on_the_way = time.monotonic() - started
        self._tell(lambda each: each.begin())

    @property
    def seconds(self) -> float:
        """What measuring took so far."""
        return self._on_the_way + sum(self._taken)

    def step(self) -> None:
        """After an optimizer step."""
        started = time.monotonic()
        self._path.step()
        self._on_the_way += time.monotonic() - started
        if not self._stepped:
            self._stepped = True
            self._tell_lengths(lambda each, lengths: each.step(lengths))

    def end(self) -> None:
        """After the epoch: measurements are complete and go to the store."""
        self._tell_lengths(lambda each, lengths: each.end(lengths))
        # The way is followed for all of them alike.
        share = self._on_the_way / len(self._watched)
        for each, seconds in zip(self._watched, self._taken, strict=True):
            each.finish(each.rows, seconds + share)

    def _tell_lengths(self, what: Callable[[Watched, Lengths], None]) -> None:
        lengths = self._path.lengths()
        self._tell(lambda each: what(each, lengths))

    def _tell(self, what: Callable[[Watched], None]) -> None:
        for index, each in enumerate(self._watched):
            started = time.monotonic()
            what(each)
            self._taken[index] += time.monotonic() - started
