"""The tree of shared pasts as a Vega-Lite spec: a lane a run, a line from branch to end."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from netstab.evidence.figures.lanes import Lane
from netstab.evidence.figures.look import EPOCH_TICKS
from netstab.evidence.figures.palette import EXPERIMENT_COLOURS, INK, SOFT
from netstab.study.experiments import Variant

HEIGHT = 19
"""Of a lane in pixels."""

JOINT = "#AAAAAA"
"""Colour of the lines from lane to lane, which belong to no run."""

SHAPES = {
    "decay": "triangle-down",
    "raise": "triangle-up",
    "freeze": "square",
    "unfreeze": "cross",
    "larger batch": "diamond",
    "smaller batch": "diamond",
    "averaging": "circle",
    "recalibration": "M-1,-1H1L-1,1H1Z",
}
"""Word for what happens -> symbol."""


def shared_pasts(
    found: Sequence[Lane],
    happens: Mapping[Variant, Mapping[int, list[str]]],
    notes: list[str],
    about: str,
) -> dict[str, Any]:
    """Lanes, what happens on them, and how many epochs each is trained for.

    Args:
        found: lanes in the order in which they are drawn.
        happens: what happens to a variant at which epoch.
        notes: lines below the title.
        about: text alternative.
    """
    layers = [_joints(found), _lines(found)]
    marks = _marks(found, happens)
    if marks:
        layers.append(marks)
    spec: dict[str, Any] = (
        alt.layer(*layers)
        .properties(
            width="container",
            height=HEIGHT * len(found),
            autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
            title=alt.TitleParams("The tree of shared pasts, one seed", subtitle=notes),
            description=about,
        )
        .to_dict(validate=False)
    )
    return spec


def _y(field: str, found: Sequence[Lane]) -> alt.Y:
    """A lane a run, with its name and the number of its own epochs at the right."""
    counts = {
        lane.variant.name: "view" if lane.is_view else str(lane.end - lane.start) for lane in found
    }
    told = {name: f"{name} \N{MIDDLE DOT} {count}" for name, count in counts.items()}
    axis = alt.Axis(
        orient="right",
        domain=False,
        ticks=False,
        labelPadding=8,
        labelExpr=f"{json.dumps(told)}[datum.value]",
    )
    return alt.Y(f"{field}:N", scale=alt.Scale(domain=list(counts)), title=None, axis=axis)


def _colour(found: Sequence[Lane]) -> alt.Color:
    experiments = list(dict.fromkeys(lane.variant.experiment for lane in found))
    colours = [EXPERIMENT_COLOURS[name] for name in experiments]
    scale = alt.Scale(domain=experiments, range=colours)
    return alt.Color("experiment:N", scale=scale, legend=None)


def _lines(found: Sequence[Lane]) -> alt.Chart:
    rows = [
        {
            "lane": lane.variant.name,
            "experiment": lane.variant.experiment,
            "start": lane.start,
            "end": lane.end,
            "view": lane.is_view,
            "parent": f"{lane.parent.name} at {lane.start}" if lane.parent else "nothing",
            "told": "nothing, a view" if lane.is_view else f"{lane.end - lane.start} epochs",
        }
        for lane in found
    ]
    dash = alt.Scale(domain=[False, True], range=[[1, 0], [4, 3]])
    lines: alt.Chart = (
        alt.Chart(alt.InlineData(rows))
        .mark_rule(aria=False, strokeWidth=2.6, strokeCap="butt")
        .encode(
            x=alt.X(
                "start:Q",
                title="epoch",
                scale=alt.Scale(nice=False),
                axis=alt.Axis(format="d", tickCount=EPOCH_TICKS),
            ),
            x2="end:Q",
            y=_y("lane", found),
            color=_colour(found),
            strokeDash=alt.StrokeDash("view:N", scale=dash, legend=None),
            tooltip=[
                alt.Tooltip("lane:N", title="run"),
                alt.Tooltip("told:N", title="trained for it"),
                alt.Tooltip("parent:N", title="leaves"),
            ],
        )
    )
    return lines


def _joints(found: Sequence[Lane]) -> alt.Chart:
    """From a lane to those that leave it."""
    rows = [
        {
            "at": lane.start,
            "from": lane.parent.name,
            "lane": lane.variant.name,
        }
        for lane in found
        if lane.parent
    ]
    joints: alt.Chart = (
        alt.Chart(alt.InlineData(rows))
        .mark_rule(aria=False, strokeWidth=1.1, color=JOINT)
        .encode(x="at:Q", y=_y("from", found), y2="lane:N")
    )
    return joints


def _marks(
    found: Sequence[Lane], happens: Mapping[Variant, Mapping[int, list[str]]]
) -> alt.Chart | None:
    """A symbol where something happens on a lane; None where nothing does."""
    rows = [
        {
            "lane": lane.variant.name,
            "experiment": lane.variant.experiment,
            "epoch": epoch,
            "what": word,
            "place": place,
        }
        for lane in found
        for epoch, words in happens[lane.variant].items()
        if epoch >= lane.start
        for place, word in enumerate(words)
    ]
    words = [word for word in SHAPES if any(row["what"] == word for row in rows)]
    if not rows:
        return None
    legend = alt.Legend(
        orient="top",
        offset=4,
        columns=alt.ExprRef("columns"),
        symbolFillColor=SOFT,
        symbolStrokeColor=INK,
        symbolStrokeWidth=0,
        symbolSize=70,
    )
    scale = alt.Scale(domain=words, range=[SHAPES[word] for word in words])
    marks: alt.Chart = (
        alt.Chart(alt.InlineData(rows))
        .mark_point(
            filled=True,
            size=74,
            stroke="white",
            strokeWidth=0.9,
            opacity=1,
            aria=False,
            # What happens at one epoch stands side by side.
            xOffset=alt.ExprRef("9 * datum.place"),
        )
        .encode(
            x="epoch:Q",
            y=_y("lane", found),
            color=_colour(found),
            shape=alt.Shape("what:N", scale=scale, legend=legend),
            tooltip=[
                alt.Tooltip("lane:N", title="run"),
                alt.Tooltip("epoch:Q"),
                alt.Tooltip("what:N"),
            ],
        )
        .add_params(alt.param(name="columns", value=len(words)))
    )
    return marks
