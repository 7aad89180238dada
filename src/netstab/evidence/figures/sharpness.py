"""Sharpness: eigenvalue and trace over epochs, and every variant and block at the end."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import altair as alt

from netstab.evidence import texts
from netstab.evidence.figures.figure import Choice, Figure, built, finished, seed_note
from netstab.evidence.figures.lines import OWN, Look, colour, look, rules
from netstab.evidence.figures.measured import (
    CELL,
    Tables,
    log_lines,
    measured,
    measured_rows,
    run_files,
    small_multiples,
    tooltip,
)
from netstab.evidence.figures.tables import COLUMNS, KINDS, TRAITS, rows
from netstab.evidence.figures.theme import (
    BLOCK_COLOURS,
    FIT,
    GRID,
    INK,
    epoch_axis,
    legend_columns,
    log_axis,
    pick,
    when_picked,
)
from netstab.evidence.results import Results
from netstab.evidence.summary.curves import Line, Panel
from netstab.evidence.summary.relative import largest_error
from netstab.params import Params
from netstab.results.schema import SHARPNESS
from netstab.study.measuring import NETWORK

KIND = Choice("kind", "Sharpness", tuple((kind, kind) for kind in KINDS))
_BOUNDS = "open triangles: not converged, at least so much"
_ERRORS = (
    "errors of measurement included: bounds",
    "of eigenvalues, two standard errors of traces",
)
"""Two lines, for a phone is narrow."""
_ERROR = {"error": "isValid(datum.error) ? format(datum.error, '.2g') : 'not known'"}
_TOLD = alt.Tooltip("error:N", title="error of measurement")


def scope(results: Results) -> Choice:
    """The network, and the blocks whose sharpness was measured not only at the end of runs."""
    epochs = results.params.train.run_epochs
    seen = {
        m.block
        for measured in results.collection.sharpness.values()
        for m in measured.measurements
        if m.epoch < epochs
    }
    blocks = ((block, f"block {block}") for block in results.params.blocks if block in seen)
    return Choice("block", "Of", ((NETWORK, "whole network"), *blocks))


def sharpness(results: Results, panel: Panel, tables: Tables) -> dict[str, Figure]:
    """Sharpness of a panel's runs over epochs, by id; nothing if not measured."""
    lines = measured(results, tables, panel, "sharpness")
    if not lines:
        return {}
    of = scope(results)
    spec = finished(
        _over_epochs(look(results, panel, lines), of),
        {"expr": f"'Sharpness of the ' + {of.words} + ', ' + kind"},
        [*seed_note(results, lines), *_ERRORS, _BOUNDS],
        "Largest eigenvalue and trace of the Hessian over epochs. "
        f"{texts.EXPERIMENT_TITLES[panel.experiment]}. Eigenvalue of the whole network at the end: "
        f"{_eigenvalues(results, tables, lines)}.",
        sharpness=measured_rows(results, tables, lines, "sharpness"),
    )
    files = run_files(lines, results.collection.sharpness, SHARPNESS)
    return {f"{panel.experiment}-sharpness": Figure(spec, files)}


def at_the_end(results: Results, tables: Tables) -> dict[str, Figure]:
    """Sharpness of every variant and block at the end of runs, by id; nothing if not measured."""
    lines = [Line(v.name, v) for v in results.bands if f"{v.name}/sharpness" in tables]
    if not lines:
        return {}
    *notes, seeds = seed_note(results, lines)
    spec = finished(
        _at_the_end([line.label for line in lines], results.params),
        {"expr": "'Sharpness at the end of runs, ' + kind"},
        [*notes, seeds.replace("band", "line"), *_ERRORS, _BOUNDS],
        "Largest Hessian eigenvalue at the end of runs, of the whole network and of each block. "
        f"Whole network: {_eigenvalues(results, tables, lines)}.",
        sharpness=[
            {"curve": line.label, "table": f"{line.variant.name}/sharpness"} for line in lines
        ],
    )
    files = run_files(lines, results.collection.sharpness, SHARPNESS)
    return {"sharpness-end": Figure(spec, files)}


def _eigenvalues(results: Results, tables: Tables, lines: Sequence[Line]) -> str:
    wanted = {
        "kind": "plain",
        "trait": "eigenvalue",
        "block": NETWORK,
        "epoch": results.params.train.run_epochs,
    }
    found = [
        f"{line.label} {'' if row['converged'] else 'at least '}"
        + texts.significant(row["mean"], 3)
        for line in lines
        for row in rows(tables[f"{line.variant.name}/sharpness"])
        if wanted.items() <= row.items()
    ]
    drawn = {line.variant for line in lines}
    files = [file for run, file in results.collection.sharpness.items() if run.variant in drawn]
    error = largest_error(files, results.params.train.run_epochs)
    off = "" if error is None else f"; stated error at most {error:.1%}"
    return ", ".join(found) + off if found else "not measured"


@cache
def _over_epochs(look: Look, of: Choice) -> dict[str, Any]:
    """Largest eigenvalue and trace on logarithmic scales, a small multiple each.

    An eigenvalue that did not converge is an open triangle at its lower bound, and no part of the
    line.
    """
    base = (
        alt.Chart()
        .transform_filter(f"datum.kind === kind && datum.block === block && {OWN}")
        .transform_calculate(**_ERROR)
        .encode(x=epoch_axis())
    )
    bound = (
        base.transform_filter("!datum.converged && datum.mean > 0")
        .mark_point(shape="triangle-up", filled=False, size=55, strokeWidth=1.4, aria=False)
        .encode(
            y=alt.Y("mean:Q", title=None),
            color=colour(look),
            opacity=when_picked(alt.OpacityValue, 1, 0.1),
            tooltip=tooltip("at least"),
        )
    )
    converged = log_lines(base.transform_filter("datum.converged"), look, "spots", _TOLD)
    chart = small_multiples(
        [*rules(look), *converged, bound],
        "trait",
        dict(zip(TRAITS, ("largest eigenvalue", "trace"), strict=True)),
        len(TRAITS),
        data=alt.NamedData("sharpness"),
        spacing=24,
        width=2 * CELL[0],
        height=150,
        resolve=alt.Resolve(scale=alt.ScaleResolveMap(y="independent")),
    )
    return built(chart, KIND, of, columns=COLUMNS["sharpness"])


def _at_the_end(names: Sequence[str], params: Params) -> dict[str, Any]:
    """A row a variant, a mark for the network and each block.

    An eigenvalue that did not converge is an open mark at its lower bound.

    Args:
        names: variants, in the order of rows.
        params: the parameters.
    """
    of = [NETWORK, *params.blocks]
    colours = [INK, *(BLOCK_COLOURS[i % len(BLOCK_COLOURS)] for i in range(len(params.blocks)))]
    shapes = ["diamond", *("circle" for _ in params.blocks)]
    x = alt.X(
        "mean:Q",
        title="largest eigenvalue",
        scale=alt.Scale(type="log", nice=False, padding=12),
        axis=log_axis(grid=True),
    )
    y = alt.Y(
        "curve:N",
        title=None,
        sort=list(names),
        axis=alt.Axis(grid=True, gridColor=GRID, domain=False, ticks=False),
    )
    color = alt.Color(
        "block:N",
        scale=alt.Scale(domain=of, range=colours),
        legend=alt.Legend(
            orient="top", columns=legend_columns(of), symbolStrokeWidth=0, symbolSize=90
        ),
    )
    end = params.train.run_epochs
    kept = f"datum.epoch === {end} && datum.trait === 'eigenvalue' && datum.kind === kind"
    base = (
        alt.Chart()
        .transform_filter(f"{kept} && datum.mean > 0")
        .transform_calculate(**_ERROR)
        .encode(x=x, y=y, color=color, opacity=when_picked(alt.OpacityValue, 1, 0.08))
    )
    whose = [alt.Tooltip("curve:N", title="run"), alt.Tooltip("block:N", title="of")]
    numbers = (("mean", "mean"), ("low", "smallest"), ("high", "largest"))
    spread = base.mark_rule(strokeWidth=1.2, aria=False).encode(
        x=alt.X("low:Q"), x2=alt.X2("high:Q")
    )
    reached = (
        base.transform_filter("datum.converged")
        .mark_point(filled=True, size=64, aria=False)
        .encode(
            shape=alt.Shape("block:N", scale=alt.Scale(domain=of, range=shapes)),
            tooltip=[
                *whose,
                *(alt.Tooltip(f"{n}:Q", title=t, format=".3g") for n, t in numbers),
                _TOLD,
            ],
        )
    )
    bound = (
        base.transform_filter("!datum.converged")
        .mark_point(shape="triangle-right", filled=False, size=60, strokeWidth=1.4, aria=False)
        .encode(tooltip=[*whose, alt.Tooltip("mean:Q", title="at least", format=".3g")])
    )
    layers = [spread.add_params(pick("block")), reached, bound]
    return built(
        alt.layer(*layers, data=alt.NamedData("sharpness")),
        KIND,
        columns=COLUMNS["sharpness"],
        width="container",
        height=19 * len(names),
        autosize=FIT,
    )
