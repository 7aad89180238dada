"""Colours, dashes and type of the charts."""

from typing import Any

from netstab.evidence.aggregate import Panel
from netstab.params import Params
from netstab.study.experiments import REFERENCES

# Okabe and Ito's palette without its yellow, which is too faint for a line on white.
BLOCK_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
Style = tuple[str, tuple[int, ...]]
"""Colour and dash of a line."""

REFERENCE_STYLES: dict[str, Style] = {
    "baseline": ("#8A8A8A", (5, 3)),
    "outpost": ("#1A1A1A", (9, 3)),
}
_DASHES: tuple[tuple[int, ...], ...] = ((1, 0), (2, 2), (7, 2, 2, 2))
INK, GRID, FAINT_GRID = "#333333", "#E4E4E4", "#F4F4F4"

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
    "legend": {"labelFontSize": 12, "labelColor": INK, "title": None, "symbolStrokeWidth": 2.4},
}


def line_styles(params: Params, panel: Panel) -> dict[str, Style]:
    """Label -> colour and dash of its line: blocks by colour, references grey, black and dashed.

    A block has the same colour in every panel.
    """
    styles: dict[str, Style] = {}
    blocks = list(params.blocks)
    for line in panel.lines:
        if line.variant.experiment in REFERENCES:
            styles[line.label] = REFERENCE_STYLES[line.variant.experiment]
            continue
        names = blocks if line.variant.block in blocks else list(params.own)
        turn, index = divmod(names.index(line.variant.block or ""), len(BLOCK_COLOURS))
        styles[line.label] = (BLOCK_COLOURS[index], _DASHES[turn % len(_DASHES)])
    return styles
