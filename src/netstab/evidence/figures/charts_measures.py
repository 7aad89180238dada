"""Stability and sharpness over epochs as Vega-Lite specs."""

from functools import cache
from typing import Any

import altair as alt

from netstab.evidence.figures import look as looks
from netstab.evidence.figures.look import Look
from netstab.evidence.figures.palette import SOFT
from netstab.evidence.figures.tables import CHANGES, KINDS, TRAITS

CELL = (118, 108)
"""Width and height of a small multiple in pixels; a page sets the width that it has room for."""

CHANGE_TITLES = dict(zip(CHANGES, ("relative change", "1 - CKA", "change per path"), strict=True))
DISTANCE_TITLES = {"epoch": "an epoch", "step": "a step"}
KIND_TITLES = dict(zip(KINDS, ("plain", "adaptive"), strict=True))
TRAIT_TITLES = dict(zip(TRAITS, ("largest eigenvalue", "trace"), strict=True))

_ZERO = "isValid(datum.mean) && datum.mean <= 0"


@cache
def signals(look: Look, places: tuple[str, ...]) -> dict[str, Any]:
    """How far signals shift: a small multiple a place, the same logarithmic scale in all.

    The dataset `signals` is expected to have the rows (curve, distance, place, epoch) with mean,
    low and high of each of `CHANGES`. The parameters `distance` and `change` choose among them.
    What is exactly zero stands as a triangle on the lower edge.

    Args:
        look: of the panel.
        places: in the order in which they are drawn.
    """
    base = (
        alt.Chart()
        .transform_filter(f"datum.distance === distance && {looks.OWN}")
        .transform_calculate(
            mean="datum[change + '_mean']",
            low="datum[change + '_low']",
            high="datum[change + '_high']",
        )
        .encode(x=looks.epoch_axis())
    )
    facet = alt.Facet(
        "place:N", title=None, sort=list(places), header=alt.Header(labelAnchor="start")
    )
    rules = looks.rules(look, labelled=False, from_start=False)
    spec: dict[str, Any] = (
        alt.layer(*rules, *_log_lines(base, look, spots="hover"))
        .properties(width=CELL[0], height=CELL[1])
        .facet(facet=facet, columns=len(places) // 2, data=alt.NamedData("signals"), spacing=14)
        .add_params(
            alt.param(name="distance", value="epoch"),
            alt.param(name="change", value=CHANGES[0]),
            looks.columns(look),
        )
        .to_dict(validate=False)
    )
    text = f"'Signals: ' + {CHANGE_TITLES}[change] + ' over ' + {DISTANCE_TITLES}[distance]"
    return {**spec, "title": {"text": {"expr": text}}}


def _log_lines(base: alt.Chart, look: Look, spots: str = "spots") -> list[alt.Chart]:
    y = alt.Y("mean:Q", title=None, scale=alt.Scale(type="log", nice=False), axis=looks.log_axis(4))
    above = base.transform_filter("datum.mean > 0")
    band = (
        above.transform_filter("datum.low > 0")
        .mark_area(clip=True, aria=False)
        .encode(
            y=alt.Y("low:Q", title=None),
            y2="high:Q",
            color=looks.colour(look),
            fillOpacity=looks.when_picked(0.15, 0.02),
        )
    )
    line = above.mark_line(clip=True, strokeWidth=1.5, aria=False).encode(
        y=y,
        color=looks.colour(look),
        strokeDash=looks.dash(look),
        opacity=looks.when_picked(1, 0.1),
    )
    return [
        band,
        line.add_params(looks.pick()),
        _spots(above, look, ".3g").properties(name=spots).encode(y=alt.Y("mean:Q", title=None)),
        _at_the_edge(base, look),
    ]


def _spots(base: alt.Chart, look: Look, number: str) -> alt.Chart:
    """A small spot at each measurement, which says what it is."""
    spots: alt.Chart = base.mark_circle(clip=True, aria=False, size=15).encode(
        color=looks.colour(look),
        opacity=looks.when_picked(1, 0.1),
        tooltip=[
            alt.Tooltip("curve:N", title="run"),
            alt.Tooltip("epoch:Q"),
            alt.Tooltip("mean:Q", title="mean", format=number),
            alt.Tooltip("low:Q", title="smallest", format=number),
            alt.Tooltip("high:Q", title="largest", format=number),
        ],
    )
    return spots


def _at_the_edge(base: alt.Chart, look: Look) -> alt.Chart:
    """What a logarithmic scale has no place for: zero, or less."""
    edge: alt.Chart = (
        base.transform_filter(_ZERO)
        .mark_point(shape="triangle-down", filled=True, size=32, aria=False)
        .encode(
            y=alt.value(alt.ExprRef("child_height - 3")),
            color=looks.colour(look),
            opacity=looks.when_picked(1, 0.1),
            tooltip=[
                alt.Tooltip("curve:N", title="run"),
                alt.Tooltip("epoch:Q"),
                alt.Tooltip("mean:Q", title="mean", format=".3g"),
            ],
        )
    )
    return edge


@cache
def functional(look: Look, ceilings: tuple[tuple[str, float], ...]) -> dict[str, Any]:
    """Share of predictions that change, over the distance that the parameter `distance` names.

    The dataset `functional` is expected to have the rows (curve, distance, epoch, changed_pct_mean,
    ..._low, ..._high).

    Args:
        look: of the panel.
        ceilings: a label, and the share in which two seeds differ, drawn as rules.
    """
    base = (
        alt.Chart(alt.NamedData("functional"))
        .transform_filter(f"datum.distance === distance && {looks.OWN}")
        .transform_calculate(
            mean="datum.changed_pct_mean",
            low="datum.changed_pct_low",
            high="datum.changed_pct_high",
        )
        .encode(x=looks.epoch_axis(tickCount=looks.EPOCH_TICKS))
    )
    band = base.mark_area(clip=True, aria=False).encode(
        y=alt.Y("low:Q", title=None),
        y2="high:Q",
        color=looks.colour(look),
        fillOpacity=looks.when_picked(0.15, 0.02),
    )
    line = base.mark_line(clip=True, strokeWidth=1.5, aria=False).encode(
        y=alt.Y("mean:Q", title=None),
        color=looks.colour(look),
        strokeDash=looks.dash(look),
        opacity=looks.when_picked(1, 0.1),
    )
    spots = _spots(base, look, ".2f").encode(y=alt.Y("mean:Q", title=None))
    spec: dict[str, Any] = (
        alt.layer(
            *looks.rules(look, labelled=False, from_start=False),
            band,
            line.add_params(looks.pick()),
            spots,
            *_ceiling(ceilings),
        )
        .add_params(alt.param(name="distance", value="epoch"), looks.columns(look))
        .properties(width="container", height=170, autosize=_FIT)
        .to_dict(validate=False)
    )
    text = f"'Changed predictions over ' + {DISTANCE_TITLES}[distance] + ' (%)'"
    return {**spec, "title": {"text": {"expr": text}}}


_FIT = alt.AutoSizeParams(type="fit-x", contains="padding")


def _ceiling(ceilings: tuple[tuple[str, float], ...]) -> list[alt.Chart]:
    if not ceilings:
        return []
    rows = [
        # At opposite ends, since they may be of one height.
        {"label": label, "at": value, "align": ("right", "left")[i % 2], "dx": (-2, 4)[i % 2]}
        for i, (label, value) in enumerate(ceilings)
    ]
    base = alt.Chart(alt.InlineData(rows)).encode(y="at:Q")
    rule = base.mark_rule(color=SOFT, strokeDash=[6, 3], aria=False)
    offsets: dict[str, Any] = {name: alt.ExprRef(f"datum.{name}") for name in ("align", "dx")}
    text = base.mark_text(
        baseline="bottom", dy=-2, fontSize=11, color=SOFT, aria=False, **offsets
    ).encode(text="label:N", x=alt.value(alt.ExprRef("datum.align === 'right' ? width : 0")))
    return [rule, text]


@cache
def sharpness(look: Look) -> dict[str, Any]:
    """Largest eigenvalue and trace over epochs, on logarithmic scales, a small multiple each.

    The dataset `sharpness` is expected to have the rows (curve, kind, trait, block, epoch, mean,
    low, high, converged). The parameters `kind` and `block` choose among them. An eigenvalue that
    did not converge is an open triangle at its lower bound, and no part of the line.
    """
    base = (
        alt.Chart()
        .transform_filter(f"datum.kind === kind && datum.block === block && {looks.OWN}")
        .encode(x=looks.epoch_axis())
    )
    bound = (
        base.transform_filter("!datum.converged && datum.mean > 0")
        .mark_point(shape="triangle-up", filled=False, size=55, strokeWidth=1.4, aria=False)
        .encode(
            y=alt.Y("mean:Q", title=None),
            color=looks.colour(look),
            opacity=looks.when_picked(1, 0.1),
            tooltip=[
                alt.Tooltip("curve:N", title="run"),
                alt.Tooltip("epoch:Q"),
                alt.Tooltip("mean:Q", title="at least", format=".3g"),
            ],
        )
    )
    facet = alt.Facet(
        "title:N",
        title=None,
        sort=list(TRAIT_TITLES.values()),
        header=alt.Header(labelAnchor="start"),
    )
    spec: dict[str, Any] = (
        alt.layer(
            *looks.rules(look, labelled=False, from_start=False),
            *_log_lines(base.transform_filter("datum.converged"), look),
            bound,
        )
        .properties(width=2 * CELL[0], height=150)
        .facet(facet=facet, columns=len(TRAITS), data=alt.NamedData("sharpness"), spacing=24)
        .resolve_scale(y="independent")
        .transform_calculate(title=f"{TRAIT_TITLES}[datum.trait]")
        .add_params(
            alt.param(name="kind", value=KINDS[0]),
            alt.param(name="block", value="network"),
            looks.columns(look),
        )
        .to_dict(validate=False)
    )
    of = "(block === 'network' ? 'whole network' : 'block ' + block)"
    return {**spec, "title": {"text": {"expr": f"'Sharpness of the ' + {of} + ', ' + kind"}}}
