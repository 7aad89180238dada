"""The article's figures, a panel an experiment: which curves, in which look, with which words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from netstab import paths
from netstab.evidence.figures import charts, events, palette
from netstab.evidence.figures.look import Look
from netstab.evidence.figures.tables import Table
from netstab.evidence.figures.vega import WIDTH
from netstab.evidence.page import texts
from netstab.evidence.summary.aggregate import Line, Panel, Results, final_window


@dataclass(frozen=True, slots=True)
class Source:
    """Rows of a figure: a table of numbers, and what stands in each of its rows beside them."""

    table: str
    constants: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart, and where its numbers come from.

    Attributes:
        spec: Vega-Lite, whose named datasets are to be filled.
        sources: of each dataset.
        labels: of the legend: a page breaks them into rows that fit.
        cells: of a facet: number of small multiples; 0 for a single plot.
        files: name and address (from the page) of the files that hold the numbers.
    """

    spec: dict[str, Any]
    sources: Mapping[str, Sequence[Source]] = field(default_factory=dict)
    labels: Sequence[str] = ()
    cells: int = 0
    files: Sequence[tuple[str, str]] = ()

    def as_json(self) -> dict[str, Any]:
        """What the page's script needs to draw it."""
        return {
            "spec": self.spec,
            "sources": {
                name: [{"table": source.table, "as": source.constants} for source in sources]
                for name, sources in self.sources.items()
            },
            "labels": self.labels,
            "cells": self.cells,
        }

    def filled(self, tables: Mapping[str, Table]) -> dict[str, Any]:
        """The spec with its datasets filled, as the page's script fills them."""
        datasets = {
            name: [row for source in sources for row in _rows(source, tables)]
            for name, sources in self.sources.items()
        }
        filled = {**self.spec, "datasets": {**self.spec.get("datasets", {}), **datasets}}
        if "params" in filled:
            columns = legend_columns(WIDTH, self.labels)
            filled["params"] = [
                {**param, "value": columns} if param["name"] == "columns" else param
                for param in filled["params"]
            ]
        return filled


def legend_columns(width: int, labels: Sequence[str]) -> int:
    """As many columns as fit, 7 pixels a letter and 46 for symbol and gaps, in even rows."""
    if not labels:
        return 1
    fitting = max(1, (width - 50) // (46 + 7 * max(map(len, labels))))
    return ceil(len(labels) / ceil(len(labels) / fitting))


def _rows(source: Source, tables: Mapping[str, Table]) -> list[dict[str, Any]]:
    table = tables[source.table]
    rows = zip(*table.values(), strict=True)
    return [
        {"epoch": index, **dict(zip(table, row, strict=True)), **source.constants}
        for index, row in enumerate(rows)
    ]


def usable(results: Results, panel: Panel) -> list[Line]:
    """The lines of a panel that have a run."""
    return [line for line in panel.lines if line.variant in results.bands]


def look(results: Results, panel: Panel) -> Look:
    """How the usable lines of a panel look."""
    styles = palette.line_styles(results.params, panel)
    happens = events.of_panel(results.params, results.collection.schedules, panel)
    return Look(
        epochs=results.params.train.run_epochs,
        styles=tuple((line.label, *styles[line.label]) for line in usable(results, panel)),
        events=tuple(happens.items()),
    )


def of_panel(results: Results, panel: Panel, warning: str | None) -> dict[str, Figure]:
    """The article's figures by id.

    Args:
        results: of the study.
        panel: the experiment and its references.
        warning: what every figure has to say about the data, if anything.

    Returns:
        Nothing where the panel has no usable run at all.
    """
    lines = usable(results, panel)
    if not lines:
        return {}
    notes = [*seed_note(results, lines, warning)]
    return {
        f"{panel.experiment}-{measure}": _curves(results, panel, measure, notes)
        for measure in texts.FIGURES
    }


def _curves(results: Results, panel: Panel, measure: str, notes: list[str]) -> Figure:
    lines = usable(results, panel)
    is_loss = measure.endswith("loss")
    lowest = min(results.bands[line.variant][measure].low.min() for line in lines)
    common = events.common_epochs(
        results, [line.variant for line in lines], of_training=measure.startswith("train")
    )
    spec = charts.curves(
        look(results, panel),
        is_loss=is_loss,
        is_log=is_loss and bool(lowest > 0),
        title=texts.measure_title(measure),
        notes=notes,
        about=_description(results, panel, measure),
        height=320 if measure == texts.FIGURES[0] else 240,
    )
    sources = [
        Source(
            f"{line.variant.name}/{measure}",
            {"curve": line.label, "common": max(0, common[line.variant] - 1)},
        )
        for line in lines
    ]
    return Figure(
        spec,
        {"curves": sources},
        labels=[line.label for line in lines],
        files=[(paths.CURVES.name, paths.CURVES.name)],
    )


def seed_note(results: Results, lines: Sequence[Line], warning: str | None) -> list[str]:
    """Lines below a title: what the data are, if that needs saying, and what is drawn of them."""
    counts = {len(results.collection.of(line.variant)) for line in lines}
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
