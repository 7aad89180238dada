"""Claims of our own: what the article argues with and does not measure, and its rivals.

Decisions:

* S1: over one epoch, from `report.settle_epochs` after the outpost's last decay to the end; as log
  ratio against the baseline in the same epochs; also per unit of the way that the network's
  weights went meanwhile, since at a lower rate everything moves less.
* S2 checks a manipulation, not an idea: signals that come through frozen blocks should be stiller.
* S3: at the end of the runs, where the plain eigenvalue is the article's 'sharper'. 'Not sharper'
  is a ratio below 1 + `claims.margin_sharpness`. One that did not converge is no value.
* R: given that the outpost gains at all, a rival is to recover more than a share of its gain. The
  share itself, a ratio of means, is told with Fieller's interval.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import log1p

from netstab.evidence.claims.checks import LOG_RATIO, POINTS, Check, Effect
from netstab.evidence.claims.comparability import (
    Obstacle,
    any_of,
    at_first_decay,
    covers_the_end,
    decays,
    no_obstacle,
    same_decay,
)
from netstab.evidence.claims.compare import BASELINE, OUTPOST, Claim, each, less, needs
from netstab.evidence.claims.effects import Study
from netstab.evidence.claims.judgement import Part
from netstab.evidence.claims.statistics import FEWEST_SEEDS, Ratio, Side, above, below, ratio
from netstab.evidence.summary.drift import Direction, places
from netstab.evidence.summary.windows import Floats
from netstab.params import Params
from netstab.study.experiments import Variant, schedule
from netstab.study.measuring import NETWORK
from netstab.study.schedule import Frozen

GAIN = "val_top1_pct"
"""What rivals have to gain, as a final figure."""


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


def _s2(_params: Params) -> list[Check]:
    places: tuple[tuple[str, Direction, str], ...] = (
        ("512", "forward", "at its input"),
        ("64", "backward", "at its output"),
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


def _sharper(variant: Variant, block: str, rule: Side) -> Check:
    def effect(study: Study) -> Floats:
        study.same_protocol(variant, BASELINE)
        return study.log_sharpness(variant, block) - study.log_sharpness(BASELINE, block)

    where = "" if block == NETWORK else f" of block {block}"
    name = f"{variant.name}: sharpness{where} at the end, against baseline's"
    return Check(name, LOG_RATIO, rule, effect)


def _s3(params: Params) -> list[Check]:
    tolerated = below(log1p(params.claims.margin_sharpness))
    return [
        _sharper(OUTPOST, NETWORK, above()),
        *(_sharper(v, v.block or "", above()) for v in each(params, "expA")),
        *(_sharper(v, v.block or "", tolerated) for v in each(params, "expB")),
    ]


def _gain(variant: Variant) -> Effect:
    return lambda study: study.final(variant, GAIN) - study.final(BASELINE, GAIN)


def _recovers(variants: Callable[[Params], list[Variant]]) -> Callable[[Params], list[Check]]:
    def checks(params: Params) -> list[Check]:
        share = params.claims.recovered_share

        def part_of_gain(study: Study) -> Floats:
            return share * _gain(OUTPOST)(study)

        given = Check(
            f"outpost: final {GAIN}, less baseline's", POINTS, above(), _gain(OUTPOST), given=True
        )
        return [
            given,
            *(
                Check(
                    f"{v.name}: gain in final {GAIN}, less {share:g} of outpost's",
                    POINTS,
                    above(),
                    less(_gain(v), part_of_gain),
                )
                for v in variants(params)
            ),
        ]

    return checks


def recovered(params: Params, parts: Sequence[Part]) -> list[Ratio]:
    """Share of the outpost's gain that each part after the first (the gain) stands for.

    None at all where there is no gain on average: a share of it would read like one.

    Args:
        params: the parameters.
        parts: of one of the claims R.
    """
    if not parts or not parts[0].values:
        return []
    gains, share = parts[0].values, params.claims.recovered_share
    if sum(gains.values()) <= 0:
        return []
    return [
        ratio(
            [beyond + share * gains[seed] for seed, beyond in part.values.items()],
            list(gains.values()),
            params.claims.confidence,
        )
        for part in parts[1:]
    ]


def _shares(params: Params, parts: Sequence[Part]) -> str:
    shares = recovered(params, parts)
    if parts and parts[0].values and not shares:
        return "the outpost gains nothing that could be recovered"
    told = []
    for part, found in zip(parts[1:], shares, strict=False):
        whose = part.name.split(":")[0]
        value = "undefined" if found.value is None else f"{found.value:.2f}"
        bounded = found.low is not None
        ends = f" ({found.low:.2f} to {found.high:.2f})" if bounded else " (not bounded)"
        if len(part.values) < FEWEST_SEEDS:
            ends = ""  # there is no interval whose ends could be bounded
        told.append(f"{whose} {value}{ends}")
    return f"share of the outpost's gain: {', '.join(told)}" if told else ""


def _growing(params: Params, parts: Sequence[Part]) -> str:
    """How far the batch grows in place of decay, and where the rate falls since it cannot."""
    told = []
    for before, after in pairwise(schedule(params, Variant("expE", "batch")).phases):
        grown = after.batch_size != before.batch_size
        changes = [f"the batch grows to {after.batch_size:,} images"] if grown else []
        rates = [max(s for s in p.settings if not isinstance(s, Frozen)) for p in (before, after)]
        changes += [f"the rate falls to {rates[1]:.3g}"] if rates[1] < rates[0] else []
        told += [f"at epoch {after.start} {' and '.join(changes)}"] if changes else []
    return "; ".join(note for note in (*told, _shares(params, parts)) if note)


def _rival(
    name: str,
    statement: str,
    obstacle: Obstacle,
    remark: Callable[[Params, Sequence[Part]], str] = _shares,
) -> Claim:
    rivals = needs("strict") if name == "strict" else needs(references=(Variant("expE", name),))
    return Claim(
        f"R-{name}",
        statement,
        lambda p: [BASELINE, OUTPOST, *rivals(p)],
        _recovers(rivals),
        any_of(decays("outpost"), obstacle),
        remark=remark,
    )


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
        lambda p: [BASELINE, Variant("expB", "512"), Variant("expB", "64")],
        _s2,
        no_obstacle,
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
    _rival(
        "ema",
        "Averaging the baseline's weights recovers more than the set share of the outpost's gain",
        at_first_decay("expE.ema", "start_epoch", "outpost"),
    ),
    _rival(
        "bnrecal",
        "Recomputing the baseline's batch-norm statistics recovers more than the set share of the "
        "outpost's gain",
        covers_the_end("expE.bnrecal", "start_epoch"),
    ),
    _rival(
        "batch",
        "Growing the batch instead recovers more than the set share of the outpost's gain",
        same_decay("expE.batch", "outpost"),
        _growing,
    ),
    _rival(
        "head",
        "Training the linear head alone recovers more than the set share of the outpost's gain",
        at_first_decay("expE.head", "freeze_epoch", "outpost"),
    ),
    _rival(
        "strict",
        "Freezing all blocks but one, batch norm and all, recovers more than the set share of the "
        "outpost's gain (each block)",
        at_first_decay("strict", "freeze_epoch", "outpost"),
    ),
)
"""The claims about mechanisms and rivals."""
