"""Figures of the study as a whole: the tree of shared pasts, the question, the rivals."""

from typing import Any

from netstab import paths
from netstab.evidence.claims.judgement import Judgement
from netstab.evidence.claims.mechanisms import recovered
from netstab.evidence.figures import charts_question, charts_summary, events, question, tree_chart
from netstab.evidence.figures.figures import Figure
from netstab.evidence.figures.lanes import lanes_of
from netstab.evidence.page import texts
from netstab.evidence.summary.aggregate import Results
from netstab.study.plan import tree

WIDE, NARROW = (640, 400), (270, 400)
"""Plots that names are placed for: on a page or in an SVG file, and on a phone."""


def shared_pasts(results: Results) -> Figure:
    """The tree of shared pasts."""
    params = results.params
    whole = tree(params)
    happens = {v: events.of_variant(params, v, plan) for v, plan in whole.schedules.items()}
    saved = whole.epochs_apart - whole.epochs
    note = f"{whole.epochs:,} epochs trained instead of {whole.epochs_apart:,}"
    lanes = lanes_of(whole)
    told = [
        f"{lane.variant.name} leaves {lane.parent.name} at {lane.start}"
        for lane in lanes
        if lane.parent
    ]
    about = (
        f"Tree of {texts.counted(len(lanes), 'run')} of one seed over "
        f"{texts.counted(params.train.run_epochs, 'epoch')}: {note}, {saved:,} saved. "
        f"{'; '.join(told)}."
    )
    words = {word for by_epoch in happens.values() for found in by_epoch.values() for word in found}
    spec = tree_chart.shared_pasts(
        lanes, happens, [note, "number: epochs of its own; dashed: views"], about
    )
    return Figure(spec, labels=sorted(words), files=[("runs", f"{paths.RUNS.name}/")])


def the_question(results: Results, warning: str | None) -> tuple[Figure | None, list[str]]:
    """Change in sharpness against change in drift; and who is left out, with why.

    No figure where no variant beside the baseline has a place.
    """
    points, left_out = question.locate(results)
    absent = [f"{', '.join(names)}: {why}" for why, names in left_out.items()]
    means = [p for p in points if p.seed is None]
    if len(means) < 2:
        return None, absent
    experiments = list(dict.fromkeys(p.variant.experiment for p in means))
    most = max(0.5, *(abs(p.gain) for p in means))
    spec = charts_question.question(experiments, question.domains(points), most, WIDE[1])
    notes = [
        *([texts.shortened(warning, 48)] if warning else []),
        "large: mean over seeds, small: each seed",
    ]
    told = ", ".join(
        f"{p.variant.name} sharpness x {row['sharpness']:.3g}, drift x {row['drift']:.3g}, "
        f"top-1 {p.gain:+.2f}"
        for p in means
        for row in [p.row()]
    )
    filled: dict[str, Any] = {
        **spec,
        "title": {"text": "Sharper, or steadier?", "subtitle": notes},
        "description": "Each variant by its change in sharpness and in forward drift at the end "
        f"against the baseline, coloured by its gain in final validation top-1. {told}.",
        "datasets": {
            **spec.get("datasets", {}),
            "points": [point.row() for point in points],
            "names": [
                {**row, "narrow": is_narrow}
                for is_narrow, size in ((False, WIDE), (True, NARROW))
                for row in question.names(points, *size)
            ],
        },
    }
    files = [("claims.csv", paths.CLAIM_PARTS.name), ("runs", f"{paths.RUNS.name}/")]
    return Figure(filled, labels=experiments, files=files), absent


def rivals(results: Results, warning: str | None) -> Figure | None:
    """Share of the outpost's gain that each rival recovers; None where no share is known."""
    rows = [
        row
        for judgement in results.judgements
        if judgement.id.startswith("R-")
        for row in _shares(results, judgement)
    ]
    if not rows:
        return None
    ends = [
        end for row in rows for end in (row["mean"], row["low"], row["high"]) if end is not None
    ]
    domain = max(FAR[0], min(-0.1, *ends) - 0.1), min(FAR[1], max(1.1, *ends) + 0.1)
    beyond = min(ends) < domain[0] or max(ends) > domain[1]
    confidence = results.params.claims.confidence
    has_interval = any(row["low"] is not None for row in rows)
    notes = [
        *([texts.shortened(warning, 48)] if warning else []),
        f"point: mean; ticks: seeds{f'; line: {confidence:.0%} interval' if has_interval else ''}",
        *(["cut off at the edges"] if beyond else []),
    ]
    share = results.params.claims.recovered_share
    spec = charts_summary.shares(rows, share, domain, notes)
    told = ", ".join(
        f"{row['name']} {row['mean']:.0%}"
        + (f" ({row['low']:.0%} to {row['high']:.0%})" if row["low"] is not None else "")
        for row in rows
    )
    about = f"Share of the outpost's gain over the baseline that each rival recovers: {told}."
    return Figure({**spec, "description": about}, files=[("claims.csv", paths.CLAIM_PARTS.name)])


FAR = (-1.5, 2.5)
"""Shares beyond which nothing is drawn: the ratio to a small gain can be anything."""


def _shares(results: Results, judgement: Judgement) -> list[dict[str, Any]]:
    """A row a part; none where the outpost gains nothing that could be recovered."""
    params = results.params
    if not judgement.parts or (judgement.parts[0].effect or 0.0) <= 0:
        return []
    gain, *parts = judgement.parts
    share = params.claims.recovered_share
    return [
        {
            "name": part.name.split(":")[0],
            "mean": found.value,
            "low": found.low,
            "high": found.high,
            "values": {
                seed: beyond / gain.values[seed] + share
                for seed, beyond in part.values.items()
                if gain.values[seed] > 0
            },
        }
        for part, found in zip(parts, recovered(params, judgement.parts), strict=True)
        if found.value is not None
    ]
