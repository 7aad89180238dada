"""A schedule says, for every epoch and part, the learning rate or that the part is frozen."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from itertools import groupby, pairwise
from typing import Any

from netstab.params import PARTS


class Frozen(StrEnum):
    """A part whose weights and biases stand still; the value is its batch-norm mode."""

    LIVE = "frozen-live"
    """Batch statistics used, running statistics updated."""
    EVAL = "frozen-eval"
    """Running statistics used, and unchanged."""


Setting = float | Frozen
"""What a part does in an epoch: its learning rate, or how it is frozen."""


@dataclass(frozen=True, slots=True)
class Phase:
    """Consecutive epochs with the same settings.

    Attributes:
        start: first epoch in which it is in force.
        end: first epoch in which it no longer is.
        settings: one a part, in their order.
        batch_size: images a step; gradients are accumulated over batches of `train.batch_size`.
        parts: of the network, from input to output; the article's by default.
    """

    start: int
    end: int
    settings: tuple[Setting, ...]
    batch_size: int
    parts: tuple[str, ...] = PARTS

    @property
    def trained(self) -> tuple[str, ...]:
        """Names of the parts that are not frozen, from input to output."""
        return tuple(p for p, s in zip(self.parts, self.settings, strict=True) if s not in _FROZEN)

    def setting(self, part: str) -> Setting:
        """The setting of a part."""
        return self.settings[self.parts.index(part)]


_FROZEN = tuple(Frozen)


@dataclass(frozen=True, slots=True)
class Sweep:
    """Epochs in which the rate of some parts follows a shape: one intervention, not one an epoch.

    Attributes:
        parts: whose rate it is.
        shape: its name, such as `cosine`.
        starts: epochs at which its cycles begin; the first is where the shape does.
        end: first epoch in which it no longer is in force.
        held: whether the rate that it leads to holds from `end` on: no other change is there, and
            the run goes on.
    """

    parts: tuple[str, ...]
    shape: str
    starts: tuple[int, ...]
    end: int
    held: bool

    @property
    def turns(self) -> tuple[int, ...]:
        """Epochs in which a cycle's rate is nearest to either end of its range, in rising order."""
        cycles = pairwise((*self.starts, self.end))
        if self.shape == "triangular":
            return tuple(e for start, end in cycles for e in (start, start + (end - start) // 2))
        if self.shape == "warm_restarts":
            return tuple(e for start, end in cycles for e in (start, end - 1))
        return ()

    def covers(self, part: str, epoch: int) -> bool:
        """Whether a part's change at an epoch is the shape's."""
        last = self.end if self.held else self.end - 1
        return part in self.parts and self.starts[0] <= epoch <= last


@dataclass(frozen=True, slots=True)
class Schedule:
    """Phases without gaps, from epoch 0 to the end; neighbours differ, so equal is equal.

    Attributes:
        phases: what is trained, and how.
        sweeps: which of their changes belong together; says nothing of what is trained.
    """

    phases: tuple[Phase, ...]
    sweeps: tuple[Sweep, ...] = field(default=(), compare=False)

    @property
    def epochs(self) -> int:
        """Number of epochs."""
        return self.phases[-1].end

    @property
    def changes(self) -> tuple[int, ...]:
        """Epochs at which a setting changes."""
        return tuple(phase.start for phase in self.phases[1:])

    @property
    def interventions(self) -> tuple[int, ...]:
        """Epochs at which something is done to the run: all changes but those within a shape.

        Of a shape: where it and each of its cycles begin, and where its last rate is held.
        """
        found = {
            after.start
            for before, after in pairwise(self.phases)
            if before.batch_size != after.batch_size or self.unswept(before, after)
        }
        for sweep in self.sweeps:
            found |= {*sweep.starts, *([sweep.end] if sweep.held else [])}
        return tuple(sorted(found))

    @property
    def settles(self) -> bool:
        """Whether no rate follows a shape up to the end of the run."""
        return all(sweep.end < self.epochs for sweep in self.sweeps)

    def unswept(self, before: Phase, after: Phase) -> tuple[str, ...]:
        """Parts whose setting changes between two phases otherwise than by a shape."""
        return tuple(
            part
            for part in after.parts
            if before.setting(part) != after.setting(part)
            and not any(sweep.covers(part, after.start) for sweep in self.sweeps)
        )

    def at(self, epoch: int) -> Phase:
        """The phase in force in an epoch.

        Raises:
            IndexError: the epoch is not of this schedule.
        """
        for phase in self.phases:
            if phase.start <= epoch < phase.end:
                return phase
        raise IndexError(f"epoch {epoch} is not within 0 ... {self.epochs - 1}")

    def before(self, epoch: int) -> list[dict[str, Any]]:
        """The schedule restricted to the epochs before `epoch`, as plain data for hashing."""
        return [
            {
                "epochs": min(phase.end, epoch) - phase.start,
                "batch_size": phase.batch_size,
                "settings": dict(zip(phase.parts, phase.settings, strict=True)),
            }
            for phase in self.phases
            if phase.start < epoch
        ]

    def shared_epochs(self, other: "Schedule") -> int:
        """Number of first epochs in which two schedules agree."""
        shared = 0
        for mine, theirs in zip(self.phases, other.phases, strict=False):
            if (mine.settings, mine.batch_size) != (theirs.settings, theirs.batch_size):
                break
            shared = min(mine.end, theirs.end)
            if mine.end != theirs.end:
                break
        return shared


def build(
    epochs: int,
    batch_size: Callable[[int], int],
    setting: Callable[[str, int], Setting],
    parts: tuple[str, ...] = PARTS,
    sweeps: tuple[Sweep, ...] = (),
) -> Schedule:
    """The schedule in which part p in epoch e has `setting(p, e)`, in batches of `batch_size(e)`.

    Rates are rounded to 12 digits, so that 0.1 * 0.1 and 0.01 are the same rate, and runs that
    state it either way share their past.
    """

    def settings(epoch: int) -> tuple[tuple[Setting, ...], int]:
        return tuple([_rounded(setting(part, epoch)) for part in parts]), batch_size(epoch)

    phases = []
    for (values, size), group in groupby(range(epochs), key=settings):
        members = list(group)
        phases.append(Phase(members[0], members[-1] + 1, values, size, parts))
    return Schedule(tuple(phases), sweeps)


@cache
def _rounded(setting: Setting) -> Setting:
    return setting if isinstance(setting, Frozen) else float(f"{setting:.12g}")
