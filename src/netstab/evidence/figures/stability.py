"""Stability over epochs: how far signals shift, and how many predictions change."""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import altair as alt

from netstab.evidence import texts
from netstab.evidence.figures.figure import Choice, Figure, built, finished, seed_note
from netstab.evidence.figures.lines import OWN, Look, bands, colour, look, means, rules
from netstab.evidence.figures.measured import (
    CELL,
    Tables,
    log_lines,
    measured,
    measured_rows,
    run_files,
    small_multiples,
    spots,
)
from netstab.evidence.figures.tables import CHANGES, COLUMNS, ENDS, all_places, rows
from netstab.evidence.figures.theme import EPOCH_TICKS, FIT, SOFT, epoch_axis, pick
from netstab.evidence.results import Results
from netstab.evidence.summary.curves import Line, Panel
from netstab.results.schema import STABILITY
from netstab.study.measuring import NETWORK

DISTANCE = Choice("distance", "Over", (("epoch", "an epoch"), ("step", "a step")))
_TITLES = ("relative change", "1 - CKA", "change per path")
CHANGE = Choice("change", "As", tuple(zip(CHANGES, _TITLES, strict=True)))


def stability(results: Results, panel: Panel, tables: Tables) -> dict[str, Figure]:
    """How far signals shift, and how many predictions change, by id; nothing if not measured."""
    return _moved(results, panel, tables) | _changed(results, panel, tables)


def _moved(results: Results, panel: Panel, tables: Tables) -> dict[str, Figure]:
    lines = measured(results, tables, panel, "stability")
    if not lines:
        return {}
    seen = {place for line in lines for place in tables[f"{line.variant.name}/stability"]["place"]}
    places = tuple(place for place in all_places(results.params) if place in seen)
    unseen = [place for place in all_places(results.params) if place not in seen]
    spec = finished(
        _signals(look(results, panel, lines), places),
        {"expr": f"'Signals: ' + {CHANGE.words} + ' over ' + {DISTANCE.words}"},
        [
            *seed_note(results, lines),
            "triangles on the lower edge: exactly zero",
            *(["not measured: " + ", ".join(unseen)] if unseen else []),
        ],
        f"Stability by block over epochs. {texts.EXPERIMENT_TITLES[panel.experiment]}. Small "
        f"multiples of relative change, {', '.join(places)}. Over an epoch, in the last one "
        f"measured, forward and backward (mean over places): {_signal_ends(tables, lines)}.",
        signals=measured_rows(results, tables, lines, "stability"),
    )
    files = run_files(lines, results.collection.stability, STABILITY)
    return {f"{panel.experiment}-signals": Figure(spec, files)}


def _changed(results: Results, panel: Panel, tables: Tables) -> dict[str, Figure]:
    lines = measured(results, tables, panel, "functional")
    if not lines:
        return {}
    signals = measured(results, tables, panel, "stability")
    unseen = [line.label for line in signals if line not in lines]
    spec = finished(
        _functional(look(results, panel, lines), _ceilings(results, lines)),
        {"expr": f"'Changed predictions over ' + {DISTANCE.words} + ' (%)'"},
        [
            *seed_note(results, lines),
            *(["not measured: " + ", ".join(unseen)] if unseen else []),
        ],
        "Share of predictions of the probe images that change over an epoch. "
        f"{texts.EXPERIMENT_TITLES[panel.experiment]}. "
        f"In the last epoch measured: {_functional_ends(tables, lines)}.",
        functional=measured_rows(results, tables, lines, "functional"),
    )
    files = run_files(lines, results.collection.stability, STABILITY)
    return {f"{panel.experiment}-functional": Figure(spec, files)}


def _signal_ends(tables: Tables, lines: Sequence[Line]) -> str:
    ends = []
    for line in lines:
        table = tables[f"{line.variant.name}/stability"]
        last = ("epoch", max(table["epoch"]))
        sides: dict[bool, list[float]] = {False: [], True: []}
        for row in rows(table):
            if (row["distance"], row["epoch"]) == last and row["change_mean"] is not None:
                sides[row["place"].startswith("out of")].append(row["change_mean"])
        means = [f"{sum(s) / len(s):.2g}" if s else "unknown" for s in sides.values()]
        ends.append(f"{line.label} {' and '.join(means)}")
    return ", ".join(ends)


def _functional_ends(tables: Tables, lines: Sequence[Line]) -> str:
    ends = []
    for line in lines:
        found = rows(tables[f"{line.variant.name}/functional"])
        shares = (row["changed_pct_mean"] for row in found if row["distance"] == "epoch")
        values = [share for share in shares if share is not None]
        ends.append(f"{line.label} {values[-1]:.1f} %" if values else f"{line.label} unknown")
    return ", ".join(ends)


def _ceilings(results: Results, lines: Sequence[Line]) -> tuple[tuple[str, float], ...]:
    """How far two seeds' predictions differ at the last epoch compared, for references drawn."""
    table = results.collection.ceiling
    table = table[(table["block"] == NETWORK) & table["changed_pct"].notna()]
    found = []
    for line in lines:
        compared = table[table["variant"] == line.variant.name]
        if not compared.empty:
            value = float(compared.sort_values("epoch")["changed_pct"].iloc[-1])
            found.append((f"two {line.label}s: {value:.1f} %", value))
    return tuple(found)


@cache
def _signals(look: Look, places: tuple[str, ...]) -> dict[str, Any]:
    """A small multiple a place, in this order, the same logarithmic scale in all.

    Forward places stand above backward ones. What is exactly zero stands as a triangle on the
    lower edge.
    """
    base = (
        alt.Chart()
        .transform_filter(f"datum.distance === distance && {OWN}")
        .transform_calculate(**{end: f"datum[change + '_{end}']" for end in ENDS})
        .encode(x=epoch_axis())
    )
    chart = small_multiples(
        [*rules(look), *log_lines(base, look, "hover")],
        "place",
        {place: place for place in places},
        min(4, math.ceil(len(places) / 2)),
        data=alt.NamedData("signals"),
        spacing=14,
        width=CELL[0],
        height=CELL[1],
    )
    return built(chart, DISTANCE, CHANGE, columns=COLUMNS["stability"])


@cache
def _functional(look: Look, ceilings: tuple[tuple[str, float], ...]) -> dict[str, Any]:
    """Share of predictions that change.

    Args:
        look: of the panel.
        ceilings: a label, and the share in which two seeds differ, drawn as rules.
    """
    base = (
        alt.Chart()
        .transform_filter(f"datum.distance === distance && {OWN}")
        .transform_calculate(**{end: f"datum.changed_pct_{end}" for end in ENDS})
        .encode(x=epoch_axis(tickCount=EPOCH_TICKS))
    )
    low, mean = (alt.Y(f"{field}:Q", title=None) for field in ("low", "mean"))
    layers = [
        *rules(look),
        bands(base, low, colour(look), 0.15),
        means(base, look, mean, colour(look), pick("curve"), width=1.5),
        spots(base, look, ".2f"),
        *_ceiling(ceilings),
    ]
    return built(
        alt.layer(*layers, data=alt.NamedData("functional")),
        DISTANCE,
        columns=COLUMNS["functional"],
        width="container",
        height=170,
        autosize=FIT,
    )


def _ceiling(ceilings: tuple[tuple[str, float], ...]) -> list[alt.Chart]:
    if not ceilings:
        return []
    marks = [
        # At opposite ends, since they may be of one height.
        {"label": label, "at": value, "align": ("right", "left")[i % 2], "dx": (-2, 4)[i % 2]}
        for i, (label, value) in enumerate(ceilings)
    ]
    base = alt.Chart(alt.InlineData(marks)).encode(y=alt.Y("at:Q"))
    rule = base.mark_rule(color=SOFT, strokeDash=[6, 3], aria=False)
    offsets: dict[str, Any] = {name: alt.ExprRef(f"datum.{name}") for name in ("align", "dx")}
    text = base.mark_text(
        baseline="bottom", dy=-2, fontSize=11, color=SOFT, aria=False, **offsets
    ).encode(
        text=alt.Text("label:N"),
        x=alt.value(alt.ExprRef("datum.align === 'right' ? width : 0")),
    )
    return [rule, text]
