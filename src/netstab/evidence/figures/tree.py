"""The tree of shared pasts: a lane a run, from where it leaves another to its end."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from netstab import paths
from netstab.evidence import texts
from netstab.evidence.figures import events
from netstab.evidence.figures.figure import Figure, built, finished
from netstab.evidence.figures.theme import (
    EPOCH_TICKS,
    EXPERIMENT_COLOURS,
    FIT,
    INK,
    SOFT,
    legend_columns,
)
from netstab.params import Params
from netstab.study.experiments import BASELINE, Variant
from netstab.study.plan import Segment, Tree, tree

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
    "linear": "M-1,-1L1,1H-1Z",
    "cosine": "M-1,-1C.4,-1,-.4,1,1,1H-1Z",
    "exponential": "M-1,-1C-.8,.6,-.2,1,1,1H-1Z",
    "triangular": "M-1,1L-.5,-1L0,1L.5,-1L1,1Z",
    "cycle": "triangle-right",
    "warm restarts": "M-1,-1L0,1V-1L1,1H-1Z",
    "restart": "triangle-left",
    "plateau": "M-1,-.45H1V.45H-1Z",
}
"""Word for what happens -> symbol."""


@dataclass(frozen=True, slots=True)
class Lane:
    """The stretch of a run that is drawn as its own.

    Attributes:
        variant: whose lane it is.
        start: where it leaves its parent.
        end: number of epochs of the run.
        parent: whose lane it leaves; None for one from epoch 0 on.
        is_view: whether nothing is trained here: the baseline seen otherwise.
    """

    variant: Variant
    start: int
    end: int
    parent: Variant | None
    is_view: bool = False


def lanes_of(tree: Tree) -> list[Lane]:
    """Every run's lane, each below its parent's; the later it leaves, the nearer.

    So no line from a parent to a child crosses another lane.
    """
    return [lane for root in tree.roots for lane in _below(root, None, tree)]


def _below(first: Segment, parent: Variant | None, tree: Tree) -> Iterator[Lane]:
    variant = first.variants[0]
    yield Lane(variant, first.start, tree.schedules[variant].epochs, parent)
    branches: list[list[Lane]] = []
    segment: Segment | None = first
    while segment is not None:
        following = None
        for child in segment.children:
            if child.variants[0] == variant:
                following = child
            else:
                branches.append(list(_below(child, variant, tree)))
        segment = following
    for view, start in tree.views.items():
        if variant == BASELINE:
            epochs = tree.schedules[view].epochs
            branches.append([Lane(view, start, epochs, variant, is_view=True)])
    for branch in sorted(branches, key=lambda branch: -branch[0].start):
        yield from branch


def shared_pasts(params: Params) -> Figure:
    """The tree of one seed."""
    whole = tree(params)
    lanes = lanes_of(whole)
    happens = {v: events.of_variant(params, v, plan) for v, plan in whole.schedules.items()}
    saved = whole.epochs_apart - whole.epochs
    note = f"{whole.epochs:,} epochs trained instead of {whole.epochs_apart:,}"
    leaving = [
        f"{lane.variant.name} leaves {lane.parent.name} at {lane.start}"
        for lane in lanes
        if lane.parent
    ]
    spec = finished(
        _spec(lanes, happens),
        "The tree of shared pasts, one seed",
        [note, "number: epochs of its own; dashed: views"],
        f"Tree of {texts.counted(len(lanes), 'run')} of one seed over "
        f"{texts.counted(params.train.run_epochs, 'epoch')}: {note}, {saved:,} saved. "
        f"{'; '.join(leaving)}.",
    )
    return Figure(spec, files=[("runs", f"{paths.RUNS.name}/")])


def _spec(
    lanes: Sequence[Lane], happens: Mapping[Variant, Mapping[int, list[str]]]
) -> dict[str, Any]:
    """Lanes, what happens on them, and how many epochs each is trained for."""
    return built(
        alt.layer(_joints(lanes), _lines(lanes), *_marks(lanes, happens)),
        width="container",
        height=HEIGHT * len(lanes),
        autosize=FIT,
    )


def _y(field: str, lanes: Sequence[Lane]) -> alt.Y:
    """A lane a run, with its name and the number of its own epochs at the right."""
    counts = {
        lane.variant.name: "view" if lane.is_view else str(lane.end - lane.start) for lane in lanes
    }
    labels = {name: f"{name} \N{MIDDLE DOT} {count}" for name, count in counts.items()}
    axis = alt.Axis(
        orient="right",
        domain=False,
        ticks=False,
        labelPadding=8,
        labelExpr=f"{json.dumps(labels)}[datum.value]",
    )
    return alt.Y(f"{field}:N", scale=alt.Scale(domain=list(counts)), title=None, axis=axis)


def _colour(lanes: Sequence[Lane]) -> alt.Color:
    experiments = list(dict.fromkeys(lane.variant.experiment for lane in lanes))
    colours = [EXPERIMENT_COLOURS[name] for name in experiments]
    scale = alt.Scale(domain=experiments, range=colours)
    return alt.Color("experiment:N", scale=scale, legend=None)


def _lines(lanes: Sequence[Lane]) -> alt.Chart:
    rows = [
        {
            "lane": lane.variant.name,
            "experiment": lane.variant.experiment,
            "start": lane.start,
            "end": lane.end,
            "view": lane.is_view,
            "parent": f"{lane.parent.name} at {lane.start}" if lane.parent else "nothing",
            "trained": "nothing, a view" if lane.is_view else f"{lane.end - lane.start} epochs",
        }
        for lane in lanes
    ]
    dash = alt.Scale(domain=[False, True], range=[[1, 0], [4, 3]])
    axis = alt.Axis(format="d", tickCount=EPOCH_TICKS)
    lines: alt.Chart = (
        alt.Chart(alt.InlineData(rows))
        .mark_rule(aria=False, strokeWidth=2.6, strokeCap="butt")
        .encode(
            x=alt.X("start:Q", title="epoch", scale=alt.Scale(nice=False), axis=axis),
            x2=alt.X2("end:Q"),
            y=_y("lane", lanes),
            color=_colour(lanes),
            strokeDash=alt.StrokeDash("view:N", scale=dash, legend=None),
            tooltip=[
                alt.Tooltip("lane:N", title="run"),
                alt.Tooltip("trained:N", title="trained for it"),
                alt.Tooltip("parent:N", title="leaves"),
            ],
        )
    )
    return lines


def _joints(lanes: Sequence[Lane]) -> alt.Chart:
    """From a lane to those that leave it."""
    rows = [
        {"at": lane.start, "from": lane.parent.name, "lane": lane.variant.name}
        for lane in lanes
        if lane.parent
    ]
    joints: alt.Chart = (
        alt.Chart(alt.InlineData(rows))
        .mark_rule(aria=False, strokeWidth=1.1, color=JOINT)
        .encode(x=alt.X("at:Q"), y=_y("from", lanes), y2=alt.Y2("lane:N"))
    )
    return joints


def _own(lane: Lane, happens: Mapping[Variant, Mapping[int, list[str]]]) -> Mapping[int, list[str]]:
    """What happens on a lane, and not on its parent's.

    A shape may begin an epoch before the run leaves: its first rate is the one in force.
    """
    before = happens[lane.parent] if lane.parent else {}
    return {
        epoch: words
        for epoch, words in happens[lane.variant].items()
        if epoch >= lane.start or words != before.get(epoch)
    }


def _marks(
    lanes: Sequence[Lane], happens: Mapping[Variant, Mapping[int, list[str]]]
) -> list[alt.Chart]:
    """Symbols where something happens on a lane, as one layer; none where nothing does."""
    rows = [
        {
            "lane": lane.variant.name,
            "experiment": lane.variant.experiment,
            "epoch": epoch,
            "at": max(epoch, lane.start),
            "what": word,
            "place": place,
        }
        for lane in lanes
        for epoch, words in _own(lane, happens).items()
        for place, word in enumerate(words)
    ]
    words = [word for word in SHAPES if any(row["what"] == word for row in rows)]
    if not rows:
        return []
    legend = alt.Legend(
        orient="top",
        offset=4,
        columns=legend_columns(words),
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
            x=alt.X("at:Q"),
            y=_y("lane", lanes),
            color=_colour(lanes),
            shape=alt.Shape("what:N", scale=scale, legend=legend),
            tooltip=[
                alt.Tooltip("lane:N", title="run"),
                alt.Tooltip("epoch:Q"),
                alt.Tooltip("what:N"),
            ],
        )
    )
    return [marks]
