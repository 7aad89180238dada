"""Every claim judged, and the judgements as files.

Runs are paired by seed: effects are differences within a seed, and a claim that lacks a run of one
seed has no verdict. The order of reasons not to test: missing run, not comparable, not measured,
too few epochs, too few seeds.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from netstab.evidence.claims.checks import conclude, examine
from netstab.evidence.claims.comparability import (
    ARTICLE_BLOCKS,
    constant_baseline,
    early_and_late,
    no_halves,
)
from netstab.evidence.claims.compare import Claim
from netstab.evidence.claims.cyclical import CYCLICAL
from netstab.evidence.claims.effects import Study
from netstab.evidence.claims.judgement import Judgement, Verdict
from netstab.evidence.claims.mechanisms import MECHANISMS
from netstab.evidence.claims.rivals import RIVALS, recovered
from netstab.evidence.claims.statements import STATEMENTS
from netstab.evidence.claims.statistics import Ratio, holm
from netstab.evidence.summary.windows import final_window
from netstab.evidence.texts import counted
from netstab.params import Params
from netstab.results.runs import Collection
from netstab.study.experiments import BASELINE, REFERENCES, Run, view

CLAIMS: dict[str, Claim] = {
    claim.id: claim for claim in (*STATEMENTS, *MECHANISMS, *RIVALS, *CYCLICAL)
}
"""Every claim by its id, the article's first."""

PART_COLUMNS = (
    "claim",
    "part",
    "unit",
    "wanted",
    "n",
    "effect",
    "low",
    "high",
    "p",
    "verdict",
    "decides",
    "note",
)
"""Columns of `metrics/claims.csv`."""


_WITHOUT_EFFECT = (Verdict.NOT_COMPARABLE, Verdict.NOT_MEASURED, Verdict.TOO_FEW_EPOCHS)


def judge(params: Params, collection: Collection) -> tuple[Judgement, ...]:
    """Judge each claim that is asked, in the order of `CLAIMS`; p-values are adjusted over all."""
    study = Study(params, collection)
    asked = [claim for claim in CLAIMS.values() if not claim.asked or claim.asked(params)]
    judged = [_judge(claim, study) for claim in asked]
    adjusted = holm([p for _, p in judged])
    return tuple(replace(one, p_holm=p) for (one, _), p in zip(judged, adjusted, strict=True))


def _judge(claim: Claim, study: Study) -> tuple[Judgement, float | None]:
    """The judgement, and its p-value before adjustment."""
    params = study.params
    if claim.names_blocks and (why := no_halves(params)):
        # First, since there are no runs that are asked for then.
        return _untested(claim, Verdict.NOT_COMPARABLE, why), None
    if why := _missing(claim, study):
        return _untested(claim, Verdict.MISSING_RUN, why), None
    if why := _other_past(claim, params) or claim.obstacle(params) or _mixed(claim, study):
        return _untested(claim, Verdict.NOT_COMPARABLE, why), None
    checks = claim.checks(params)
    parts = tuple(examine(check, study) for check in checks)
    found = conclude(checks, parts, params)
    lacking = (p.note for p in parts if p.verdict is found.verdict and not p.values)
    renamed = _other_names(params) if claim.names_blocks else ""
    remark, moving = claim.remark(params, parts), _unsettled(claim, study)
    said = (*lacking, renamed, remark, found.why, moving)
    notes = [note for note in dict.fromkeys(said) if note]
    judgement = Judgement(
        claim.id,
        claim.statement,
        found.verdict,
        0 if found.verdict in _WITHOUT_EFFECT else len(params.seeds),
        parts,
        found.deciding,
        None,
        "; ".join(notes),
    )
    return judgement, found.p


def _other_names(params: Params) -> str:
    """Which blocks stand for the article's, where they are called otherwise."""
    halves = early_and_late(params)
    if halves == ARTICLE_BLOCKS:
        return ""
    named = zip(("early", "late"), ARTICLE_BLOCKS, halves, strict=True)
    told = (f"{how} blocks ({', '.join(a)}): {', '.join(b)}" for how, a, b in named)
    return f"here {'; '.join(told)}"


def _untested(claim: Claim, verdict: Verdict, why: str) -> Judgement:
    return Judgement(claim.id, claim.statement, verdict, 0, (), None, None, why)


def _missing(claim: Claim, study: Study) -> str:
    """Which of a claim's runs there are not."""
    asked, collection = study.collection.schedules, study.collection
    variants = claim.variants(study.params)
    unasked = [variant.name for variant in variants if variant not in asked]
    runs = (run for variant in variants if variant in asked for run in study.runs(variant))
    lost = [run.name for run in runs if run not in collection.histories]
    return ", ".join([*lost, *(f"{name} (params.yaml does not ask for it)" for name in unasked)])


def _other_past(claim: Claim, params: Params) -> str:
    """Why the baseline is not what a claim's experiments start from; references are themselves."""
    variants = claim.variants(params)
    starting = [v for v in variants if v.experiment not in REFERENCES and not view(params, v)]
    return constant_baseline(params) if BASELINE in variants and starting else ""


def _unsettled(claim: Claim, study: Study) -> str:
    """Whose rate follows a shape to the end, so that there is no plateau to take jitter over."""
    plans = study.collection.schedules
    moving = [v.name for v in claim.variants(study.params) if not plans[v].settles]
    if not moving:
        return ""
    over = counted(final_window(study.params), "epoch")
    return f"the rate of {', '.join(moving)} moves to the end: jitter and drift are of {over} there"


def _mixed(claim: Claim, study: Study) -> str:
    """What else than an intervention tells a claim's runs apart: data, numerics, protocol."""
    collection = study.collection
    runs: list[Run] = [r for v in claim.variants(study.params) for r in study.runs(v)]
    found = [collection.provenance[run] for run in runs if run in collection.provenance]
    if len({p.data.content_sha256 for p in found}) > 1:
        return "its runs were trained on different data"
    if len({p.numerics_version for p in found}) > 1:
        return "its runs were trained by different versions of the numerics"
    return ""


def claims_json(params: Params, judgements: Sequence[Judgement]) -> str:
    """`metrics/claims.json`: one flat entry a claim, for `dvc metrics` and `netstab claims`.

    Numbers and a few words: `dvc metrics diff` makes its columns as wide as the longest value.
    """
    content = {judgement.id: _entry(params, judgement) for judgement in judgements}
    return json.dumps(content, indent=2) + "\n"


def _entry(params: Params, judgement: Judgement) -> dict[str, Any]:
    figures: dict[str, Any] = dict.fromkeys(("effect", "low", "high", "unit"))
    if part := judgement.decider:
        ends = {"low": _rounded(part.low), "high": _rounded(part.high)}
        figures = {"effect": _rounded(part.effect), **ends, "unit": part.unit}
    entry: dict[str, Any] = {
        "verdict": judgement.verdict.value,
        "n": judgement.n,
        **figures,
        "p_holm": _rounded(judgement.p_holm),
    }
    if judgement.id.startswith("R-"):
        share = _deciding_share(params, judgement)
        entry |= {
            "share": _rounded(share.value),
            "share_low": _rounded(share.low),
            "share_high": _rounded(share.high),
        }
    return entry


def _deciding_share(params: Params, judgement: Judgement) -> Ratio:
    """The share of the deciding part; where the precondition decides, that of the first one."""
    shares = recovered(params, judgement.parts)
    if not shares or judgement.deciding is None:
        return Ratio(None, None, None)
    return shares[max(0, judgement.deciding - 1)]


def claims_csv(params: Params, judgements: Sequence[Judgement]) -> str:
    """`metrics/claims.csv`: a row a part; before them, a row without one for a claim's own note."""
    rows: list[tuple[Any, ...]] = []
    for judgement in judgements:
        name, verdict = judgement.id, judgement.verdict.value
        if judgement.note:
            blank = (None,) * 4
            rows.append((name, "", "", "", judgement.n, *blank, verdict, False, judgement.note))
        for index, part in enumerate(judgement.parts):
            what = (part.name, part.unit, part.wanted)
            n = 0 if part.verdict in _WITHOUT_EFFECT else len(params.seeds)
            numbers = (part.effect, part.low, part.high, part.p)
            decides = index == judgement.deciding
            rows.append((name, *what, n, *numbers, part.verdict.value, decides, part.note))
    table = pd.DataFrame(rows, columns=list(PART_COLUMNS))
    return table.to_csv(index=False, float_format="%.6g", lineterminator="\n")


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
