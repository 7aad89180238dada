"""The lines of a panel as all its figures draw them: styles, bands, means, rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import altair as alt

from netstab.evidence.figures import events
from netstab.evidence.figures.theme import (
    BLOCK_COLOURS,
    DASHES,
    REFERENCE_STYLES,
    RIVAL_COLOURS,
    SOFT,
    Style,
    legend_columns,
    when_picked,
)
from netstab.evidence.results import Results
from netstab.evidence.summary.curves import Line, Panel
from netstab.params import Params
from netstab.study.experiments import REFERENCES, Variant


@dataclass(frozen=True, slots=True)
class Look:
    """All that tells the figures of a panel apart in form.

    Attributes:
        epochs: number of epochs of a run.
        styles: colour and dash of every line by its label, in the order of the legend.
        events: epoch and what happens there, drawn as rules.
    """

    epochs: int
    styles: tuple[tuple[str, Style], ...]
    events: tuple[tuple[int, str], ...]

    @property
    def labels(self) -> list[str]:
        """Labels of the lines."""
        return [label for label, _ in self.styles]


def usable(results: Results, panel: Panel) -> list[Line]:
    """The lines of a panel that have a run."""
    return [line for line in panel.lines if line.variant in results.bands]


def look(results: Results, panel: Panel, lines: Sequence[Line]) -> Look:
    """How these of a panel's lines look."""
    styles = line_styles(results.params, panel)
    happens = events.of_panel(results.params, results.collection.schedules, panel)
    return Look(
        epochs=results.params.train.run_epochs,
        styles=tuple((line.label, styles[line.label]) for line in lines),
        events=tuple(happens.items()),
    )


def line_styles(params: Params, panel: Panel) -> dict[str, Style]:
    """Label -> colour and dash of its line; no two lines of a panel have the same pair.

    A block has the same colour in every panel; references are grey, black and dashed. Beside named
    lines, blocks are dotted.
    """
    blocks = list(params.blocks)
    named: dict[str, tuple[list[str], tuple[str, ...]]] = {
        "expE": (list(params.expE.rivals), RIVAL_COLOURS),
        "expF": (list(params.expF.shapes), BLOCK_COLOURS),
        "own": (list(params.own), BLOCK_COLOURS),
    }
    is_mixed = len({line.variant.experiment for line in panel.lines} - set(REFERENCES)) > 1
    styles: dict[str, Style] = {}
    for line in panel.lines:
        variant = line.variant
        if variant.experiment in REFERENCES:
            styles[line.label] = REFERENCE_STYLES[variant.experiment]
            continue
        names, colours = named.get(variant.experiment, (blocks, BLOCK_COLOURS))
        first_dash = int(is_mixed and names is blocks)
        turn, index = divmod(names.index(variant.block or ""), len(colours))
        styles[line.label] = (colours[index], DASHES[(first_dash + turn) % len(DASHES)])
    return styles


def rows(
    lines: Sequence[Line], name: str, common: Mapping[Variant, int]
) -> list[dict[str, str | int]]:
    """A figure's data: each line's table, and the last epoch that an earlier line has as well."""
    return [
        {
            "curve": line.label,
            "common": max(0, common[line.variant]),
            "table": f"{line.variant.name}/{name}",
        }
        for line in lines
    ]


OWN = "(datum.epoch >= datum.common || length(data('pick_store')) > 0)"
"""Drops what an earlier line has in common, up to the epoch `common` where they part, so that it is
drawn once; not while a click in the legend highlights."""

ROW = 13
"""Height of a row of labels above a plot, in pixels."""


def colour(look: Look, offset: float = 8) -> alt.Color:
    """Colours of the lines, and their legend, `offset` pixels above what is drawn."""
    return alt.Color(
        "curve:N",
        scale=alt.Scale(domain=look.labels, range=[colour for _, (colour, _) in look.styles]),
        legend=alt.Legend(
            orient="top",
            offset=offset,
            symbolType="stroke",
            symbolSize=400,
            columns=legend_columns(look.labels),
        ),
    )


def bands(base: alt.Chart, y: alt.Y, colour: alt.Color, opacity: float) -> alt.Chart:
    """From the smallest to the largest over seeds."""
    drawn: alt.Chart = base.mark_area(clip=True, aria=False).encode(
        y=y,
        y2=alt.Y2("high:Q"),
        color=colour,
        # Not `opacity`, which the legend's symbols would take over.
        fillOpacity=when_picked(alt.FillOpacityValue, opacity, 0.02),
    )
    return drawn


def means(
    base: alt.Chart,
    look: Look,
    y: alt.Y,
    colour: alt.Color,
    *selections: alt.Parameter,
    width: float,
) -> alt.Chart:
    """A line a variant, dashed as it looks."""
    dashes = [list(dash) for _, (_, dash) in look.styles]
    drawn: alt.Chart = (
        base.mark_line(clip=True, strokeWidth=width, aria=False)
        .encode(
            y=y,
            color=colour,
            strokeDash=alt.StrokeDash("curve:N", scale=alt.Scale(domain=look.labels, range=dashes)),
            opacity=when_picked(alt.OpacityValue, 1, 0.1),
        )
        .add_params(*selections)
    )
    return drawn


def label_rows(look: Look) -> list[int]:
    """The row of each event's label: one too close to the one before stands a row higher."""
    rows: list[int] = []
    end = 0.0
    for epoch, label in look.events:
        rows.append(1 - rows[-1] if epoch < end and rows else 0)
        # On a phone a label takes up to a seventh of the width, or 6 of some 290 pixels a letter.
        end = epoch + look.epochs * max(1 / 7, len(label) * 6 / 290)
    return rows


def rules(look: Look, *, labelled: bool = False) -> list[alt.Chart]:
    """Rules where something happens.

    Args:
        look: of the figure.
        labelled: with what happens, above the plot; then the chart's parameter `start` hides the
            epochs before it.
    """
    rows = [
        # A change at epoch 60 lies between the figures of epochs 59 and 60.
        {"at": epoch - 0.5, "epoch": epoch, "label": word, "row": row}
        for (epoch, word), row in zip(look.events, label_rows(look), strict=True)
    ]
    if not rows:
        return []
    base = alt.Chart(alt.InlineData(rows)).encode(x=alt.X("at:Q"))
    if labelled:
        base = base.transform_filter("datum.epoch >= start")
    rule = base.mark_rule(clip=True, aria=False, color="#777777", strokeDash=[1, 2])
    return [rule, *(_row(base, row) for row in sorted(set(label_rows(look))) if labelled)]


def _row(base: alt.Chart, row: int) -> alt.Chart:
    """The labels of a row."""
    in_view = [{"test": "inrange(scale('x', datum.at), [0, width])", "value": 1}]
    labels: alt.Chart = (
        base.transform_filter(f"datum.row === {row}")
        .mark_text(
            clip=False,
            aria=False,
            color=SOFT,
            fontSize=11,
            align="left",
            dx=-1,
            baseline="bottom",
        )
        .encode(
            text=alt.Text("label:N"),
            y=alt.YValue(-3 - ROW * row),  # type: ignore[no-untyped-call]
            opacity=alt.OpacityValue(0, condition=in_view),
        )
    )
    return labels
