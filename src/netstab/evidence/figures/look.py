"""How the lines of a panel look, wherever they are drawn: colours, dashes, rules, legend."""

from dataclasses import dataclass
from typing import Any

import altair as alt

from netstab.evidence.figures.palette import FAINT_GRID, GRID, SOFT


@dataclass(frozen=True, slots=True)
class Look:
    """All that tells the figures of a panel apart in form; their data come in by name.

    Attributes:
        epochs: number of epochs of a run.
        styles: label, colour and dash of every line, in the order of the legend.
        events: epoch and what happens there, drawn as rules.
    """

    epochs: int
    styles: tuple[tuple[str, str, tuple[int, ...]], ...]
    events: tuple[tuple[int, str], ...]

    @property
    def labels(self) -> list[str]:
        """Labels of the lines."""
        return [label for label, _, _ in self.styles]


OWN = "(datum.epoch >= datum.common || length(data('pick_store')) > 0)"
"""Drops what an earlier line has in common, up to the epoch `common` where they part, so that it is
drawn once; not while a click in the legend highlights."""

ROW = 13
"""Height of a row of labels above a plot, in pixels."""


def colour(look: Look, offset: float = 8) -> alt.Color:
    """Colours of the lines, and their legend, `offset` pixels above what is drawn.

    The parameter `columns` of the chart is the number of columns in the legend.
    """
    return alt.Color(
        "curve:N",
        scale=alt.Scale(domain=look.labels, range=[colour for _, colour, _ in look.styles]),
        legend=alt.Legend(
            orient="top",
            offset=offset,
            symbolType="stroke",
            symbolSize=400,
            columns=alt.ExprRef("columns"),
        ),
    )


def dash(look: Look) -> alt.StrokeDash:
    """Dashes of the lines."""
    dashes = [list(dash) for _, _, dash in look.styles]
    return alt.StrokeDash("curve:N", scale=alt.Scale(domain=look.labels, range=dashes))


def columns(look: Look) -> alt.Parameter:
    """The parameter that `colour` needs."""
    return alt.param(name="columns", value=len(look.styles))


def pick() -> alt.Parameter:
    """Lines that a click in the legend picks."""
    return alt.selection_point(name="pick", fields=["curve"], bind="legend")


def when_picked(yes: float, no: float) -> Any:
    """A channel's value for picked lines (all of them, where none is picked) and for others."""
    picked = alt.selection_point(name="pick")
    return alt.when(picked).then(alt.value(yes)).otherwise(alt.value(no))


EPOCH_TICKS: Any = alt.ExprRef("min(10, ceil(width / 40))")
"""Of a single plot: as many as Vega would have, but no crowd of them in a wide one."""


def epoch_axis(**options: Any) -> alt.X:
    """Epochs, in whole numbers, no wider than the data; options are the axis's."""
    return alt.X(
        "epoch:Q",
        title="epoch",
        scale=alt.Scale(zero=False, nice=False),
        axis=alt.Axis(format="d", tickMinStep=1, **options),
    )


def log_axis(ticks: int = 6, **options: Any) -> alt.Axis:
    """An axis whose unlabelled lines are fainter."""
    labelled = alt.when("datum.label !== ''")
    grid = labelled.then(alt.value(GRID)).otherwise(alt.value(FAINT_GRID))
    return alt.Axis(format="~g", tickCount=ticks, gridColor=grid, **options)


def label_rows(look: Look) -> list[int]:
    """The row of each event's label: one too close to the one before stands a row higher."""
    rows: list[int] = []
    previous = -look.epochs
    for epoch, _ in look.events:
        # On a phone a label takes up to a seventh of the width.
        close = epoch - previous < look.epochs / 7
        rows.append(1 - rows[-1] if close and rows else 0)
        previous = epoch
    return rows


def rules(look: Look, *, labelled: bool, from_start: bool) -> list[alt.Chart]:
    """Rules where something happens.

    Args:
        look: of the figure.
        labelled: with what happens, above the plot.
        from_start: whether the chart's parameter `start` hides the epochs before it.
    """
    rows = [
        # A change at epoch 60 lies between the figures of epochs 59 and 60.
        {"at": epoch - 0.5, "epoch": epoch, "label": word, "row": row}
        for (epoch, word), row in zip(look.events, label_rows(look), strict=True)
    ]
    if not rows:
        return []
    base = alt.Chart(alt.InlineData(rows)).encode(x="at:Q")
    if from_start:
        base = base.transform_filter("datum.epoch >= start")
    rule = base.mark_rule(clip=True, aria=False, color="#777777", strokeDash=[1, 2])
    if not labelled:
        return [rule]
    return [rule, *(_row(base, row) for row in sorted(set(label_rows(look))))]


def _row(base: alt.Chart, row: int) -> alt.Chart:
    """The labels of a row."""
    in_view = alt.when("inrange(scale('x', datum.at), [0, width])")
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
            text="label:N",
            y=alt.value(-3 - ROW * row),
            opacity=in_view.then(alt.value(1)).otherwise(alt.value(0)),
        )
    )
    return labels
