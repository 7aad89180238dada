"""A figure is a Vega-Lite spec: with its data, the space for it, its legend, and its choices.

Figures of a page share their numbers: a row of a figure's dataset names a table (see `tables`) and
what stands beside each of its rows, and the spec itself joins them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from netstab.evidence import texts
from netstab.evidence.figures.tables import Table
from netstab.evidence.figures.theme import WIDTH
from netstab.evidence.results import Results
from netstab.evidence.summary.curves import Line


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart, and where its numbers come from.

    Attributes:
        spec: Vega-Lite, whole but for the tables that its datasets name and for its parameter
            `room`, the pixels that there are for its width: who draws it has both.
        files: name and address (from the page) of the files that hold the numbers.
    """

    spec: dict[str, Any]
    files: Sequence[tuple[str, str]] = ()

    def filled(self, tables: Mapping[str, Table]) -> dict[str, Any]:
        """The spec of a file of its own, with its tables, of all that there are."""
        datasets = self.spec["datasets"]
        named = {row["table"]: None for rows in datasets.values() for row in rows if "table" in row}
        used = {name: tables[name] for name in named}
        return {
            **self.spec,
            "params": [*self.spec["params"], {"name": "room", "value": WIDTH}],
            "datasets": {**datasets, "tables": table_rows(used)},
        }


def table_rows(tables: Mapping[str, Table]) -> list[dict[str, Any]]:
    """The dataset `tables` of a spec: a row a table, with its name and its columns."""
    return [{"table": name, **columns} for name, columns in tables.items()]


@dataclass(frozen=True, slots=True)
class Choice:
    """A parameter of several figures, which a reader sets by buttons.

    Attributes:
        param: name of the parameter.
        label: what is chosen.
        values: each with the words on its button; the first one holds at the beginning.
        place: of the buttons, where a page has several for the parameter.
    """

    param: str
    label: str
    values: tuple[tuple[str | int, str], ...]
    place: str = ""

    @property
    def id(self) -> str:
        """Of the buttons' element."""
        return "-".join(filter(None, ("choose", self.param, self.place)))

    def parameter(self) -> dict[str, Any]:
        """The parameter, bound to the buttons where there is anything to choose."""
        found: dict[str, Any] = {"name": self.param, "value": self.values[0][0]}
        if len(self.values) > 1:
            found["bind"] = {"element": f"#{self.id}", "event": "change"}
        return found

    @property
    def words(self) -> str:
        """An expression: the words for what is chosen."""
        return f"{json.dumps(dict(self.values))}[{self.param}]"


def built(
    chart: alt.LayerChart | alt.FacetChart,
    *choices: Choice,
    columns: Sequence[str] = (),
    epochs: bool = False,
    **properties: Any,
) -> dict[str, Any]:
    """The spec of a chart.

    Args:
        chart: its layers or cells.
        choices: whose parameters it has.
        columns: of the tables that its data name in a column `table`: the data become a row for
            each row of these.
        epochs: whether a table's rows are epochs from 0 on; otherwise it has a column for them.
        properties: of the chart, as Vega-Lite has them.
    """
    transform: list[dict[str, Any]] = []
    if columns:
        tables = {"data": {"name": "tables"}, "key": "table", "fields": list(columns)}
        transform.append({"lookup": "table", "from": tables})
    if epochs:
        transform.append({"calculate": f"sequence(length(datum.{columns[0]}))", "as": "epoch"})
    if columns:
        transform.append({"flatten": [*columns, *(["epoch"] if epochs else [])]})
    # Not by methods of the chart: each copies all its layers anew.
    spec: dict[str, Any] = {**chart.to_dict(validate=False), **properties}
    if transform:
        spec["transform"] = transform
    spec["params"] = [*spec.get("params", []), *(choice.parameter() for choice in choices)]
    return spec


def finished(
    spec: Mapping[str, Any],
    title: str | dict[str, Any],
    notes: Sequence[str],
    about: str,
    **datasets: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """The spec of a chart with its words and its data.

    Args:
        spec: as Altair builds it.
        title: text, or an expression `{"expr": ...}`.
        notes: lines below the title.
        about: text alternative.
        datasets: the chart's data by name.
    """
    return {
        **spec,
        "title": {"text": title, "subtitle": list(notes)},
        "description": about,
        "datasets": {**spec.get("datasets", {}), **datasets},
    }


def warning(results: Results) -> list[str]:
    """A line below a title that says what the data are, if that needs saying."""
    return [texts.shortened(results.data.warning, 48)] if results.data.warning else []


def seed_note(results: Results, lines: Sequence[Line]) -> list[str]:
    """Lines below a title: the warning, and what is drawn of how many seeds."""
    counts = {len(results.collection.of(line.variant)) for line in lines}
    seeds = texts.counted(max(counts), "seed")
    if min(counts) < max(counts):
        seeds = f"{min(counts)} to {seeds}"
    return [*warning(results), f"mean of {seeds}, band from smallest to largest"]
