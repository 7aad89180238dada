"""The numbers behind the figures, a variant a table: columns of one length, as JSON has them.

Each is the mean over seeds, with the smallest and the largest. None where there is no number.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from netstab.evidence.results import Results
from netstab.evidence.summary.drift import Direction, places
from netstab.params import Params
from netstab.results.schema import FIELD_COLUMNS, MEASURES, STABILITY_COLUMNS, Curvature
from netstab.study.experiments import Run
from netstab.study.measuring import NETWORK
from netstab.study.schedule import Frozen, Phase, Schedule

Table = dict[str, list[Any]]

RATE = "rate"
"""Name of the tables of learning rates."""
FEATURES = "last features"
CHANGES = ("change", "cka", "path")
"""How far a signal shifts: relative change; 1 - CKA; relative change per unit of weight path."""
SHIFTS = ("shift", "path", "cosine")
"""How far gradients shift: in the noise of a batch; that per unit of weight path; 1 - cosine."""
KINDS = ("plain", "adaptive")
"""Of sharpness."""
TRAITS = ("eigenvalue", "trace")
"""Of the Hessian."""

ENDS = ("mean", "low", "high")
"""Over seeds: mean, smallest and largest."""
COLUMNS = {
    "stability": ("distance", "place", "epoch", *(f"{c}_{e}" for c in CHANGES for e in ENDS)),
    "functional": ("distance", "epoch", *(f"changed_pct_{e}" for e in ENDS)),
    "field": ("distance", "block", "epoch", *(f"{c}_{e}" for c in SHIFTS for e in ENDS)),
    "sharpness": ("kind", "trait", "block", "epoch", *ENDS, "error", "converged"),
}
"""Of each kind of table but those of a history, which have `ENDS`."""


def of_results(results: Results) -> dict[str, Table]:
    """Every table by its name: `expB-64/val_loss`, `.../stability`, `/functional`, `/field` ...

    `/sharpness`; of learning rates (`/rate`) where any follows a shape.

    The tables of a history have a row an epoch from 0 on, and so no column for it.
    """
    found: dict[str, Table] = {}
    plans = results.collection.schedules
    drawn = any(plan.sweeps for plan in plans.values())
    measured = {
        "stability": _by_variant(_signals(results)),
        "functional": _by_variant(_functional(results)),
        "field": _by_variant(_field(results)),
        "sharpness": _by_variant(_sharpness(results)),
    }
    for variant, bands in results.bands.items():
        if drawn:
            rates = _numbers(highest_rates(plans[variant]))
            found[f"{variant.name}/{RATE}"] = dict.fromkeys(ENDS, rates)
        for measure in MEASURES:
            band = bands[measure]
            ends = {"mean": band.mean, "low": band.low, "high": band.high}
            found[f"{variant.name}/{measure}"] = {k: _numbers(v) for k, v in ends.items()}
        for name, tables in measured.items():
            if variant.name in tables:
                found[f"{variant.name}/{name}"] = tables[variant.name]
    return found


def highest_rates(plan: Schedule) -> list[float]:
    """In each epoch the highest rate of the parts that follow a shape, or without one of any part.

    It is 0 where all of them are frozen.
    """
    parts = {part for sweep in plan.sweeps for part in sweep.parts} or set(plan.phases[0].parts)

    def rates(phase: Phase) -> Iterator[float]:
        settings = map(phase.setting, sorted(parts))
        return (setting for setting in settings if not isinstance(setting, Frozen))

    return [
        max(rates(phase), default=0.0)
        for phase in plan.phases
        for _ in range(phase.start, phase.end)
    ]


def rows(table: Table) -> list[dict[str, Any]]:
    """A table row by row."""
    return [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]


def forward_place(block: str) -> str:
    """What forward signals are called by the block whose input they are, or `NETWORK`."""
    return FEATURES if block == NETWORK else f"into {block}"


def backward_place(block: str) -> str:
    """What backward signals are called by the block whose output they belong to."""
    return f"out of {block}"


def all_places(params: Params) -> tuple[str, ...]:
    """Where signals are compared: forward ones, then backward ones."""
    forward, backward = places(params, "forward"), places(params, "backward")
    return (*map(forward_place, forward), *map(backward_place, backward))


def _signals(results: Results) -> pd.DataFrame:
    """Rows (variant, distance, place, epoch) with mean, low and high of each of `CHANGES`."""
    sides: tuple[tuple[Direction, Callable[[str], str]], ...] = (
        ("forward", forward_place),
        ("backward", backward_place),
    )
    measured = _measured(results.collection.stability, STABILITY_COLUMNS)
    tables = []
    for side, place in sides:
        rows = measured[measured["block"].isin(places(results.params, side))]
        change = rows[f"{side}_change"]
        tables.append(
            rows[["variant", "distance", "epoch"]].assign(
                place=rows["block"].map(place),
                change=change,
                cka=1 - rows[f"{side}_cka"],
                path=change / rows["walked"],
            )
        )
    return _over_seeds(pd.concat(tables), ["variant", "distance", "place", "epoch"])


def _functional(results: Results) -> pd.DataFrame:
    """Rows (variant, distance, epoch) with the share of predictions that change."""
    keys = ["variant", "distance", "epoch"]
    measured = _measured(results.collection.stability, STABILITY_COLUMNS)
    rows = measured.loc[measured["block"] == NETWORK, [*keys, "changed_pct"]]
    return _over_seeds(rows, keys)


def _field(results: Results) -> pd.DataFrame:
    """Rows (variant, distance, block, epoch) with mean, low and high of each of `SHIFTS`.

    Of shifts the mean over seeds is taken of squares, which have no bias, before the root; where it
    is not positive, the shift is less than the images can tell, and stands as 0.
    """
    keys = ["variant", "distance", "block", "epoch"]
    measured = _measured(results.collection.field, FIELD_COLUMNS)
    rows = measured[measured["block"] != NETWORK]
    square = rows["shift_squared"]
    per_path, cosine = square / rows["walked"] ** 2, 1 - rows["gradient_cosine"]
    summed = _over_seeds(rows[keys].assign(shift=square, path=per_path, cosine=cosine), keys)
    roots = [f"{shift}_{end}" for shift in ("shift", "path") for end in ENDS]
    summed[roots] = np.sqrt(summed[roots].clip(lower=0))
    return summed


def _measured(found: Mapping[Run, pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """The rows of all runs but those of the floor, with `variant` and `walked`.

    That is the way that the whole network's weights went; NaN where it is none.

    Args:
        found: tables of the runs that were measured, of which there may be none.
        columns: of the tables.
    """
    names = {run.name: run.variant.name for run in found}
    tables = {run.name: table for run, table in found.items()}
    tables = tables or {"": pd.DataFrame(columns=list(columns))}
    rows = pd.concat(tables, names=["run", None]).reset_index("run")
    rows = rows[rows["distance"] != "floor"]
    whole = rows.loc[rows["block"] == NETWORK, ["run", "epoch", "distance", "path"]]
    went = rows.merge(
        whole.rename(columns={"path": "walked"}), "left", ["run", "epoch", "distance"]
    )
    return went.assign(
        variant=went["run"].map(names), walked=went["walked"].where(went["walked"] > 0)
    )


def _sharpness(results: Results) -> pd.DataFrame:
    """Rows (variant, kind, trait, block, epoch); `converged` where every seed's eigenvalue did.

    Where one did not, mean, low and high are those of lower bounds. Low and high are the ends of
    all seeds' intervals of measurement; `error` is the largest of the seeds', None where one is not
    known: of an eigenvalue a bound, of a trace two standard errors.
    """
    rows = [
        {"variant": run.variant.name, **row}
        for run, sharpness in results.collection.sharpness.items()
        for measurement in sharpness.measurements
        for row in _traits(measurement)
    ]
    keys = ["variant", "kind", "trait", "block", "epoch"]
    if not rows:
        return pd.DataFrame(columns=keys)
    table = pd.DataFrame(rows)
    table["error"] = table["error"].astype(float).fillna(np.inf)  # the largest, where one is
    groups = table.groupby(keys, sort=False)
    summed = groups.agg(
        mean=("value", "mean"),
        low=("low", "min"),
        high=("high", "max"),
        error=("error", "max"),
        converged=("converged", "all"),
    )
    return pd.DataFrame(summed.reset_index())


def _traits(found: Curvature) -> Iterable[dict[str, Any]]:
    for kind in KINDS:
        prefix = "" if kind == "plain" else "adaptive_"
        top, least, bound, trace, spread = (
            getattr(found, prefix + name)
            for name in ("eigenvalue", "lower_bound", "eigenvalue_error", "trace", "trace_se")
        )
        where = {"kind": kind, "block": found.block, "epoch": found.epoch}
        value, error = (least, None) if top is None else (top, bound)
        if value is not None:
            ends = {"value": value, "low": value, "high": value + (error or 0), "error": error}
            yield {**where, "trait": "eigenvalue", **ends, "converged": top is not None}
        if trace is not None:
            error = None if spread is None else 2 * spread
            ends = {"low": trace - (error or 0), "high": trace + (error or 0), "error": error}
            yield {**where, "trait": "trace", "value": trace, **ends, "converged": True}


def _over_seeds(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Mean, low and high of each column but the keys; without the rows that have no number."""
    groups = rows.groupby(keys, sort=False)
    parts = {"mean": groups.mean(), "low": groups.min(), "high": groups.max()}
    summed = pd.concat([t.add_suffix(f"_{name}") for name, t in parts.items()], axis=1)
    return summed.dropna(how="all").reset_index()


def _by_variant(table: pd.DataFrame) -> dict[str, Table]:
    return {
        str(name): _columns(rows.drop(columns="variant"))
        for name, rows in table.groupby("variant", sort=False)
    }


def _columns(table: pd.DataFrame) -> Table:
    return {
        str(name): _numbers(column) if column.dtype.kind == "f" else column.tolist()
        for name, column in table.items()
    }


def _numbers(values: Iterable[float]) -> list[float | None]:
    """Rounded to what can be seen."""
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values]
