"""Colours, dashes and type of the charts."""

from typing import Any

from netstab.evidence.summary.aggregate import Panel
from netstab.params import Params
from netstab.study.experiments import REFERENCES

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
_DASHES: tuple[tuple[int, ...], ...] = ((1, 0), (2, 2), (7, 2, 2, 2))
INK, SOFT, GRID, FAINT_GRID = "#333333", "#555555", "#E4E4E4", "#F4F4F4"

# Paul Tol's muted palette: experiments, where no line is a block's.
EXPERIMENT_COLOURS = {
    "baseline": "#8A8A8A",
    "outpost": "#1A1A1A",
    "expA": "#332288",
    "expB": "#44AA99",
    "expC": "#CC6677",
    "expD": "#AA4499",
    "strict": "#117733",
    "expE": "#882255",
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
    "own": "M0,-1L.24,-.32L.95,-.31L.39,.12L.59,.81L0,.4L-.59,.81L-.39,.12L-.95,-.31L-.24,-.32Z",
}
MANY_COLOURS = (
    *BLOCK_COLOURS,
    *("#882255", "#999933", "#332288", "#44AA99", "#CC6677", "#117733", "#AA4499", "#88CCEE"),
)
"""For lines that are told apart by colour alone."""
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


def line_styles(params: Params, panel: Panel) -> dict[str, Style]:
    """Label -> colour and dash of its line; no two lines of a panel have the same pair.

    A block has the same colour in every panel; references are grey, black and dashed. Beside named
    lines, blocks are dotted.
    """
    blocks = list(params.blocks)
    named = {
        "expE": (list(params.expE.rivals), RIVAL_COLOURS),
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
        styles[line.label] = (colours[index], _DASHES[(first_dash + turn) % len(_DASHES)])
    return styles
