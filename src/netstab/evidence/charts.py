"""Charts as Vega-Lite specs: figures of the page, and the template of `dvc plots`."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import altair as alt
import vl_convert

from netstab.evidence.palette import FAINT_GRID, GRID, INK


@dataclass(frozen=True, slots=True)
class Look:
    """All that tells the figures of a panel apart in form; their data come in by name.

    Attributes:
        epochs: number of epochs of a run.
        styles: label, colour and dash of every line, in the order of the legend.
        events: epoch and what happens there, drawn as labelled rules.
        is_loss: in nats; otherwise in percent.
        is_log: whether the vertical scale is logarithmic.
    """

    epochs: int
    styles: tuple[tuple[str, str, tuple[int, ...]], ...]
    events: tuple[tuple[int, str], ...]
    is_loss: bool
    is_log: bool

    @property
    def labels(self) -> list[str]:
        """Labels of the lines."""
        return [label for label, _, _ in self.styles]


def figure(look: Look, *, title: str, notes: list[str], about: str, height: int) -> dict[str, Any]:
    """Curves of a measure: means over seeds, and bands from the smallest to the largest.

    The dataset `curves` is expected to have the rows (curve, epoch, mean, low, high, own), where
    `own` is false for epochs that an earlier curve has in common: they are drawn once, unless a
    click in the legend highlights. The parameter `start` hides the epochs before it, `columns`
    is the number of columns in the legend.

    Args:
        look: form of the figure.
        title: its title.
        notes: lines below the title.
        about: text alternative.
        height: of the plot in pixels; its width is its container's.
    """
    return {
        **_spec(look),
        "title": {"text": title, "subtitle": notes},
        "description": about,
        "height": height,
    }


@cache
def _spec(look: Look) -> dict[str, Any]:
    # Cached: building a chart with Altair takes a tenth of a second, and few looks differ.
    base = (
        alt.Chart(alt.NamedData("curves"))
        .transform_filter("datum.epoch >= start")
        .encode(
            x=alt.X(
                "epoch:Q",
                title="epoch",
                scale=alt.Scale(zero=False, nice=False),
                axis=alt.Axis(format="d", tickMinStep=1),
            )
        )
    )
    layers = [*_rules(look), *_curves(base, look), *_hover(base, look)]
    spec: dict[str, Any] = (
        alt.layer(*layers)
        .add_params(
            alt.param(name="start", value=0), alt.param(name="columns", value=len(look.styles))
        )
        .properties(
            width="container",
            autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        )
        .to_dict(validate=False)
    )
    return spec


def _curves(base: alt.Chart, look: Look) -> list[alt.Chart]:
    pick = alt.selection_point(name="pick", fields=["curve"], bind="legend")
    zoom = alt.selection_interval(
        name="zoom",
        bind="scales",
        # Fingers and the plain wheel scroll the page; they must not get caught in a chart.
        translate="[pointerdown[event.pointerType !== 'touch'], window:pointerup]"
        " > window:pointermove!",
        zoom="wheel![event.ctrlKey || event.metaKey]",
    )
    drawn = base.transform_filter("datum.own || length(data('pick_store')) > 0")
    band = drawn.mark_area(clip=True, aria=False).encode(
        y=_y("low", look),
        y2="high:Q",
        color=_colour(look),
        # Not `opacity`, which the legend's symbols would take over.
        fillOpacity=alt.when(pick).then(alt.value(0.17)).otherwise(alt.value(0.02)),
    )
    dashes = [list(dash) for _, _, dash in look.styles]
    line = drawn.mark_line(clip=True, strokeWidth=1.7, aria=False).encode(
        y=_y("mean", look),
        color=_colour(look),
        strokeDash=alt.StrokeDash("curve:N", scale=alt.Scale(domain=look.labels, range=dashes)),
        opacity=alt.when(pick).then(alt.value(1)).otherwise(alt.value(0.1)),
    )
    return [band, line.add_params(pick, zoom)]


def _y(field: str, look: Look) -> alt.Y:
    if not look.is_log:
        return alt.Y(f"{field}:Q", title=None, scale=alt.Scale(zero=False))
    labelled = alt.when("datum.label !== ''")
    axis = alt.Axis(
        format="~g",
        tickCount=6,
        gridColor=labelled.then(alt.value(GRID)).otherwise(alt.value(FAINT_GRID)),
    )
    return alt.Y(f"{field}:Q", title=None, scale=alt.Scale(type="log", nice=False), axis=axis)


def _colour(look: Look) -> alt.Color:
    return alt.Color(
        "curve:N",
        scale=alt.Scale(domain=look.labels, range=[colour for _, colour, _ in look.styles]),
        legend=alt.Legend(
            orient="top",
            # Room for the rules' labels between legend and plot.
            offset=22 + 13 * max(_label_rows(look), default=0),
            symbolType="stroke",
            symbolSize=400,
            columns=alt.ExprRef("columns"),
        ),
    )


def _hover(base: alt.Chart, look: Look) -> list[alt.Chart]:
    """A rule at the epoch nearest to the pointer, with every curve's value in its tooltip."""
    hover = alt.selection_point(
        name="hover",
        fields=["epoch"],
        nearest=True,
        on="pointermove",
        clear="pointerout",
        empty=False,
    )
    number = ".4f" if look.is_loss else ".2f"
    rule = (
        base.transform_pivot("curve", value="mean", groupby=["epoch"])
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
        base.transform_filter(hover)
        .mark_circle(clip=True, aria=False, size=36, opacity=1)
        .encode(y=_y("mean", look), color=_colour(look))
    )
    return [rule, points]


def _rules(look: Look) -> list[alt.Chart]:
    """Rules, labelled above the plot; a label too close to the one before stands a row higher."""
    rows = [
        # A change at epoch 60 lies between the figures of epochs 59 and 60.
        {"at": epoch - 0.5, "epoch": epoch, "label": word, "row": row}
        for (epoch, word), row in zip(look.events, _label_rows(look), strict=True)
    ]
    base = alt.Chart(alt.InlineData(rows)).transform_filter("datum.epoch >= start").encode(x="at:Q")
    in_view = alt.when("inrange(scale('x', datum.at), [0, width])")
    labels = [
        base.transform_filter(f"datum.row === {row}")
        .mark_text(
            clip=False,
            aria=False,
            color="#555555",
            fontSize=11,
            align="left",
            dx=-1,
            baseline="bottom",
        )
        .encode(
            text="label:N",
            y=alt.value(-3 - 13 * row),
            opacity=in_view.then(alt.value(1)).otherwise(alt.value(0)),
        )
        for row in sorted(set(_label_rows(look)))
    ]
    rule = base.mark_rule(clip=True, aria=False, color="#777777", strokeDash=[1, 2])
    return [rule, *labels] if rows else []


def _label_rows(look: Look) -> list[int]:
    rows: list[int] = []
    previous = -look.epochs
    for epoch, _ in look.events:
        # On a phone a label takes up to a seventh of the width.
        close = epoch - previous < look.epochs / 7
        rows.append(1 - rows[-1] if close and rows else 0)
        previous = epoch
    return rows


@cache
def vega_bundle() -> str:
    """Vega, Vega-Lite (of the version that Altair writes for) and Vega-Embed as one script."""
    wanted = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    known = vl_convert.get_vegalite_versions()
    version = wanted if wanted in known else known[-1]
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", version)
    # A block of its own keeps the bundle's many short names out of the page's.
    return "{" + script.replace("</script", r"<\/script") + "}"
