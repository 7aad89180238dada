"""Runs as a tree of shared segments, and what of it is still to be trained.

Two runs of a seed whose schedules agree up to epoch e have the same state at e, so the runs of a
seed form a tree: its edges are segments, each trained once.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from netstab.params import Params
from netstab.study.experiments import REFERENCES, Variant, schedule, variants, view
from netstab.study.schedule import Phase, Schedule


@dataclass(frozen=True, slots=True)
class Segment:
    """Epochs that every run of `variants` goes through.

    Attributes:
        start: first epoch of the segment.
        end: first epoch after it; the state there is kept.
        variants: whose past or whole life this is; the first one gives the segment its name.
        children: what follows at `end`, empty where runs end.
    """

    start: int
    end: int
    variants: tuple[Variant, ...]
    children: tuple["Segment", ...]

    @property
    def epochs(self) -> int:
        """Epochs to train in this segment and all below it."""
        return self.end - self.start + sum(child.epochs for child in self.children)

    def walk(self) -> Iterator["Segment"]:
        """This segment and all below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Tree:
    """The runs of one seed: schedules by variant, and the segments they share.

    Attributes:
        schedules: of every variant.
        roots: segments from epoch 0 on; views of the baseline are in none.
        views: epoch from which on each view sees the baseline otherwise.
    """

    schedules: dict[Variant, Schedule]
    roots: tuple[Segment, ...]
    views: dict[Variant, int]

    @property
    def epochs(self) -> int:
        """Epochs that have to be trained when every segment is trained once."""
        return sum(root.epochs for root in self.roots)

    @property
    def epochs_apart(self) -> int:
        """Epochs that separate runs would train."""
        return sum(s.epochs for variant, s in self.schedules.items() if variant not in self.views)

    def segments(self) -> Iterator[Segment]:
        """Every segment, parents first."""
        for root in self.roots:
            yield from root.walk()


def tree(params: Params) -> Tree:
    """The tree of one seed (all seeds have the same one)."""
    schedules = {variant: schedule(params, variant) for variant in variants(params)}
    seen = ((variant, view(params, variant)) for variant in schedules)
    views = {v: params.train.at_scale(how.start_epoch) for v, how in seen if how is not None}
    trained = tuple(variant for variant in schedules if variant not in views)
    return Tree(schedules, _grow(trained, 0, schedules), views)


def _grow(
    members: tuple[Variant, ...], start: int, schedules: dict[Variant, Schedule]
) -> tuple[Segment, ...]:
    """Segments that begin at `start`, for variants that share everything before it."""
    groups: dict[Any, list[Variant]] = {}
    for variant in members:
        if start < schedules[variant].epochs:
            phase = schedules[variant].at(start)
            groups.setdefault((phase.settings, phase.batch_size), []).append(variant)
    segments = []
    for group in groups.values():
        first = schedules[group[0]]
        end = min(first.shared_epochs(schedules[other]) for other in group)
        segments.append(Segment(start, end, tuple(group), _grow(tuple(group), end, schedules)))
    return tuple(segments)


def kept_epochs(params: Params, whole: Tree, variant: Variant) -> list[int]:
    """Epochs at which the state of a run is kept, in rising order; the last is its end.

    Branch points of the tree on the run's way, its end, and on the way of a reference one every
    `runtime.keep_every` epochs, so that a moved intervention finds a state near by, whichever run
    has trained it. Of a view the end alone: it takes its past from the baseline.
    """
    if variant in whole.views:
        return [whole.schedules[variant].epochs]
    own = [segment for segment in whole.segments() if variant in segment.variants]
    shared = [s.end for s in own if any(other.experiment in REFERENCES for other in s.variants)]
    every = max(1, params.train.at_scale(params.runtime.keep_every))
    return sorted({s.end for s in own} | set(range(every, max(shared, default=0), every)))


@dataclass(frozen=True, slots=True)
class Work:
    """Epochs that are still to be trained, within one phase."""

    variant: Variant
    phase: Phase
    epochs: int


@dataclass(frozen=True, slots=True)
class MissingSegment:
    """What of a segment is still to be trained.

    Attributes:
        segment: whose end has to be reached.
        variant: the first one of the segment that is wanted; it gives the epochs their name.
        start: epoch of the deepest state that is stored, or of the segment's start.
        after: what has to be trained first; None where the state at `start` is there.
    """

    segment: Segment
    variant: Variant
    start: int
    after: "MissingSegment | None"


def missing(
    whole: Tree,
    stored: Callable[[Variant, int], bool],
    chosen: Collection[Variant] | None = None,
) -> list[MissingSegment]:
    """What of its segments a seed still needs, those first that others wait for.

    Args:
        whole: the tree.
        stored: whether the state of a variant at the start of an epoch is in the store.
        chosen: the variants whose ends are wanted; None for all. Views want the baseline's.
    """
    wanted = frozenset(_trained_for(whole, whole.schedules if chosen is None else chosen))
    starts: dict[tuple[Variant, int], int] = {}
    for root in whole.roots:
        _needs_start(root, whole, stored, wanted, starts)
    found: list[MissingSegment] = []

    def add(segment: Segment, before: MissingSegment | None) -> None:
        start = starts.get((segment.variants[0], segment.end))
        missed = None
        if start is not None and start < segment.end:
            trains = next(v for v in segment.variants if v in wanted)
            behind = before if start == segment.start else None
            missed = MissingSegment(segment, trains, start, behind)
            found.append(missed)
        for child in segment.children:
            add(child, missed)

    for root in whole.roots:
        add(root, None)
    return found


def _trained_for(whole: Tree, chosen: Iterable[Variant]) -> Iterator[Variant]:
    """The variants that are trained so that these are there."""
    for variant in chosen:
        yield Variant("baseline") if variant in whole.views else variant


def outstanding(whole: Tree, stored: Callable[[Variant, int], bool]) -> list[Work]:
    """What a seed still needs, as `missing`, phase by phase."""
    return [work for part in missing(whole, stored) for work in works(whole, part)]


def works(whole: Tree, part: MissingSegment) -> list[Work]:
    """The epochs of what is missing of a segment, phase by phase."""
    variant, end = part.variant, part.segment.end
    parts = (
        Work(variant, phase, min(phase.end, end) - max(phase.start, part.start))
        for phase in whole.schedules[variant].phases
    )
    return [part for part in parts if part.epochs > 0]


def _needs_start(
    segment: Segment,
    whole: Tree,
    stored: Callable[[Variant, int], bool],
    wanted: frozenset[Variant],
    starts: dict[tuple[Variant, int], int],
) -> bool:
    """Whether the state at the segment's start is needed; notes from where its end is trained."""
    variant = segment.variants[0]
    ending = (v for v in segment.variants if v in wanted)
    end_is_wanted = any(whole.schedules[v].epochs == segment.end for v in ending)
    for child in segment.children:
        # Every child is asked: each notes its own.
        end_is_wanted = _needs_start(child, whole, stored, wanted, starts) or end_is_wanted
    if not end_is_wanted:
        return False
    found = next(
        (e for e in range(segment.end, segment.start, -1) if stored(variant, e)), segment.start
    )
    starts[variant, segment.end] = found
    return found == segment.start
