"""Curves over epochs: the article's figures."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import altair as alt

from netstab import paths
from netstab.evidence import texts
from netstab.evidence.figures import events
from netstab.evidence.figures.figure import Choice, Figure, built, finished, seed_note, warning
from netstab.evidence.figures.lines import (
    OWN,
    ROW,
    Look,
    bands,
    colour,
    label_rows,
    look,
    means,
    rows,
    rules,
    usable,
)
from netstab.evidence.figures.tables import ENDS, RATE, highest_rates
from netstab.evidence.figures.theme import EPOCH_TICKS, FIT, INK, epoch_axis, log_axis, pick
from netstab.evidence.results import Results
from netstab.evidence.summary.curves import Line, Panel
from netstab.evidence.summary.windows import final_window


def curves(results: Results, panel: Panel) -> dict[str, Figure]:
    """A figure a measure by id, such as `expB-val_loss`; none where no line has a run.

    Where a rate follows a shape, one of the rates as well.
    """
    lines = usable(results, panel)
    return {
        f"{panel.experiment}-{measure}": _figure(results, panel, lines, measure)
        for measure in texts.MEASURE_TITLES
        if lines
    } | _rates(results, panel, lines)


def _rates(results: Results, panel: Panel, lines: Sequence[Line]) -> dict[str, Figure]:
    """The learning rates, where one follows a shape; of steps, the rules say enough."""
    plans = [results.collection.schedules[line.variant] for line in lines]
    if not any(plan.sweeps for plan in plans):
        return {}
    lowest = min(min(highest_rates(plan)) for plan in plans)
    drawn = [line.variant for line in lines]
    common = events.common_epochs(results, drawn, of_training=True)
    spec = finished(
        _spec(look(results, panel, lines), start(results, panel), is_loss=True, is_log=lowest > 0),
        "Learning rate",
        [*warning(results), "the highest of the parts that follow a shape;", "else of any part"],
        f"Learning rate over {texts.counted(results.params.train.run_epochs, 'epoch')}, the "
        "highest of the parts that follow a shape, else of any part. "
        f"{texts.EXPERIMENT_TITLES[panel.experiment]}. In the last epoch: "
        + ", ".join(
            f"{line.label} {highest_rates(plan)[-1]:g}"
            for line, plan in zip(lines, plans, strict=True)
        )
        + ".",
        curves=rows(lines, RATE, {v: epochs - 1 for v, epochs in common.items()}),
    )
    files = [("runs", f"{paths.RUNS.name}/")]
    return {f"{panel.experiment}-{RATE}": Figure({**spec, "height": 240}, files)}


def start(results: Results, panel: Panel) -> Choice:
    """The epochs shown: the whole run, or from a few epochs before the first intervention on."""
    changes = list(events.of_panel(results.params, results.collection.schedules, panel))
    # So that the jump at the first change is in view.
    first = changes[0] - max(1, results.params.train.at_scale(5)) if changes else 0
    later = ((first, "From the first intervention"),) if first > 0 else ()
    return Choice("start", "Epochs shown", ((0, "Whole run"), *later), panel.experiment)


def _figure(results: Results, panel: Panel, lines: Sequence[Line], measure: str) -> Figure:
    is_loss = measure.endswith("loss")
    lowest = min(results.bands[line.variant][measure].low.min() for line in lines)
    common = events.common_epochs(
        results, [line.variant for line in lines], of_training=measure.startswith("train")
    )
    is_log = is_loss and bool(lowest > 0)
    spec = finished(
        _spec(look(results, panel, lines), start(results, panel), is_loss, is_log),
        texts.MEASURE_TITLES[measure],
        seed_note(results, lines),
        _description(results, panel, measure),
        curves=rows(lines, measure, {v: epochs - 1 for v, epochs in common.items()}),
    )
    is_first = measure == next(iter(texts.MEASURE_TITLES))
    sized = {**spec, "height": 320 if is_first else 240}
    return Figure(sized, files=[(paths.CURVES.name, paths.CURVES.name)])


def _description(results: Results, panel: Panel, measure: str) -> str:
    """Text alternative of a figure: what is drawn, and where each curve ends."""
    ends = ", ".join(
        f"{line.label} {value:.4g}"
        for line in panel.lines
        if (value := results.summaries[line.variant.name][f"final_{measure}"]) is not None
    )
    return (
        f"{texts.MEASURE_TITLES[measure]} over "
        f"{texts.counted(results.params.train.run_epochs, 'epoch')}. "
        f"{texts.EXPERIMENT_TITLES[panel.experiment]}. "
        f"Mean of the {texts.last(final_window(results.params), 'epoch')}: {ends}."
    )


@cache
def _spec(look: Look, start: Choice, is_loss: bool, is_log: bool) -> dict[str, Any]:
    """Means over seeds, and bands from the smallest to the largest.

    Cached, since building a chart takes Altair a tenth of a second, and few looks differ.

    Args:
        look: of the panel.
        start: the first epoch shown.
        is_loss: in nats; otherwise in percent.
        is_log: whether the vertical scale is logarithmic.
    """
    base = alt.Chart().transform_filter("datum.epoch >= start")
    base = base.encode(x=epoch_axis(tickCount=EPOCH_TICKS))
    layers = [
        *rules(look, labelled=True),
        *_lines(base.transform_filter(OWN), look, is_log),
        *_hover(base, look, is_loss, is_log),
    ]
    spec = built(
        alt.layer(*layers, data=alt.NamedData("curves")),
        start,
        columns=ENDS,
        epochs=True,
        width="container",
        autosize=FIT,
    )
    for param in spec["params"]:
        if param["name"] == "zoom":
            # Zoom and pan belong to the epochs shown. Altair knows no elements as sources.
            chosen = {"source": f"#{start.id}", "type": "input"}
            param["select"]["clear"] = [{"source": "view", "type": "dblclick"}, chosen]
    return spec


def _lines(base: alt.Chart, look: Look, is_log: bool) -> list[alt.Chart]:
    zoom = alt.selection_interval(
        name="zoom",
        bind="scales",
        # Fingers and the plain wheel scroll the page; they must not get caught in a chart.
        translate="[pointerdown[event.pointerType !== 'touch'], window:pointerup]"
        " > window:pointermove!",
        zoom="wheel![event.ctrlKey || event.metaKey]",
    )
    hue = _colour(look)
    return [
        bands(base, _y("low", is_log), hue, 0.17),
        means(base, look, _y("mean", is_log), hue, pick("curve"), zoom, width=1.7),
    ]


def _y(field: str, is_log: bool) -> alt.Y:
    if not is_log:
        return alt.Y(f"{field}:Q", title=None, scale=alt.Scale(zero=False))
    scale = alt.Scale(type="log", nice=False)
    return alt.Y(f"{field}:Q", title=None, scale=scale, axis=log_axis())


def _colour(look: Look) -> alt.Color:
    # Room for the rules' labels between legend and plot.
    return colour(look, offset=22 + ROW * max(label_rows(look), default=0))


def _hover(base: alt.Chart, look: Look, is_loss: bool, is_log: bool) -> list[alt.Chart]:
    """A rule at the epoch nearest to the pointer, with every curve's value in its tooltip."""
    hover = alt.selection_point(
        name="hover",
        fields=["epoch"],
        nearest=True,
        on="pointermove",
        clear="pointerout",
        empty=False,
    )
    number = ".4f" if is_loss else ".2f"
    # A title that is a number would be listed before all others.
    titles = {label: f"block {label}" if label.isdigit() else label for label in look.labels}
    rule = (
        base.properties(name="hover")
        # A line may be called what another field is.
        .transform_calculate(of="'of ' + datum.curve")
        .transform_pivot("of", value="mean", groupby=["epoch"])
        .mark_rule(clip=True, aria=False, color=INK)
        .encode(
            opacity=alt.OpacityValue(
                0, condition=[{"param": "hover", "empty": False, "value": 0.35}]
            ),
            tooltip=[
                alt.Tooltip("epoch:Q"),
                *(
                    alt.Tooltip(f"of {label}:Q", title=title, format=number)
                    for label, title in titles.items()
                ),
            ],
        )
        .add_params(hover)
    )
    points = (
        base.properties(name="hover-points")
        .transform_filter(hover)
        .mark_circle(clip=True, aria=False, size=36, opacity=1)
        .encode(y=_y("mean", is_log), color=_colour(look))
    )
    return [rule, points]
