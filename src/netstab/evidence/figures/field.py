"""The field over epochs: how far gradients shift, block by block, against the noise of a batch."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import altair as alt

from netstab.evidence import texts
from netstab.evidence.figures.figure import Choice, Figure, built, finished, seed_note
from netstab.evidence.figures.lines import OWN, Look, look, rules
from netstab.evidence.figures.measured import (
    CELL,
    Tables,
    log_lines,
    measured,
    measured_rows,
    run_files,
    small_multiples,
)
from netstab.evidence.figures.tables import COLUMNS, ENDS, SHIFTS, rows
from netstab.evidence.figures.theme import SOFT, epoch_axis
from netstab.evidence.results import Results
from netstab.evidence.summary.curves import Line, Panel
from netstab.results.schema import FIELD

DISTANCE = Choice("distance", "Over", (("step", "a step"), ("epoch", "an epoch")), "field")
_TITLES = ("shift", "shift per path", "1 - cosine")
SHIFT = Choice("shift", "As", tuple(zip(SHIFTS, _TITLES, strict=True)))
_NOTES = (
    "dashed line, of the shift: the noise of a batch",
    "triangles: less than the images can tell",
)


def field(results: Results, panel: Panel, tables: Tables) -> dict[str, Figure]:
    """How far a panel's gradients shift over epochs, by id; nothing if not measured."""
    lines = measured(results, tables, panel, "field")
    if not lines:
        return {}
    spec = finished(
        _field(look(results, panel, lines), tuple(results.params.blocks)),
        {"expr": f"'Gradients: ' + {SHIFT.words} + ' over ' + {DISTANCE.words}"},
        [*seed_note(results, lines), *_NOTES],
        "Shift of the expected gradient by block over epochs, in the noise of a batch. "
        f"{texts.EXPERIMENT_TITLES[panel.experiment]}. Over a step, in the last epoch measured, "
        f"from the stillest block to the other end: {_ends(tables, lines)}.",
        field=measured_rows(results, tables, lines, "field"),
    )
    files = run_files(lines, results.collection.field, FIELD)
    return {f"{panel.experiment}-field": Figure(spec, files)}


def _ends(tables: Tables, lines: Sequence[Line]) -> str:
    ends = []
    for line in lines:
        table = tables[f"{line.variant.name}/field"]
        last = ("step", max(table["epoch"]))
        found = [r["shift_mean"] for r in rows(table) if (r["distance"], r["epoch"]) == last]
        known = [value for value in found if value is not None]
        span = f"{min(known):.2g} to {max(known):.2g}" if known else "not known"
        ends.append(f"{line.label} {span}")
    return ", ".join(ends)


@cache
def _field(look: Look, blocks: tuple[str, ...]) -> dict[str, Any]:
    """A small multiple a block, the same logarithmic scale in all, with the noise of a batch."""
    base = (
        alt.Chart()
        .transform_filter(f"datum.distance === distance && {OWN}")
        .transform_calculate(**{end: f"datum[shift + '_{end}']" for end in ENDS})
        .encode(x=epoch_axis())
    )
    noise = (
        alt.Chart(alt.InlineData([{"noise": 1}]))
        .transform_filter("shift === 'shift'")
        .mark_rule(color=SOFT, strokeDash=[6, 3], aria=False)
        .encode(y=alt.Y("noise:Q"))
    )
    chart = small_multiples(
        [*rules(look), noise, *log_lines(base, look, "hover")],
        "block",
        {block: f"block {block}" for block in blocks},
        min(4, len(blocks)),
        data=alt.NamedData("field"),
        spacing=14,
        width=CELL[0],
        height=CELL[1],
    )
    return built(chart, DISTANCE, SHIFT, columns=COLUMNS["field"])
