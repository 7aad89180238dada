"""Figures of what was measured on the runs of a panel: stability, predictions, sharpness."""

from collections.abc import Mapping
from typing import Any

from netstab import paths
from netstab.evidence.figures import charts_measures, charts_summary, events
from netstab.evidence.figures.figures import Figure, Source, look, seed_note, usable
from netstab.evidence.figures.look import Look
from netstab.evidence.figures.tables import Table, all_places
from netstab.evidence.page import texts
from netstab.evidence.summary.aggregate import Line, Panel, Results
from netstab.study.experiments import Variant
from netstab.study.measuring import NETWORK

Tables = Mapping[str, Table]


def stability(
    results: Results, panel: Panel, tables: Tables, warning: str | None
) -> dict[str, Figure]:
    """How far signals shift, and how many predictions change, by id; nothing if not measured."""
    lines = _with(results, panel, tables, "stability")
    if not lines:
        return {}
    drawn, places = _look(results, panel, lines), all_places(results.params)
    signals = charts_measures.signals(drawn, places)
    functional = charts_measures.functional(drawn, _ceilings(results, lines))
    title = texts.EXPERIMENT_TITLES[panel.experiment]
    notes = seed_note(results, lines, warning)
    zero = "triangles on the lower edge: exactly zero"
    about_signals = (
        f"Stability by block over epochs. {title}. Small multiples of relative change, "
        f"{', '.join(places)}. Over an epoch, in the last one measured, forward and backward "
        f"(mean over places): {_signal_ends(tables, lines)}."
    )
    about_functional = (
        f"Share of predictions of the probe images that change over an epoch. {title}. "
        f"In the last epoch measured: {_functional_ends(tables, lines)}."
    )
    return {
        f"{panel.experiment}-signals": Figure(
            _titled(signals, [*notes, zero], about_signals),
            {"signals": _sources(results, tables, lines, "stability")},
            labels=drawn.labels,
            cells=len(places),
            files=_files(results, lines, "stability.csv"),
        ),
        f"{panel.experiment}-functional": Figure(
            _titled(functional, notes, about_functional),
            {"functional": _sources(results, tables, lines, "functional")},
            labels=drawn.labels,
            files=_files(results, lines, "stability.csv"),
        ),
    }


def sharpness(
    results: Results, panel: Panel, tables: Tables, warning: str | None
) -> dict[str, Figure]:
    """Sharpness of a panel's runs over epochs, by id; nothing if not measured."""
    lines = _with(results, panel, tables, "sharpness")
    if not lines:
        return {}
    drawn = _look(results, panel, lines)
    notes = seed_note(results, lines, warning)
    bounds = "open triangles: not converged, at least so much"
    about = (
        "Largest eigenvalue and trace of the Hessian over epochs. "
        f"{texts.EXPERIMENT_TITLES[panel.experiment]}. Eigenvalue of the whole network at the end: "
        f"{_eigenvalues(results, tables, [(line.label, line.variant) for line in lines])}."
    )
    return {
        f"{panel.experiment}-sharpness": Figure(
            _titled(charts_measures.sharpness(drawn), [*notes, bounds], about),
            {"sharpness": _sources(results, tables, lines, "sharpness")},
            labels=drawn.labels,
            cells=2,
            files=_files(results, lines, "sharpness.json"),
        )
    }


def at_the_end(results: Results, tables: Tables, warning: str | None) -> dict[str, Figure]:
    """Sharpness of every variant and block at the end of runs, by id; nothing if not measured."""
    lines = [
        Line(variant.name, variant)
        for variant in results.bands
        if f"{variant.name}/sharpness" in tables
    ]
    if not lines:
        return {}
    names = [line.label for line in lines]
    blocks = list(results.params.blocks)
    spec = charts_summary.at_the_end(names, blocks, results.params.train.run_epochs)
    notes = seed_note(results, lines, warning)
    notes[-1] = notes[-1].replace("band", "line")
    about = (
        "Largest Hessian eigenvalue at the end of runs, of the whole network and of each block. "
        "Whole network: "
        f"{_eigenvalues(results, tables, [(line.label, line.variant) for line in lines])}."
    )
    return {
        "sharpness-end": Figure(
            _titled(spec, [*notes, "open triangles: not converged, at least so much"], about),
            {"sharpness": [Source(f"{x.label}/sharpness", {"curve": x.label}) for x in lines]},
            labels=[NETWORK, *blocks],
            files=_files(results, lines, "sharpness.json"),
        )
    }


def blocks_over_epochs(results: Results) -> list[str]:
    """Blocks whose sharpness was measured not only at the end of runs."""
    epochs = results.params.train.run_epochs
    seen = {
        m.block
        for told in results.collection.sharpness.values()
        for m in told.measurements
        if m.epoch < epochs
    }
    return [block for block in results.params.blocks if block in seen]


def not_measured(results: Results, tables: Tables, panel: Panel, name: str) -> list[str]:
    """Labels of a panel's usable lines that have no such table."""
    measured = _with(results, panel, tables, name)
    return [line.label for line in usable(results, panel) if line not in measured]


def _with(results: Results, panel: Panel, tables: Tables, name: str) -> list[Line]:
    return [line for line in usable(results, panel) if f"{line.variant.name}/{name}" in tables]


def _look(results: Results, panel: Panel, lines: list[Line]) -> Look:
    """As beside the curves, of the measured lines alone."""
    labels = {line.label for line in lines}
    whole = look(results, panel)
    return Look(whole.epochs, tuple(s for s in whole.styles if s[0] in labels), whole.events)


def _titled(spec: dict[str, Any], notes: list[str], about: str) -> dict[str, Any]:
    return {**spec, "title": {**spec["title"], "subtitle": notes}, "description": about}


def _sources(results: Results, tables: Tables, lines: list[Line], name: str) -> list[Source]:
    """Each line's table, and the last epoch measured that an earlier line has as well.

    What happens in an epoch is shared if the epoch is, a state if all epochs before it are.
    """
    shared = events.common_epochs(results, [line.variant for line in lines], of_training=True)
    sources = []
    for line in lines:
        table = f"{line.variant.name}/{name}"
        last = shared[line.variant] - (0 if name == "sharpness" else 1)
        common = max((epoch for epoch in tables[table]["epoch"] if epoch <= last), default=0)
        sources.append(Source(table, {"curve": line.label, "common": common}))
    return sources


def _files(results: Results, lines: list[Line], name: str) -> list[tuple[str, str]]:
    """The file of each run of the lines that has a sound one, in their order."""
    root, collection = paths.REPORT.parent, results.collection
    sound = collection.stability if name == "stability.csv" else collection.sharpness
    return [
        (run.name, (paths.run_dir(run.name) / name).relative_to(root).as_posix())
        for line in lines
        for run in sound
        if run.variant == line.variant
    ]


def _ceilings(results: Results, lines: list[Line]) -> tuple[tuple[str, float], ...]:
    """How far two seeds' predictions differ at the last epoch compared, for references drawn."""
    table = results.collection.ceiling
    table = table[(table["block"] == NETWORK) & table["changed_pct"].notna()]
    found = []
    for line in lines:
        rows = table[table["variant"] == line.variant.name]
        if not rows.empty:
            value = float(rows.sort_values("epoch")["changed_pct"].iloc[-1])
            found.append((f"two {line.label}s: {value:.1f} %", value))
    return tuple(found)


def _signal_ends(tables: Tables, lines: list[Line]) -> str:
    told = []
    for line in lines:
        table = tables[f"{line.variant.name}/stability"]
        last = max(table["epoch"])
        sides: dict[bool, list[float]] = {True: [], False: []}
        rows = zip(
            table["distance"], table["epoch"], table["place"], table["change_mean"], strict=True
        )
        for distance, epoch, place, value in rows:
            if distance == "epoch" and epoch == last and value is not None:
                sides[place.startswith("out of")].append(value)
        forward, backward = (sum(s) / max(1, len(s)) for s in (sides[False], sides[True]))
        told.append(f"{line.label} {forward:.2g} and {backward:.2g}")
    return ", ".join(told)


def _functional_ends(tables: Tables, lines: list[Line]) -> str:
    told = []
    for line in lines:
        table = tables[f"{line.variant.name}/functional"]
        rows = zip(table["distance"], table["changed_pct_mean"], strict=True)
        values = [v for distance, v in rows if distance == "epoch" and v is not None]
        told.append(f"{line.label} {values[-1]:.1f} %" if values else f"{line.label} unknown")
    return ", ".join(told)


def _eigenvalues(results: Results, tables: Tables, named: list[tuple[str, Variant]]) -> str:
    told = []
    for name, variant in named:
        table = tables[f"{variant.name}/sharpness"]
        keys = ("kind", "trait", "block", "epoch", "mean", "converged")
        for kind, trait, block, epoch, mean, converged in zip(
            *(table[key] for key in keys), strict=True
        ):
            wanted = ("plain", "eigenvalue", NETWORK, results.params.train.run_epochs)
            if (kind, trait, block, epoch) == wanted:
                told.append(f"{name} {'' if converged else 'at least '}{mean:.3g}")
    return ", ".join(told) or "not measured"
