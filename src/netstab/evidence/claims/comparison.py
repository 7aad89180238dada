"""Two revisions of a study compared: the final figures of each variant, paired by seed.

A change is tested as the claims' effects are: a t-interval of the differences in each seed, and
p-values that are Holm-adjusted over all figures that changed at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from netstab.evidence.claims.checks import Check, examine, unit_of
from netstab.evidence.claims.effects import Study
from netstab.evidence.claims.judgement import Part, Verdict
from netstab.evidence.claims.statistics import above, below, holm
from netstab.evidence.summary.windows import final
from netstab.results.schema import MEASURES
from netstab.study.experiments import Run, Variant

HIGHER, LOWER, UNCHANGED = "higher", "lower", "unchanged"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A final figure of a variant in two revisions.

    Attributes:
        variant: of the study.
        figure: `final_val_top1_pct`, `final_val_loss` (in nats), ...
        unit: of the change: points or nats.
        seeds: that both revisions have a usable run of.
        old: mean over these seeds in the first revision; None without a seed.
        new: in the second one.
        effect: mean over seeds of new less old; None where the two are not compared.
        low: lower end of its interval; None with fewer than three seeds.
        high: upper end.
        p_holm: of the two-sided t-test, adjusted over all figures that changed.
        verdict: `higher`, `lower`, `unchanged` (to the bit), `inconclusive`, `too few seeds`, ...
        note: what else a reader must know.
    """

    variant: str
    figure: str
    unit: str
    seeds: tuple[int, ...]
    old: float | None
    new: float | None
    effect: float | None
    low: float | None
    high: float | None
    p_holm: float | None
    verdict: str
    note: str


def compare(old: Study, new: Study) -> list[Comparison]:
    """Every final figure of the variants that both revisions ask for, in the order of the second.

    Args:
        old: the first revision, with its own parameters: its windows are its own.
        new: the second revision; its confidence counts.
    """
    shared = [v for v in new.collection.schedules if v in old.collection.schedules]
    found = [_compare(old, new, variant, measure) for variant in shared for measure in MEASURES]
    adjusted = holm([p for _, p in found])
    return [replace(one, p_holm=p) for (one, _), p in zip(found, adjusted, strict=True)]


def _compare(
    old: Study, new: Study, variant: Variant, measure: str
) -> tuple[Comparison, float | None]:
    """The comparison, and its p-value before adjustment."""
    seeds = tuple(s for s in new.params.seeds if all(_has(x, variant, s) for x in (old, new)))
    before, after = _of_seeds(old, seeds), _of_seeds(new, seeds)
    means = (_mean(before, variant, measure), _mean(after, variant, measure))
    note = _other_numerics(before, after, variant)

    def comparison(verdict: str, part: Part | None = None, why: str = "") -> Comparison:
        numbers = (part.effect, part.low, part.high) if part else (None,) * 3
        notes = "; ".join(filter(None, (why, note)))
        named = (variant.name, f"final_{measure}", unit_of(measure))
        return Comparison(*named, seeds, *means, *numbers, None, verdict, notes)

    if not seeds:
        return comparison(Verdict.MISSING_RUN, why="no seed has a usable run in both"), None
    if len(_origins(before, variant) | _origins(after, variant)) > 1:
        return comparison(Verdict.NOT_COMPARABLE, why="trained on different data"), None
    higher, lower = (
        examine(
            Check(
                variant.name,
                unit_of(measure),
                rule,
                lambda study: study.final(variant, measure) - before.final(variant, measure),
            ),
            after,
        )
        for rule in (above(), below())
    )
    if higher.values and not any(higher.values.values()):
        return comparison(UNCHANGED, higher), None
    for part, word in ((higher, HIGHER), (lower, LOWER)):
        if part.verdict is Verdict.SUPPORTED:
            return comparison(word, part, part.note), part.p
    p = None if higher.p is None or lower.p is None else min(higher.p, lower.p)
    return comparison(higher.verdict.value, higher, higher.note), p


def _of_seeds(study: Study, seeds: Sequence[int]) -> Study:
    params = study.params.model_copy(update={"seeds": tuple(seeds)})
    return Study(params, study.collection)


def _has(study: Study, variant: Variant, seed: int) -> bool:
    return Run(variant, seed) in study.collection.histories


def _mean(study: Study, variant: Variant, measure: str) -> float | None:
    if not study.params.seeds:
        return None
    return float(final(study.params, study.curves(variant, measure)).mean())


def _origins(study: Study, variant: Variant) -> set[str]:
    told = study.collection.provenance
    return {told[run].data.content_sha256 for run in study.runs(variant)}


def _other_numerics(before: Study, after: Study, variant: Variant) -> str:
    found = [
        sorted({study.collection.provenance[run].numerics_version for run in study.runs(variant)})
        for study in (before, after)
    ]
    if found[0] == found[1]:
        return ""
    old, new = (", ".join(map(str, versions)) for versions in found)
    return f"version {old} of the numerics against {new}"
