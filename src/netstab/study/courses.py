"""Changes as they come into force one after the other: which rate holds in an epoch, at scale."""

from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from netstab.params import FROZEN, NETWORK, Change, Changes, Params, Shape
from netstab.params.changes import SHAPES, by_epoch
from netstab.params.models import Train
from netstab.study.schedule import Sweep


@dataclass(frozen=True, slots=True)
class Course:
    """A change that is in force.

    Attributes:
        start: epoch from which on it is.
        change: a rate, `frozen`, or a shape.
        first: rate at which a shape begins.
        bounds: epochs at which a shape's cycles begin, and where it ends; empty without a shape.
    """

    start: int
    change: Change
    first: float
    bounds: tuple[int, ...] = ()

    def setting(self, epoch: int) -> float | Literal["frozen"]:
        """What holds in an epoch from `start` on."""
        if not isinstance(self.change, Shape):
            return self.change
        if epoch >= self.bounds[-1]:
            return self.change.last(self.first)
        cycle = bisect(self.bounds, epoch) - 1
        begin, end = self.bounds[cycle : cycle + 2]
        return self.change.rate(self.first, (epoch - begin) / (end - begin))


def courses(changes: Changes, train: Train) -> list[Course]:
    """What comes into force one after the other; before the first it is the initial rate."""
    rate, found = train.learning_rate, []
    for epoch, change, following in by_epoch(changes, train.epochs):
        start = train.at_scale(epoch)
        if isinstance(change, Shape):
            first = rate if change.first is None else change.first
            until = following if change.until is None else change.until
            bounds = tuple(map(train.at_scale, change.bounds(epoch, until)))
            found.append(Course(start, change, first, bounds))
            rate = change.last(first)
        else:
            rate = rate if change == FROZEN else float(change)
            found.append(Course(start, change, rate))
    return found


def in_force(of_part: Sequence[Course], epoch: int) -> Course | None:
    """The change in force in an epoch; None before the first."""
    return next((course for course in reversed(of_part) if course.start <= epoch), None)


def stated(params: Params, experiment: str, name: str = "") -> dict[str, Changes]:
    """Block -> epoch -> change, of an experiment whose section states changes; else nothing."""
    if experiment == "own":
        asked = params.own[name]
        return {b: c for b in params.blocks if (c := asked.get(b, asked.get(NETWORK, {})))}
    changes: Changes = {}
    if experiment == "expF":
        changes = _cyclical(params, name)
    elif experiment == "baseline":
        changes = params.baseline.changes
    elif experiment == "outpost":
        changes = params.outpost.changes
    return dict.fromkeys(params.blocks, changes) if changes else {}


def _cyclical(params: Params, name: str) -> Changes:
    """The cycles of a shape, as changes; triangles begin and end at the low rate, as torch's do."""
    section, high = params.expF, params.train.learning_rate
    low = high * section.decay_factor
    content: dict[str, object] = {"shape": name, "to": low, "until": section.end_epoch}
    if name == "triangular":
        content |= {"from": low, "to": high}
    if name != "cosine":
        content["cycles"] = section.cycles
    return {str(section.start_epoch): SHAPES[f"[{name}]"].model_validate(content)}


def sweeps(by_block: Mapping[str, Changes], params: Params) -> tuple[Sweep, ...]:
    """The shapes among the changes of each block."""
    epochs = params.train.run_epochs
    found = []
    for block, changes in by_block.items():
        every = courses(changes, params.train)
        starts = {course.start for course in every}
        for course in every:
            if isinstance(course.change, Shape):
                *begins, end = course.bounds
                held = end < epochs and end not in starts
                parts, name = params.blocks[block], course.change.shape
                found.append(Sweep(parts, name, tuple(begins), end, held))
    return tuple(found)
