"""The study at a glance as Vega-Lite specs: sharpness at the end, and the rivals' shares."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from netstab.evidence.figures import look as looks
from netstab.evidence.figures.palette import BLOCK_COLOURS, GAIN_COLOUR, GRID, INK, SOFT
from netstab.evidence.figures.tables import KINDS
from netstab.study.measuring import NETWORK

FIT = alt.AutoSizeParams(type="fit-x", contains="padding")


def at_the_end(names: Sequence[str], blocks: Sequence[str], epochs: int) -> dict[str, Any]:
    """Sharpness at the end of runs: a row a variant, a mark for the network and each block.

    The dataset `sharpness` is expected to have the rows of `charts_measures.sharpness`; the
    parameter `kind` chooses among them. An eigenvalue that did not converge is an open mark at its
    lower bound.

    Args:
        names: variants, in the order of rows.
        blocks: in the order of colours.
        epochs: of a run.
    """
    of = [NETWORK, *blocks]
    colours = [INK, *(BLOCK_COLOURS[i % len(BLOCK_COLOURS)] for i in range(len(blocks)))]
    shapes = ["diamond", *("circle" for _ in blocks)]
    kept = f"datum.epoch === {epochs} && datum.trait === 'eigenvalue' && datum.kind === kind"
    base = (
        alt.Chart(alt.NamedData("sharpness"))
        .transform_filter(f"{kept} && datum.mean > 0")
        .encode(
            x=alt.X(
                "mean:Q",
                title="largest eigenvalue",
                scale=alt.Scale(type="log", nice=False, padding=12),
                axis=looks.log_axis(grid=True),
            ),
            y=alt.Y(
                "curve:N",
                title=None,
                sort=list(names),
                axis=alt.Axis(grid=True, gridColor=GRID, domain=False, ticks=False),
            ),
            color=alt.Color(
                "block:N",
                scale=alt.Scale(domain=of, range=colours),
                legend=alt.Legend(
                    orient="top", columns=alt.ExprRef("columns"), symbolStrokeWidth=0, symbolSize=90
                ),
            ),
            opacity=looks.when_picked(1, 0.08),
        )
    )
    told = [
        alt.Tooltip("curve:N", title="run"),
        alt.Tooltip("block:N", title="of"),
        alt.Tooltip("mean:Q", title="mean", format=".3g"),
        alt.Tooltip("low:Q", title="smallest", format=".3g"),
        alt.Tooltip("high:Q", title="largest", format=".3g"),
    ]
    symbol = alt.Shape("block:N", scale=alt.Scale(domain=of, range=shapes))
    spread = base.mark_rule(strokeWidth=1.2, aria=False).encode(x="low:Q", x2="high:Q")
    reached = (
        base.transform_filter("datum.converged")
        .mark_point(filled=True, size=64, aria=False)
        .encode(shape=symbol, tooltip=told)
    )
    bound = (
        base.transform_filter("!datum.converged")
        .mark_point(shape="triangle-right", filled=False, size=60, strokeWidth=1.4, aria=False)
        .encode(tooltip=[*told[:2], alt.Tooltip("mean:Q", title="at least", format=".3g")])
    )
    pick = alt.selection_point(name="pick", fields=["block"], bind="legend")
    spec: dict[str, Any] = (
        alt.layer(spread.add_params(pick), reached, bound)
        .add_params(
            alt.param(name="kind", value=KINDS[0]), alt.param(name="columns", value=len(of))
        )
        .properties(width="container", height=19 * len(names), autosize=FIT)
        .to_dict(validate=False)
    )
    return {**spec, "title": {"text": {"expr": "'Sharpness at the end of runs, ' + kind"}}}


def shares(
    rows: Sequence[dict[str, Any]],
    threshold: float,
    domain: tuple[float, float],
    notes: list[str],
) -> dict[str, Any]:
    """Share of the outpost's gain that each rival recovers: mean, interval, and every seed.

    Args:
        rows: (name, mean, low, high), ends of the interval null where there is none, and the
            values in each seed.
        threshold: share from which on the gain counts as recovered.
        domain: ends of the axis; what lies beyond is cut off.
        notes: below the title.
    """
    order = [row["name"] for row in rows]
    y = alt.Y(
        "name:N",
        title=None,
        sort=order,
        axis=alt.Axis(grid=True, domain=False, ticks=False, labelLimit=200),
    )
    summed = alt.Chart(alt.InlineData([{k: row[k] for k in _SUMMED} for row in rows])).encode(y=y)
    each = alt.Chart(
        alt.InlineData(
            [
                {"name": row["name"], "share": value, "seed": seed}
                for row in rows
                for seed, value in row["values"].items()
            ]
        )
    ).encode(y=y)
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
    rule = alt.Chart(alt.InlineData(marks)).encode(x="at:Q")
    up: Any = alt.ExprRef("datum.dy")
    layers = [
        rule.mark_rule(color="#999999", strokeDash=[3, 3], aria=False),
        rule.mark_text(color=SOFT, fontSize=11, baseline="bottom", dy=up, aria=False).encode(
            text="label:N", y=alt.value(0)
        ),
        summed.transform_filter("isValid(datum.low)")
        .mark_rule(strokeWidth=2.5, color=GAIN_COLOUR, clip=True, aria=False)
        .encode(x=alt.X("low:Q"), x2="high:Q"),
        each.mark_tick(
            thickness=1.5, size=9, color=SOFT, opacity=0.8, clip=True, aria=False
        ).encode(
            x="share:Q",
            tooltip=[
                alt.Tooltip("name:N", title="rival"),
                alt.Tooltip("seed:N"),
                alt.Tooltip("share:Q", format=".1%"),
            ],
        ),
        summed.mark_point(
            filled=True, size=90, color=GAIN_COLOUR, opacity=1, clip=True, aria=False
        ).encode(
            x=x,
            tooltip=[
                alt.Tooltip("name:N", title="rival"),
                alt.Tooltip("mean:Q", title="share", format=".1%"),
                alt.Tooltip("low:Q", title="from", format=".1%"),
                alt.Tooltip("high:Q", title="to", format=".1%"),
            ],
        ),
    ]
    spec: dict[str, Any] = (
        alt.layer(*layers)
        .properties(
            width="container",
            height=30 * len(rows),
            autosize=FIT,
            title=alt.TitleParams("Share of the outpost's gain recovered", subtitle=notes),
        )
        .to_dict(validate=False)
    )
    return spec


_SUMMED = ("name", "mean", "low", "high")
