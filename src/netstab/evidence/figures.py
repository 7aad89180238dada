"""The figures of a panel: which curves, in which look, with which words."""

from typing import Any

from netstab.evidence import charts, palette, texts
from netstab.evidence.aggregate import Panel, Results, final_window


def of_panel(results: Results, panel: Panel, warning: str | None) -> dict[str, Any]:
    """Figures by id: the chart's spec, its measure, and the curves that fill it.

    Args:
        results: of the study.
        panel: the experiment and its references.
        warning: what every figure has to say about the data, if anything.

    Returns:
        Nothing where the panel has no usable run at all.
    """
    lines = [line for line in panel.lines if line.variant in results.bands]
    if not lines:
        return {}
    schedules = results.collection.schedules
    events = tuple(texts.panel_events(schedules, panel).items())
    styles = palette.line_styles(results.params, panel)
    common = texts.common_epochs(results, [line.variant for line in lines])
    curves = [
        {"label": line.label, "variant": line.variant.name, "common": common[line.variant]}
        for line in lines
    ]
    figures = {}
    for measure in texts.FIGURES:
        is_loss = measure.endswith("loss")
        lowest = min(results.bands[line.variant][measure].low.min() for line in lines)
        look = charts.Look(
            epochs=results.params.train.run_epochs,
            styles=tuple((line.label, *styles[line.label]) for line in lines),
            events=events,
            is_loss=is_loss,
            is_log=is_loss and bool(lowest > 0),
        )
        spec = charts.figure(
            look,
            title=texts.measure_title(measure),
            notes=_notes(results, panel, warning),
            about=_description(results, panel, measure),
            height=320 if measure == texts.FIGURES[0] else 240,
        )
        name = f"{panel.experiment}-{measure}"
        figures[name] = {"spec": spec, "measure": measure, "lines": curves}
    return figures


def _notes(results: Results, panel: Panel, warning: str | None) -> list[str]:
    counts = {
        len(results.collection.of(line.variant))
        for line in panel.lines
        if line.variant in results.bands
    }
    seeds = texts.counted(max(counts), "seed")
    if min(counts) < max(counts):
        seeds = f"{min(counts)} to {seeds}"
    note = f"mean of {seeds}, band from smallest to largest"
    return [texts.shortened(warning, 48), note] if warning else [note]


def _description(results: Results, panel: Panel, measure: str) -> str:
    """Text alternative of a figure: what is drawn, and where each curve ends."""
    ends = ", ".join(
        f"{line.label} {value:.4g}"
        for line in panel.lines
        if (value := results.summaries[line.variant.name][f"final_{measure}"]) is not None
    )
    return (
        f"{texts.measure_title(measure)} over "
        f"{texts.counted(results.params.train.run_epochs, 'epoch')}. "
        f"{texts.EXPERIMENT_TITLES[panel.experiment]}. "
        f"Mean of the last {texts.counted(final_window(results.params), 'epoch')}: {ends}."
    )
