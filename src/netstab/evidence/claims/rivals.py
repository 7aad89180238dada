"""Claims about rivals: what else may have the outpost's gain.

Given that the outpost gains at all, a rival is to recover more than a share of its gain. The share
itself, a ratio of means, has Fieller's interval.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

from netstab.evidence.claims.checks import POINTS, Check, Effect
from netstab.evidence.claims.comparability import (
    Obstacle,
    any_of,
    at_first_decay,
    covers_the_end,
    decays,
    has_batch_norm,
    same_decay,
)
from netstab.evidence.claims.compare import Claim, final, less, needs
from netstab.evidence.claims.effects import Study
from netstab.evidence.claims.judgement import Part
from netstab.evidence.claims.statistics import FEWEST_SEEDS, Ratio, above, ratio
from netstab.evidence.summary.windows import Floats
from netstab.params import Params
from netstab.study.experiments import BASELINE, OUTPOST, Variant, schedule
from netstab.study.schedule import Frozen

GAIN = "val_top1_pct"
"""What rivals have to gain, as a final figure."""


def _gain(variant: Variant) -> Effect:
    return final(variant, BASELINE, GAIN, above()).effect


def _recovers(variants: Callable[[Params], list[Variant]]) -> Callable[[Params], list[Check]]:
    def checks(params: Params) -> list[Check]:
        share = params.claims.recovered_share

        def part_of_gain(study: Study) -> Floats:
            return share * _gain(OUTPOST)(study)

        return [
            replace(final(OUTPOST, BASELINE, GAIN, above()), given=True),
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
    found = []
    for part, share in zip(parts[1:], shares, strict=False):
        whose = part.name.split(":")[0]
        value = "undefined" if share.value is None else f"{share.value:.2f}"
        bounded = share.low is not None
        ends = f" ({share.low:.2f} to {share.high:.2f})" if bounded else " (not bounded)"
        if len(part.values) < FEWEST_SEEDS:
            ends = ""  # there is no interval whose ends could be bounded
        found.append(f"{whose} {value}{ends}")
    return f"share of the outpost's gain: {', '.join(found)}" if found else ""


def _growing(params: Params, parts: Sequence[Part]) -> str:
    """How far the batch grows in place of decay, and where the rate falls since it cannot."""
    notes = []
    for before, after in pairwise(schedule(params, Variant("expE", "batch")).phases):
        grown = after.batch_size != before.batch_size
        changes = [f"the batch grows to {after.batch_size:,} images"] if grown else []
        rates = [max(s for s in p.settings if not isinstance(s, Frozen)) for p in (before, after)]
        changes += [f"the rate falls to {rates[1]:.3g}"] if rates[1] < rates[0] else []
        notes += [f"at epoch {after.start} {' and '.join(changes)}"] if changes else []
    return "; ".join(note for note in (*notes, _shares(params, parts)) if note)


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


RIVALS = (
    _rival(
        "ema",
        "Averaging the baseline's weights recovers more than the set share of the outpost's gain",
        at_first_decay("expE.ema", "start_epoch", "outpost"),
    ),
    _rival(
        "bnrecal",
        "Recomputing the baseline's batch-norm statistics recovers more than the set share of the "
        "outpost's gain",
        any_of(has_batch_norm, covers_the_end("expE.bnrecal", "start_epoch")),
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
        any_of(has_batch_norm, at_first_decay("strict", "freeze_epoch", "outpost")),
    ),
)
"""The claims about rivals."""
