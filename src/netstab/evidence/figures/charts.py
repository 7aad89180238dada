"""Curves over epochs as Vega-Lite specs: the article's figures."""

from functools import cache
from typing import Any

import altair as alt

from netstab.evidence.figures.look import (
    EPOCH_TICKS,
    OWN,
    ROW,
    Look,
    colour,
    columns,
    dash,
    epoch_axis,
    label_rows,
    log_axis,
    pick,
    rules,
    when_picked,
)
from netstab.evidence.figures.palette import INK


def curves(
    look: Look,
    *,
    is_loss: bool,
    is_log: bool,
    title: str,
    notes: list[str],
    about: str,
    height: int,
) -> dict[str, Any]:
    """Curves of a measure: means over seeds, and bands from the smallest to the largest.

    The dataset `curves` is expected to have the rows (curve, epoch, mean, low, high, common),
    where `common` is the last epoch that an earlier curve has as well: up to there they are drawn
    once, unless a click in the legend highlights. The parameter `start` hides the epochs before it.

    Args:
        look: of the panel.
        is_loss: in nats; otherwise in percent.
        is_log: whether the vertical scale is logarithmic.
        title: of the figure.
        notes: lines below the title.
        about: text alternative.
        height: of the plot in pixels; its width is its container's.
    """
    return {
        **_spec(look, is_loss, is_log),
        "title": {"text": title, "subtitle": notes},
        "description": about,
        "height": height,
    }


@cache
def _spec(look: Look, is_loss: bool, is_log: bool) -> dict[str, Any]:
    # Cached: building a chart with Altair takes a tenth of a second, and few looks differ.
    base = (
        alt.Chart(alt.NamedData("curves"))
        .transform_filter("datum.epoch >= start")
        .encode(x=epoch_axis(tickCount=EPOCH_TICKS))
    )
    layers = [
        *rules(look, labelled=True, from_start=True),
        *_lines(base, look, is_log),
        *_hover(base, look, is_loss, is_log),
    ]
    spec: dict[str, Any] = (
        alt.layer(*layers)
        .add_params(alt.param(name="start", value=0), columns(look))
        .properties(
            width="container",
            autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        )
        .to_dict(validate=False)
    )
    return spec


def _lines(base: alt.Chart, look: Look, is_log: bool) -> list[alt.Chart]:
    zoom = alt.selection_interval(
        name="zoom",
        bind="scales",
        # Fingers and the plain wheel scroll the page; they must not get caught in a chart.
        translate="[pointerdown[event.pointerType !== 'touch'], window:pointerup]"
        " > window:pointermove!",
        zoom="wheel![event.ctrlKey || event.metaKey]",
    )
    drawn = base.transform_filter(OWN)
    band = drawn.mark_area(clip=True, aria=False).encode(
        y=_y("low", is_log),
        y2="high:Q",
        color=_colour(look),
        # Not `opacity`, which the legend's symbols would take over.
        fillOpacity=when_picked(0.17, 0.02),
    )
    line = drawn.mark_line(clip=True, strokeWidth=1.7, aria=False).encode(
        y=_y("mean", is_log),
        color=_colour(look),
        strokeDash=dash(look),
        opacity=when_picked(1, 0.1),
    )
    return [band, line.add_params(pick(), zoom)]


def _y(field: str, is_log: bool) -> alt.Y:
    if not is_log:
        return alt.Y(f"{field}:Q", title=None, scale=alt.Scale(zero=False))
    scale = alt.Scale(type="log", nice=False)
    return alt.Y(f"{field}:Q", title=None, scale=scale, axis=log_axis())


def _colour(look: Look) -> alt.Color:
    # Room for the rules' labels between legend and plot.
    return colour(look, offset=22 + ROW * max(label_rows(look), default=0))


def _hover(base: alt.Chart, look: Look, is_loss: bool, is_log: bool) -> list[alt.Chart]:
    """A rule at the epoch nearest to the pointer, with every curve's value in its tooltip."""
    hover = alt.selection_point(
        name="hover",
        fields=["epoch"],
        nearest=True,
        on="pointermove",
        clear="pointerout",
        empty=False,
    )
    number = ".4f" if is_loss else ".2f"
    rule = (
        base.properties(name="hover")
        .transform_pivot("curve", value="mean", groupby=["epoch"])
        .mark_rule(clip=True, aria=False, color=INK)
        .encode(
            opacity=alt.when(hover).then(alt.value(0.35)).otherwise(alt.value(0)),
            tooltip=[
                alt.Tooltip("epoch:Q"),
                # A title that is a number would be listed before all others.
                *(
                    alt.Tooltip(f"{x}:Q", title=f"block {x}" if x.isdigit() else x, format=number)
                    for x in look.labels
                ),
            ],
        )
        .add_params(hover)
    )
    points = (
        base.properties(name="hover-points")
        .transform_filter(hover)
        .mark_circle(clip=True, aria=False, size=36, opacity=1)
        .encode(y=_y("mean", is_log), color=_colour(look))
    )
    return [rule, points]
