"""Templates of `dvc plots`: a measure of `metrics/curves.csv`, a panel an experiment.

`python -m netstab.evidence.figures.dvc_plots` writes them to `.dvc/plots/`, which git carries. With
`--offline` it writes a page by which `dvc plots` works without a network, and prints the setting
that switches it on.
"""

import json
from pathlib import Path
from typing import Any

import altair as alt
import typer

from netstab.evidence.figures import vega
from netstab.evidence.figures.theme import MANY_COLOURS, REFERENCE_STYLES
from netstab.files import write_file
from netstab.study.experiments import REFERENCES

TEMPLATES = Path(".dvc/plots")
OFFLINE_PAGE = Path(".dvc/tmp/plots.html")
SCALES = {"accuracy": alt.Scale(zero=False), "loss": alt.Scale(type="log", nice=False)}
"""Name of a template -> its vertical scale."""

# DVC fills these in; see the documentation of its plot templates.
DATA, _X, _Y = "<DVC_METRIC_DATA>", "<DVC_METRIC_X>", "<DVC_METRIC_Y>"
_X_LABEL, _TITLE = "<DVC_METRIC_X_LABEL>", "<DVC_METRIC_TITLE>"


def template(scale: alt.Scale) -> dict[str, Any]:
    """Curves by colour, revisions by dash, a panel an experiment; a click in the legend highlights.

    What curves of a panel have in common is drawn once, as the reference's.

    Args:
        scale: of the vertical axis.
    """
    chart = (
        _lines(scale)
        .properties(width=420, height=230)
        .facet(facet=alt.Facet("experiment:N", title=None), columns=2, data=alt.NamedData(DATA))
    )
    title = alt.TitleParams(_TITLE, anchor="start", fontSize=16)
    if scale["type"] == "log":
        chart = chart.transform_filter(f"datum['{_Y}'] > 0")
        title["subtitle"] = "a loss of 0 is left out: it has no place on this axis"
    rank = f"indexof({json.dumps(REFERENCES[::-1])}, datum.curve)"  # -1 for a block
    spec: dict[str, Any] = (
        chart.transform_calculate(rank=rank)
        .transform_window(
            copy="row_number()",
            groupby=["experiment", "rev", _X, _Y],
            sort=[alt.SortField("rank", order="descending")],
        )
        .transform_filter("datum.copy === 1")
        .properties(title=title)
        .to_dict(validate=False)
    )
    # The page of DVC loads an older Vega-Lite than Altair writes for; what is used here is in both.
    for key in ("config", "$schema", "datasets"):
        spec.pop(key, None)
    # Where Altair would put it (on top, with a list of views), older versions do not find it.
    spec["spec"]["params"] = [
        {"name": "pick", "select": {"type": "point", "fields": ["curve"]}, "bind": "legend"}
    ]
    return {**spec, "data": {"values": DATA}}


def _lines(scale: alt.Scale) -> alt.Chart:
    colours = [*(REFERENCE_STYLES[name][0] for name in REFERENCES), *MANY_COLOURS]
    lines: alt.Chart = (
        alt.Chart()
        .mark_line(strokeWidth=1.5, point=alt.OverlayMarkDef(opacity=0, size=60))
        .encode(
            x=alt.X(f"{_X}:Q", title=_X_LABEL),
            y=alt.Y(f"{_Y}:Q", title=None, scale=scale),
            color=alt.Color(
                "curve:N",
                title="curve",
                scale=alt.Scale(range=colours),
                sort=alt.EncodingSortField("rank", op="min", order="descending"),
                legend=alt.Legend(symbolType="stroke", symbolSize=300, symbolStrokeWidth=2),
            ),
            strokeDash=alt.StrokeDash(
                "rev:N",
                title="revision",
                sort=None,
                scale=alt.Scale(range=[[1, 0], [4, 2], [1, 2], [8, 3]]),
                legend=alt.Legend(
                    symbolType="stroke",
                    symbolSize=500,
                    symbolStrokeWidth=1.5,
                    symbolStrokeColor="#333333",
                    symbolFillColor="transparent",
                ),
            ),
            strokeOpacity=alt.when(alt.selection_point(name="pick"))
            .then(alt.value(1))
            .otherwise(alt.value(0.1)),
            tooltip=[
                alt.Tooltip("rev:N", title="revision"),
                alt.Tooltip("experiment:N"),
                alt.Tooltip("curve:N"),
                alt.Tooltip(f"{_X}:Q"),
                alt.Tooltip(f"{_Y}:Q"),
            ],
        )
    )
    return lines


def offline_page() -> str:
    """A page for `dvc plots` that has Vega within, where DVC's own loads it from the network."""
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Plots</title>'
        f"<script>{vega.bundle()}</script></head><body>{{plot_divs}}</body></html>\n"
    )


def main(offline: bool = False) -> None:
    """Write the templates; with `--offline` a page to draw them without a network instead."""
    if offline:
        write_file(OFFLINE_PAGE, offline_page())
        print(f"dvc config --local plots.html_template {OFFLINE_PAGE.relative_to('.dvc')}")
        return
    for name, scale in SCALES.items():
        write_file(TEMPLATES / f"{name}.json", json.dumps(template(scale), indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
