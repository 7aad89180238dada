"""What figures of measurements share: which lines were measured, spots, and small multiples."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt

from netstab import paths
from netstab.evidence.figures import events
from netstab.evidence.figures.lines import Look, bands, colour, means, rows, usable
from netstab.evidence.figures.tables import Table
from netstab.evidence.figures.theme import NARROW, log_axis, pick, when_picked
from netstab.evidence.results import Results
from netstab.evidence.summary.curves import Line, Panel
from netstab.study.experiments import Run

Tables = Mapping[str, Table]

ON_LOG_SCALE = {
    "low": "datum.mean > 0 ? datum.low > 0 ? datum.low : datum.mean / 10 : null",
    "high": "datum.mean > 0 ? datum.high : null",
    "mean": "datum.mean > 0 ? datum.mean : null",
}
"""What lines and bands on a logarithmic scale go through; they break where there is nothing."""

CELL = (118, 108)
"""Width and height of a small multiple in pixels; a page sets the width that it has room for."""


def measured(results: Results, tables: Tables, panel: Panel, name: str) -> list[Line]:
    """A panel's usable lines that have a table of this name."""
    return [line for line in usable(results, panel) if f"{line.variant.name}/{name}" in tables]


def not_measured(results: Results, tables: Tables, panel: Panel, name: str) -> list[str]:
    """Labels of a panel's usable lines that have none."""
    found = measured(results, tables, panel, name)
    return [line.label for line in usable(results, panel) if line not in found]


def measured_rows(
    results: Results, tables: Tables, lines: Sequence[Line], name: str
) -> list[dict[str, str | int]]:
    """A figure's data; what lines have in common ends with an epoch that was measured.

    What happens in an epoch is shared if the epoch is, a state if all epochs before it are.
    """
    shared = events.common_epochs(results, [line.variant for line in lines], of_training=True)
    common = {}
    for variant, epochs in shared.items():
        last = epochs - (0 if name == "sharpness" else 1)
        known = (epoch for epoch in tables[f"{variant.name}/{name}"]["epoch"] if epoch <= last)
        common[variant] = max(known, default=0)
    return rows(lines, name, common)


def run_files(lines: Sequence[Line], sound: Iterable[Run], name: str) -> list[tuple[str, str]]:
    """The file of this name of each of the lines' runs that has a sound one, in their order."""
    return [
        (run.name, f"{paths.RUNS.name}/{run.name}/{name}")
        for line in lines
        for run in sound
        if run.variant == line.variant
    ]


def small_multiples(
    layers: Sequence[alt.Chart], field: str, cells: Mapping[str, str], columns: int, **options: Any
) -> alt.FacetChart:
    """A cell a value of a field, the same layers in each.

    Args:
        layers: of a cell.
        field: whose values have a cell.
        cells: a title for each value, in their order.
        columns: of cells; half as many, or fewer, where a page has less room than `below`.
        options: `width` and `height` of a cell, and what the chart of all of them takes.
    """
    header = alt.Header(labelAnchor="start", labelExpr=f"{json.dumps(cells)}[datum.value]")
    size = {name: options.pop(name) for name in ("width", "height")}
    # Not by methods of the chart: each copies all its layers anew.
    return alt.FacetChart(
        spec=alt.layer(*layers, **size),
        facet=alt.Facet(f"{field}:N", title=None, sort=list(cells), header=header),
        columns=columns,
        usermeta={"narrow": {"below": NARROW, "columns": min(2, math.ceil(len(cells) / 2))}},
        **options,
    )


def log_lines(base: alt.Chart, look: Look, name: str, *told: alt.Tooltip) -> list[alt.Chart]:
    """Bands, means and spots on a logarithmic scale; zero, or less, stands at the lower edge.

    There a line breaks, and its band. A band that reaches zero, which such a scale has not, ends a
    decade below the mean.

    Args:
        base: with the columns mean, low and high.
        look: of the panel.
        name: of the layer of spots.
        told: what spots say besides.
    """
    scale = alt.Scale(type="log", nice=False)
    y = alt.Y("mean:Q", title=None, scale=scale, axis=log_axis(4))
    broken = base.transform_calculate(**ON_LOG_SCALE)
    return [
        bands(broken, alt.Y("low:Q", title=None), colour(look), 0.15),
        means(broken, look, y, colour(look), pick("curve"), width=1.5),
        spots(base.transform_filter("datum.mean > 0"), look, ".3g", *told).properties(name=name),
        _at_the_edge(base, look),
    ]


def spots(base: alt.Chart, look: Look, number: str, *told: alt.Tooltip) -> alt.Chart:
    """A small spot at each measurement, which says what it is, and what else it is told."""
    drawn: alt.Chart = base.mark_circle(aria=False, size=15).encode(
        y=alt.Y("mean:Q", title=None),
        color=colour(look),
        opacity=when_picked(alt.OpacityValue, 1, 0.1),
        tooltip=[
            *tooltip("mean", number),
            alt.Tooltip("low:Q", title="smallest", format=number),
            alt.Tooltip("high:Q", title="largest", format=number),
            *told,
        ],
    )
    return drawn


def tooltip(mean: str, number: str = ".3g") -> list[alt.Tooltip]:
    """Which run, when, and its mean under a title."""
    return [
        alt.Tooltip("curve:N", title="run"),
        alt.Tooltip("epoch:Q"),
        alt.Tooltip("mean:Q", title=mean, format=number),
    ]


def _at_the_edge(base: alt.Chart, look: Look) -> alt.Chart:
    edge: alt.Chart = (
        base.transform_filter("isValid(datum.mean) && datum.mean <= 0")
        .mark_point(shape="triangle-down", filled=True, size=32, aria=False)
        .encode(
            y=alt.YValue(alt.ExprRef("child_height - 3")),  # type: ignore[no-untyped-call]
            color=colour(look),
            opacity=when_picked(alt.OpacityValue, 1, 0.1),
            tooltip=tooltip("mean"),
        )
    )
    return edge
