"""Claims about cyclical rates, the article's outlook; asked where `expF.shapes` has some.

Decisions:

* F1: all of expF end at the outpost's last rate, and hold it. So jitter is compared on plateaus of
  one rate, over the same window, from `report.settle_epochs` after the later one's last
  intervention on: what it tells apart is the way there. 'As steady' is a ratio of at most 1 +
  `claims.margin_jitter`, given that the outpost is steadier than the baseline.
* F2: an epoch at the low end of a cycle is held against the high end that follows it, so that a
  mere decline over the run speaks against the claim. F3 is the same per unit of the way that the
  network's weights went, since at a lower rate everything moves less.
"""

from dataclasses import replace
from itertools import pairwise
from math import isclose, log1p

from netstab.evidence.claims.checks import LOG_RATIO, Check, Effect
from netstab.evidence.claims.compare import Claim, jitter
from netstab.evidence.claims.effects import Study
from netstab.evidence.claims.statistics import below
from netstab.evidence.summary.drift import Direction, places
from netstab.evidence.summary.windows import Floats
from netstab.params import Changes, Params
from netstab.study.courses import Course, courses, stated, sweeps
from netstab.study.experiments import BASELINE, OUTPOST, Variant, cyclical, schedule
from netstab.study.schedule import Frozen, Phase

STEADY = "val_top1_pct"
"""What is to be as steady."""


def _f1(params: Params) -> list[Check]:
    tolerated = below(log1p(params.claims.margin_jitter))
    return [
        replace(jitter(OUTPOST, BASELINE, STEADY), given=True),
        *(jitter(variant, OUTPOST, STEADY, tolerated) for variant in cyclical(params)),
    ]


def ends_at_the_outposts_rate(params: Params) -> str:
    """Another last rate would be another intervention than another way to it."""
    end = params.train.run_epochs - 1
    last = {"outpost": max(_rates(schedule(params, OUTPOST).phases[-1]))}
    last |= {v.name: float(_course(params, v).setting(end)) for v in cyclical(params)}
    if all(isclose(rate, last["outpost"], rel_tol=1e-9) for rate in last.values()):
        return ""
    return "last rates differ: " + ", ".join(f"{rate:g} of {name}" for name, rate in last.items())


def _rates(phase: Phase) -> list[float]:
    return [0.0 if isinstance(setting, Frozen) else setting for setting in phase.settings]


def _course(params: Params, variant: Variant) -> Course:
    """The one change of a cyclical rate, which is that of all blocks."""
    (course,) = courses(_changes(params, variant), params.train)
    return course


def _changes(params: Params, variant: Variant) -> Changes:
    return next(iter(stated(params, variant.experiment, variant.block or "").values()))


def ends_of_cycles(params: Params, variant: Variant) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Epochs of lowest rate within cycles, and those of the highest rate that follow them."""
    (sweep,) = sweeps({next(iter(params.blocks)): _changes(params, variant)}, params)
    rates = {epoch: float(_course(params, variant).setting(epoch)) for epoch in sweep.turns}
    rising = [(low, high) for low, high in pairwise(rates) if rates[low] < rates[high]]
    return tuple(low for low, _ in rising), tuple(high for _, high in rising)


def _cycling(params: Params) -> list[Variant]:
    return [variant for variant in cyclical(params) if ends_of_cycles(params, variant)[0]]


def _within(params: Params, *, per_path: bool) -> list[Check]:
    directions: tuple[Direction, ...] = ("forward", "backward")

    def effect(variant: Variant, direction: Direction) -> Effect:
        where = places(params, direction)

        def lower(study: Study) -> Floats:
            low, high = (
                study.log_drift(variant, direction, where, epochs, per_path=per_path)
                for epochs in ends_of_cycles(params, variant)
            )
            return low - high

        return lower

    what = "drift per weight path" if per_path else "drift"
    return [
        Check(
            f"{variant.name}: {direction} {what} at low rates, against the high ones that follow",
            LOG_RATIO,
            below(),
            effect(variant, direction),
        )
        for variant in _cycling(params)
        for direction in directions
    ]


CYCLICAL = (
    Claim(
        "F1",
        "Cosine, warm restarts and triangular cycles end as steady in validation top-1 as steps, "
        "or steadier (each)",
        lambda p: [BASELINE, OUTPOST, *cyclical(p)],
        _f1,
        ends_at_the_outposts_rate,
        asked=lambda p: bool(cyclical(p)),
    ),
    Claim(
        "F2",
        "Within a cycle, signals drift less where the rate is low than where it then is high, "
        "forward and backward (each)",
        _cycling,
        lambda p: _within(p, per_path=False),
        asked=lambda p: bool(_cycling(p)),
    ),
    Claim(
        "F3",
        "Within a cycle, signals drift less where the rate is low also per unit of weight path, "
        "forward and backward (each)",
        _cycling,
        lambda p: _within(p, per_path=True),
        asked=lambda p: bool(_cycling(p)),
    ),
)
"""The claims about cyclical rates."""
