"""Barriers: how high the loss rises on the way from the end of each variant to other states."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from netstab import paths
from netstab.evidence.figures.figure import Figure, built, finished, warning
from netstab.evidence.figures.theme import (
    BLOCK_COLOURS,
    FIT,
    GRID,
    legend_columns,
    pick,
    when_picked,
)
from netstab.evidence.results import Results
from netstab.evidence.texts import counted, significant
from netstab.study.barriers import AGAINST, Against
from netstab.study.experiments import Run

TITLES: dict[Against, str] = {
    "baseline": "baseline's end",
    "branch": "where it left the baseline",
    "ema": "averaged baseline's end",
}
SHAPES = ("circle", "triangle-up", "diamond")


def barriers(results: Results) -> Figure | None:
    """A row a variant, a mark for each state that its end is joined with; None without any."""
    rows = [
        row
        for variant in results.collection.schedules
        for against in AGAINST
        if (row := _row(results, [Run(variant, s) for s in results.params.seeds], against))
    ]
    if not rows:
        return None
    names = list(dict.fromkeys(row["curve"] for row in rows))
    seeds = max(row["seeds"] for row in rows)
    told = "; ".join(f"{r['curve']} to {r['state']} {significant(r['mean'], 3)}" for r in rows)
    spec = finished(
        _spec(names),
        "Barriers: excess training loss on a line",
        [*warning(results), f"from each variant's end; mean of {counted(seeds, 'seed')}"]
        + (["line: smallest to largest"] if seeds > 1 else []),
        f"Barriers in nats, from the end of each variant: {told}.",
        barriers=rows,
    )
    return Figure(spec, files=[("barriers.json", paths.BARRIERS.name)])


def _row(results: Results, runs: Sequence[Run], against: Against) -> dict[str, Any] | None:
    found = results.collection.barriers.found
    lines = [line for run in runs if (line := found.get((run, against)))]
    heights = [line.barrier for line in lines if line.barrier is not None]
    if not heights:
        return None
    return {
        "curve": runs[0].variant.name,
        "state": TITLES[against],
        "mean": float(f"{sum(heights) / len(heights):.5g}"),
        "low": min(heights),
        "high": max(heights),
        "seeds": len(heights),
    }


def _spec(names: Sequence[str]) -> dict[str, Any]:
    states = list(TITLES.values())
    y = alt.Y(
        "curve:N",
        title=None,
        sort=list(names),
        axis=alt.Axis(grid=True, gridColor=GRID, domain=False, ticks=False),
    )
    color = alt.Color(
        "state:N",
        scale=alt.Scale(domain=states, range=list(BLOCK_COLOURS[: len(states)])),
        legend=alt.Legend(
            orient="top", columns=legend_columns(states), symbolStrokeWidth=0, symbolSize=90
        ),
    )
    base = alt.Chart().encode(y=y, color=color, opacity=when_picked(alt.OpacityValue, 1, 0.08))
    numbers = (("mean", "barrier (nats)"), ("low", "smallest"), ("high", "largest"))
    spread = base.mark_rule(strokeWidth=1.2, aria=False).encode(
        x=alt.X("low:Q"), x2=alt.X2("high:Q")
    )
    points = base.mark_point(filled=True, size=64, aria=False).encode(
        x=alt.X("mean:Q", title="barrier (nats)", axis=alt.Axis(grid=True, tickCount=6)),
        shape=alt.Shape("state:N", scale=alt.Scale(domain=states, range=list(SHAPES))),
        tooltip=[
            alt.Tooltip("curve:N", title="end of"),
            alt.Tooltip("state:N", title="to"),
            *(alt.Tooltip(f"{n}:Q", title=title, format=".3g") for n, title in numbers),
            alt.Tooltip("seeds:Q"),
        ],
    )
    return built(
        alt.layer(spread.add_params(pick("state")), points, data=alt.NamedData("barriers")),
        width="container",
        height=19 * len(names),
        autosize=FIT,
    )
