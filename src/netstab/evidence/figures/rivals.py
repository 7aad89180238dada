"""The rivals: the share of the outpost's gain that each recovers."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from netstab import paths
from netstab.evidence.claims.judgement import Judgement
from netstab.evidence.claims.rivals import recovered
from netstab.evidence.figures.figure import Figure, built, finished, warning
from netstab.evidence.figures.theme import FIT, GAIN_COLOUR, SOFT
from netstab.evidence.results import Results

FAR = (-1.5, 2.5)
"""Shares beyond which nothing is drawn: the ratio to a small gain can be anything."""


def rivals(results: Results) -> Figure | None:
    """Mean, interval and every seed of each rival's share; None where no share is known."""
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
    interval = f"; line: {confidence:.0%} interval" if has_interval else ""
    shares = ", ".join(
        f"{row['name']} {row['mean']:.0%}"
        + (f" ({row['low']:.0%} to {row['high']:.0%})" if row["low"] is not None else "")
        for row in rows
    )
    spec = finished(
        _spec(rows, results.params.claims.recovered_share, domain),
        "Share of the outpost's gain recovered",
        [
            *warning(results),
            f"point: mean; ticks: seeds{interval}",
            *(["cut off at the edges; triangles: means beyond"] if beyond else []),
        ],
        f"Share of the outpost's gain over the baseline that each rival recovers: {shares}.",
        shares=[{key: row[key] for key in ("name", "mean", "low", "high")} for row in rows],
        seeds=[
            {"name": row["name"], "share": value, "seed": seed}
            for row in rows
            for seed, value in row["values"].items()
        ],
    )
    return Figure(spec, files=[("claims.csv", paths.CLAIM_PARTS.name)])


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


def _spec(
    rows: Sequence[dict[str, Any]], threshold: float, domain: tuple[float, float]
) -> dict[str, Any]:
    """A row a rival.

    Args:
        rows: as `_shares` has them.
        threshold: share from which on the gain counts as recovered.
        domain: ends of the axis; what lies beyond is cut off, means are triangles there.
    """
    y = alt.Y(
        "name:N",
        title=None,
        sort=[row["name"] for row in rows],
        axis=alt.Axis(grid=True, domain=False, ticks=False, labelLimit=200),
    )
    x = alt.X(
        "mean:Q",
        title="share of the outpost's gain",
        axis=alt.Axis(format="%", grid=True, tickCount=6),
        scale=alt.Scale(domain=list(domain), nice=False),
    )
    marks = [
        {"at": 0, "label": "baseline", "dy": -4},
        {"at": threshold, "label": f"{threshold:.0%}", "dy": -17},
        {"at": 1, "label": "outpost", "dy": -4},
    ]
    rule = alt.Chart(alt.InlineData(marks)).encode(x=alt.X("at:Q"))
    up: Any = alt.ExprRef("datum.dy")
    rival = alt.Tooltip("name:N", title="rival")
    numbers = (("mean", "share"), ("low", "from"), ("high", "to"))
    told = [rival, *(alt.Tooltip(f"{n}:Q", title=title, format=".1%") for n, title in numbers)]
    means = alt.Chart(alt.NamedData("shares")).encode(y=y, tooltip=told)
    point: dict[str, Any] = {"filled": True, "size": 90, "color": GAIN_COLOUR, "aria": False}
    low, high = domain
    layers = [
        rule.mark_rule(color="#999999", strokeDash=[3, 3], aria=False),
        rule.mark_text(color=SOFT, fontSize=11, baseline="bottom", dy=up, aria=False).encode(
            text=alt.Text("label:N"), y=alt.value(0)
        ),
        means.transform_filter("isValid(datum.low)")
        .mark_rule(strokeWidth=2.5, color=GAIN_COLOUR, clip=True, aria=False)
        .encode(x=alt.X("low:Q"), x2=alt.X2("high:Q")),
        alt.Chart(alt.NamedData("seeds"))
        .mark_tick(thickness=1.5, size=9, color=SOFT, opacity=0.8, clip=True, aria=False)
        .encode(
            x=alt.X("share:Q"),
            y=y,
            tooltip=[rival, alt.Tooltip("seed:N"), alt.Tooltip("share:Q", format=".1%")],
        ),
        means.transform_filter(f"inrange(datum.mean, [{low}, {high}])")
        .mark_point(**point, opacity=1)
        .encode(x=x),
        means.transform_filter(f"datum.mean < {low}")
        .mark_point(shape="triangle-left", **point, opacity=1)
        .encode(x=alt.value(0)),
        means.transform_filter(f"datum.mean > {high}")
        .mark_point(shape="triangle-right", **point, opacity=1)
        .encode(x=alt.value("width")),
    ]
    return built(alt.layer(*layers), width="container", height=30 * len(rows), autosize=FIT)
