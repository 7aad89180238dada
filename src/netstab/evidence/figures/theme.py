"""How figures look: colours, dashes, type, axes, legends, and what the space for them decides.

Layers of many figures name Altair's channels by their classes (`alt.X("at:Q")`, `alt.YValue(0)`).
For a string, a dictionary or `alt.value` Altair searches its whole schema, some 8 ms each time.
"""

from collections.abc import Sequence
from typing import Any

import altair as alt

# Okabe and Ito's palette without its yellow, which is too faint for a line on white.
BLOCK_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
# For lines that stand beside those of blocks: what four blocks leave over, and two darker ones.
RIVAL_COLOURS = ("#D55E00", "#56B4E9", "#882255", "#999933")
Style = tuple[str, tuple[int, ...]]
"""Colour and dash of a line."""

REFERENCE_STYLES: dict[str, Style] = {
    "baseline": ("#8A8A8A", (5, 3)),
    "outpost": ("#1A1A1A", (9, 3)),
}
DASHES: tuple[tuple[int, ...], ...] = ((1, 0), (2, 2), (7, 2, 2, 2))
INK, SOFT, GRID, FAINT_GRID = "#333333", "#555555", "#E4E4E4", "#F4F4F4"

# Paul Tol's muted palette: experiments, where no line is a block's.
EXPERIMENT_COLOURS = {
    **{name: colour for name, (colour, _) in REFERENCE_STYLES.items()},
    "expA": "#332288",
    "expB": "#44AA99",
    "expC": "#CC6677",
    "expD": "#AA4499",
    "strict": "#117733",
    "expE": "#882255",
    "expF": "#4477AA",
    "own": "#999933",
}
EXPERIMENT_SHAPES = {
    "baseline": "circle",
    "outpost": "square",
    "expA": "triangle-up",
    "expB": "triangle-down",
    "expC": "diamond",
    "expD": "cross",
    "strict": "triangle-left",
    "expE": "triangle-right",
    "expF": "M-1,.6L-.5,-.8L0,.6L.5,-.8L1,.6Z",
    "own": "M0,-1L.24,-.32L.95,-.31L.39,.12L.59,.81L0,.4L-.59,.81L-.39,.12L-.95,-.31L-.24,-.32Z",
}
MANY_COLOURS = (
    *BLOCK_COLOURS,
    *("#882255", "#999933", "#332288", "#44AA99", "#CC6677", "#117733", "#AA4499", "#88CCEE"),
)
"""For lines that differ in colour alone."""
LOSS_COLOUR, EVEN_COLOUR, GAIN_COLOUR = "#B35806", "#F7F7F7", "#2166AC"
"""Of a diverging scale that the colour-blind can read: orange, white, blue."""

CONFIG: dict[str, Any] = {
    "font": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif",
    "background": "white",
    "view": {"stroke": None},
    "title": {
        "anchor": "start",
        "frame": "bounds",
        "fontSize": 15,
        "fontWeight": 600,
        "color": "#111111",
        "subtitleFontSize": 11.5,
        "subtitleColor": "#666666",
        "subtitlePadding": 4,
        "offset": 10,
    },
    "header": {"labelFontSize": 11.5, "labelColor": INK, "labelPadding": 4},
    "axis": {
        "domainColor": "#999999",
        "gridColor": GRID,
        "labelColor": INK,
        "labelFontSize": 11,
        "tickColor": "#999999",
        "titleColor": INK,
        "titleFontSize": 11.5,
        "titleFontWeight": "normal",
    },
    "axisY": {"domain": False, "ticks": False, "labelPadding": 6},
    "axisX": {"grid": False},
    "legend": {
        "labelFontSize": 12,
        "labelColor": INK,
        # As much as a phone has room for.
        "labelLimit": 250,
        "title": None,
        "symbolStrokeWidth": 2.4,
    },
}

FIT = {"type": "fit-x", "contains": "padding"}
"""Of a single plot, which takes the width of its container."""

WIDTH = 640
"""Of an SVG file's plot or small multiples, in pixels."""

NARROW = 520
"""Pixels below which a figure is laid out for a phone."""


def legend_columns(labels: Sequence[str]) -> alt.ExprRef:
    """As many columns as fit, 7 pixels a letter and 46 for symbol and gaps, in even rows.

    The parameter `room` of the figure is the width that there is for all of it.
    """
    number, entry = len(labels), 46 + 7 * max(map(len, labels))
    fitting = f"max(1, floor((room - 50) / {entry}))"
    return alt.ExprRef(f"ceil({number} / ceil({number} / {fitting}))")


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


def pick(field: str) -> alt.Parameter:
    """The selection `pick`: a click in the legend of a field."""
    return alt.selection_point(name="pick", fields=[field], bind="legend")


def when_picked(channel: Any, yes: float, no: float) -> Any:
    """A channel's value for what is picked (everything, where nothing is) and for all else."""
    return channel(no, condition=[{"param": "pick", "value": yes}])
