"""Between which states of a seed the loss is looked at along the straight line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal, get_args

from netstab.params import Params
from netstab.study.experiments import BASELINE, Run, Variant, view
from netstab.study.schedule import Schedule

AVERAGE = Variant("expE", "ema")
"""The baseline with averaged weights."""

Against = Literal["baseline", "branch", "ema"]
"""What the end of a run is joined with: the baseline's end, the baseline's state at which the run
leaves it, and the end of the averaged baseline."""

AGAINST: tuple[Against, ...] = get_args(Against)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two states of a seed.

    Attributes:
        run: whose end is the one.
        against: which the other one is.
        epoch: of the other one.
    """

    run: Run
    against: Against
    epoch: int

    @property
    def other(self) -> Run:
        """The run whose state at `epoch` the other one is."""
        variant = AVERAGE if self.against == "ema" else BASELINE
        return Run(variant, self.run.seed)


def pairs(params: Params, schedules: Mapping[Variant, Schedule]) -> list[Pair]:
    """Every pair that the parameters ask for, run by run in the order of the study.

    A run that never leaves the baseline has its end in common with it, and one that leaves at
    epoch 0 leaves no trained state: these are no pairs. Views are none of the runs.

    Args:
        params: the parameters.
        schedules: of every variant.
    """
    if params.measure.barriers.images is None:
        return []
    trained = [variant for variant in schedules if view(params, variant) is None]
    return [
        pair
        for seed in params.seeds
        for variant in trained
        for pair in _of(Run(variant, seed), schedules)
    ]


def _of(run: Run, schedules: Mapping[Variant, Schedule]) -> list[Pair]:
    schedule = schedules[run.variant]
    end, shared = schedule.epochs, schedule.shared_epochs(schedules[BASELINE])
    found = []
    if shared < end:
        found.append(Pair(run, "baseline", end))
    if 0 < shared < end:
        found.append(Pair(run, "branch", shared))
    if AVERAGE in schedules:
        found.append(Pair(run, "ema", end))
    return found


def height(losses: Sequence[float | None]) -> float | None:
    """The barrier: the largest excess of a line's losses over the straight line between its ends'.

    Args:
        losses: at points of equal distances, from end to end; None where one is not finite.

    Returns:
        At least 0, which the ends have; None where a loss is not finite.
    """
    known = [loss for loss in losses if loss is not None and isfinite(loss)]
    if len(known) < len(losses):
        return None
    first, last, steps = known[0], known[-1], len(known) - 1
    chords = (first + (last - first) * at / steps for at in range(steps + 1))
    return max(0.0, *(loss - chord for loss, chord in zip(known, chords, strict=True)))
