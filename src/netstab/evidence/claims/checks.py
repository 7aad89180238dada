"""One check is an effect held against a claimed side; several make a claim."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from netstab.evidence.claims.effects import Lacking, Study
from netstab.evidence.claims.judgement import Part, Verdict
from netstab.evidence.claims.statistics import FEWEST_SEEDS, Rule, Sample, bonferroni
from netstab.evidence.summary.windows import Floats
from netstab.params import Params

Effect = Callable[[Study], Floats]
"""From the study to an effect in each seed, [seeds]."""

POINTS, NATS, LOG_RATIO, PERCENT = "points", "nats", "log ratio", "%"

NO_TEST = (
    Verdict.NOT_COMPARABLE,
    Verdict.NOT_MEASURED,
    Verdict.TOO_FEW_EPOCHS,
    Verdict.TOO_FEW_SEEDS,
)
"""Reasons for which a part, and with it its claim, goes untested; the first one counts."""

DECIMALS = 9
"""Of rounded effects. Sums of the same numbers in another order differ by some 1e-14, which would
look like an effect where the difference is the same in every seed."""


@dataclass(frozen=True, slots=True)
class Check:
    """An effect, and where it is claimed to be.

    Attributes:
        name: what is compared.
        unit: of the effect.
        rule: the claimed side.
        effect: how to compute it.
        given: a precondition. Unless it is supported the claim is neither supported nor
            contradicted: it says nothing of such a case.
        remark: what else a reader must know of the effect, from the study; "" is nothing.
    """

    name: str
    unit: str
    rule: Rule
    effect: Effect
    given: bool = False
    remark: Callable[[Study], str] = lambda _: ""


def unit_of(measure: str) -> str:
    """Unit of differences in a measure."""
    return NATS if measure.endswith("loss") else POINTS


def examine(check: Check, study: Study) -> Part:
    """Compute the effect in each seed and test it."""
    try:
        with np.errstate(invalid="ignore"):  # two logarithms of zero have no difference
            # Adding zero turns minus zero into zero.
            effects = (np.round(check.effect(study), DECIMALS) + 0.0).tolist()
    except Lacking as lacking:
        return _part(check, {}, lacking.verdict, str(lacking))
    values = dict(zip(study.params.seeds, effects, strict=True))
    if not np.isfinite(effects).all():
        return _with_zeros(check, effects)
    said = check.remark(study)
    if len(effects) < FEWEST_SEEDS:
        return _part(check, values, Verdict.TOO_FEW_SEEDS, said)
    sample, confidence = Sample.of(effects), study.params.claims.confidence
    low, high = check.rule.interval(sample, confidence)
    verdict = check.rule.verdict(sample, confidence)
    notes = ["" if sample.error else "the same in every seed, so without spread", said]
    note = "; ".join(filter(None, notes))
    return _part(check, values, verdict, note, interval=(low, high), p=check.rule.p(sample))


def _with_zeros(check: Check, effects: list[float]) -> Part:
    """A log ratio of which something is exactly zero: on one side in every seed, or undecided."""
    note = "exactly zero in some run, and zero has no logarithm"
    if len(effects) < FEWEST_SEEDS:
        return _part(check, {}, Verdict.TOO_FEW_SEEDS, note)
    if len(set(effects)) > 1 or np.isnan(effects[0]):
        return _part(check, {}, Verdict.INCONCLUSIVE, note, p=1.0)
    whose = "exactly zero" if effects[0] < 0 else "what it is compared with is exactly zero"
    note = f"{whose} in every seed"
    if check.rule.holds(effects[0]):
        return _part(check, {}, Verdict.SUPPORTED, note)
    return _part(check, {}, Verdict.CONTRADICTED, note, p=1.0)


def _part(
    check: Check,
    values: dict[int, float],
    verdict: Verdict,
    note: str = "",
    *,
    interval: tuple[float | None, float | None] = (None, None),
    p: float | None = None,
) -> Part:
    effect = Sample.of(list(values.values())).mean if values else None
    notes = [*(["precondition"] if check.given else []), *([note] if note else [])]
    told = (check.name, check.unit, check.rule.wanted, (check.rule.low, check.rule.high))
    return Part(*told, values, effect, *interval, p, verdict, "; ".join(notes))


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What the parts of a claim come to.

    Attributes:
        verdict: of the claim.
        deciding: index of the part that decided, or comes nearest to deciding otherwise.
        p: the largest of the parts' p-values: all parts have to hold (intersection-union test).
            None where a part went untested.
        why: the reason for a verdict that no part gives; empty where the parts say it.
    """

    verdict: Verdict
    deciding: int
    p: float | None
    why: str = ""


def conclude(checks: Sequence[Check], parts: Sequence[Part], params: Params) -> Conclusion:
    """Supported if each part is; contradicted if any is at the Bonferroni level.

    Supporting needs no adjustment for the number of parts, since all have to hold. Contradicting
    does, since one is enough: each is held against `1 - (1 - confidence) / parts`. Where a
    precondition is not supported, it decides, and the claim is inconclusive; elsewhere a part of
    the statement itself does, for that is the effect that a reader wants to see. The claim's p is
    the largest of all parts, preconditions too.
    """
    for reason in NO_TEST:
        untested = [i for i, part in enumerate(parts) if part.verdict is reason]
        if untested:
            doubtful = [i for i in untested if not _leans(checks[i], parts[i])]
            return Conclusion(reason, (doubtful or untested)[0], None)
    p_values = [part.p for part in parts if part.p is not None]
    p = max(p_values) if p_values else None
    every = range(len(parts))
    failing = [i for i in every if checks[i].given and parts[i].verdict is not Verdict.SUPPORTED]
    stated = [i for i in every if not checks[i].given]
    tests = len(stated)
    adjusted = bonferroni(params.claims.confidence, tests)
    alone = [i for i in stated if parts[i].verdict is Verdict.CONTRADICTED]
    against = [i for i in alone if _contradicted(checks[i], parts[i], adjusted)]
    weakest = max(failing or against or stated, key=lambda i: _weakness(parts[i]))
    if failing:
        why = f"its precondition is not supported ({_named(parts[i] for i in failing)})"
        return Conclusion(Verdict.INCONCLUSIVE, weakest, p, why)
    if against:
        return Conclusion(Verdict.CONTRADICTED, weakest, p)
    if all(part.verdict is Verdict.SUPPORTED for part in parts):
        return Conclusion(Verdict.SUPPORTED, weakest, p)
    level = f"contradicted alone, not at the level for one of {tests} parts: "
    why = level + _named(parts[i] for i in alone) if alone else ""
    return Conclusion(Verdict.INCONCLUSIVE, weakest, p, why)


def _named(parts: Iterable[Part]) -> str:
    """What is compared, without with what."""
    return ", ".join(part.name.split(",")[0] for part in parts)


def _contradicted(check: Check, part: Part, confidence: float) -> bool:
    if not part.values:  # exact zeros: there is no level to adjust
        return part.verdict is Verdict.CONTRADICTED
    if part.verdict is not Verdict.CONTRADICTED:  # then it is not at a stricter level either
        return False
    sample = Sample.of(list(part.values.values()))
    return check.rule.verdict(sample, confidence) is Verdict.CONTRADICTED


def _leans(check: Check, part: Part) -> bool:
    return part.effect is not None and check.rule.holds(part.effect)


def _weakness(part: Part) -> float:
    return -1.0 if part.p is None else part.p
