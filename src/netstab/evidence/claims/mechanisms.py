"""Claims about mechanisms: what the article argues with and does not measure.

Decisions:

* S1: over one epoch, from `report.settle_epochs` after the outpost's last decay to the end; as log
  ratio against the baseline in the same epochs; also per unit of the way that the network's
  weights went meanwhile, since at a lower rate everything moves less.
* S2 checks a manipulation, not an idea: signals that come through frozen blocks should be stiller.
* S3: at the end of the runs, where the plain eigenvalue is the article's 'sharper'. 'Not sharper'
  is a ratio below 1 + `claims.margin_sharpness`. One that did not converge is no value. How far
  the others may be off stands beside each part.
* S4: over one step, in the epochs of S1. Squares of shifts, which have no bias, are averaged over
  epochs; the ratio is of their roots. It is asked where the field is measured.
* S5: losses of the ends are those of the same line: on training images that are not augmented, with
  statistics of batch norm recomputed for both. 'Not the higher' is a difference below
  `claims.margin_loss`. It is asked where barriers are measured.
"""

from collections.abc import Callable
from math import log1p

import numpy as np

from netstab.evidence.claims.checks import LOG_RATIO, NATS, Check, Effect
from netstab.evidence.claims.comparability import (
    any_of,
    constant_baseline,
    decays,
    in_order,
)
from netstab.evidence.claims.compare import Claim, each, needs
from netstab.evidence.claims.effects import Lacking, Study
from netstab.evidence.claims.judgement import Verdict
from netstab.evidence.claims.statistics import Rule, above, below, within
from netstab.evidence.summary.drift import Direction, places
from netstab.evidence.summary.windows import Floats
from netstab.params import Params
from netstab.results.schema import Barrier
from netstab.study.barriers import AVERAGE
from netstab.study.experiments import BASELINE, OUTPOST, Variant
from netstab.study.measuring import NETWORK


def _drift(
    variant: Variant, direction: Direction, where: tuple[str, ...], *, per_path: bool = False
) -> Effect:
    """Log drift of a run less the baseline's, over the same epochs."""

    def effect(study: Study) -> Floats:
        start = study.settled(variant, BASELINE)
        mine, theirs = (
            study.log_drift(v, direction, where, start, per_path=per_path)
            for v in (variant, BASELINE)
        )
        return mine - theirs

    return effect


def _s1(params: Params) -> list[Check]:
    directions: tuple[Direction, ...] = ("forward", "backward")
    return [
        Check(
            f"outpost: {direction} drift{' per weight path' if per_path else ''}, "
            "against baseline's",
            LOG_RATIO,
            below(),
            _drift(OUTPOST, direction, places(params, direction), per_path=per_path),
        )
        for per_path in (False, True)
        for direction in directions
    ]


def _s2(params: Params) -> list[Check]:
    blocks = in_order(params)
    places: tuple[tuple[str, Direction, str], ...] = (
        (blocks[-1], "forward", "at its input"),
        (blocks[0], "backward", "at its output"),
    )
    return [
        Check(
            f"expB-{block}: {direction} drift {where}, against baseline's",
            LOG_RATIO,
            below(),
            _drift(Variant("expB", block), direction, (block,)),
        )
        for block, direction, where in places
    ]


def _sharper(variant: Variant, block: str, rule: Rule) -> Check:
    def effect(study: Study) -> Floats:
        study.same_protocol(variant, BASELINE)
        return study.log_sharpness(variant, block) - study.log_sharpness(BASELINE, block)

    def remark(study: Study) -> str:
        error = study.sharpness_error(variant, BASELINE, block=block)
        return "" if error is None else f"eigenvalues: stated error at most {error:.1%}"

    where = "" if block == NETWORK else f" of block {block}"
    name = f"{variant.name}: sharpness{where} at the end, against baseline's"
    return Check(name, LOG_RATIO, rule, effect, remark=remark)


def _s3(params: Params) -> list[Check]:
    tolerated = below(log1p(params.claims.margin_sharpness))
    return [
        _sharper(OUTPOST, NETWORK, above()),
        *(_sharper(v, v.block or "", above()) for v in each(params, "expA")),
        *(_sharper(v, v.block or "", tolerated) for v in each(params, "expB")),
    ]


def _shifted(block: str, *, per_path: bool) -> Effect:
    """Log shift of the outpost's expected gradient less the baseline's, over the same epochs."""

    def effect(study: Study) -> Floats:
        start = study.settled(OUTPOST, BASELINE)
        mine, theirs = (
            study.log_field_shift(v, block, start, per_path=per_path) for v in (OUTPOST, BASELINE)
        )
        return mine - theirs

    return effect


def _s4(params: Params) -> list[Check]:
    return [
        Check(
            f"outpost: shift of gradients of block {block} over a step"
            f"{' per weight path' if per_path else ''}, against baseline's",
            LOG_RATIO,
            below(),
            _shifted(block, per_path=per_path),
        )
        for per_path in (False, True)
        for block in params.blocks
    ]


def _line(of: Callable[[Barrier], float | None]) -> Effect:
    """A figure of the line from the outpost's end to the averaged baseline's, in each seed."""

    def effect(study: Study) -> Floats:
        found = []
        for run in study.runs(OUTPOST):
            line = study.collection.barriers.found.get((run, "ema"))
            value = None if line is None else of(line)
            if value is None:
                raise Lacking(Verdict.NOT_MEASURED, f"{run.name}: barrier to the averaged baseline")
            found.append(value)
        return np.array(found)

    return effect


def _less(line: Barrier) -> float | None:
    first, *_, last = line.losses
    return None if first is None or last is None else first - last


def _s5(params: Params) -> list[Check]:
    margin = params.claims.margin_loss
    return [
        Check(
            "outpost: barrier between its end and the averaged baseline's",
            NATS,
            within(margin),
            _line(lambda line: line.barrier),
        ),
        Check(
            "outpost: training loss at its end, less the averaged baseline's",
            NATS,
            below(margin),
            _line(_less),
        ),
    ]


MECHANISMS = (
    Claim(
        "S1",
        "After its decay the outpost's signals drift less than the baseline's, forward and "
        "backward, also per unit of weight path",
        needs(references=(BASELINE, OUTPOST)),
        _s1,
        decays("outpost"),
    ),
    Claim(
        "S2",
        "Freezing the rest stills the signals that the trained block sees: forward at the input "
        "of B/512, backward at the output of B/64",
        lambda p: [BASELINE, *(Variant("expB", in_order(p)[end]) for end in (-1, 0))],
        _s2,
        names_blocks=True,
        remark=lambda _params, _parts: "a check of the manipulation, not of the article's idea",
    ),
    Claim(
        "S3",
        "The loss ends sharper where the rate was decayed (outpost; block k in A/k), and not in "
        "B/k",
        needs("expA", "expB", references=(BASELINE, OUTPOST)),
        _s3,
        decays("outpost", "expA"),
    ),
    Claim(
        "S4",
        "After its decay the outpost's field shifts less than the baseline's: a step moves the "
        "expected gradient of each block by a smaller share of a batch's noise, also per unit of "
        "weight path",
        needs(references=(BASELINE, OUTPOST)),
        _s4,
        decays("outpost"),
        asked=lambda params: params.measure.field.every_epochs is not None,
    ),
    Claim(
        "S5",
        "Decay settles into the basin that the constant rate circles in: no barrier between the "
        "outpost's end and the averaged baseline's, and the outpost's training loss is not the "
        "higher",
        needs(references=(BASELINE, OUTPOST, AVERAGE)),
        _s5,
        any_of(decays("outpost"), constant_baseline),
        asked=lambda params: params.measure.barriers.images is not None,
    ),
)
"""The claims about mechanisms."""
