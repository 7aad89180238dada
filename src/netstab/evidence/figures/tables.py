"""The numbers behind the figures, a variant a table: columns of one length, as JSON has them.

Each is the mean over seeds, with the smallest and the largest. None where there is no number.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from netstab.evidence.results import Results
from netstab.evidence.summary.drift import Direction, places
from netstab.params import Params
from netstab.results.schema import MEASURES, Curvature
from netstab.study.experiments import Run, Variant
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
    for variant, bands in results.bands.items():
        if drawn:
            rates = _numbers(highest_rates(plans[variant]))
            found[f"{variant.name}/{RATE}"] = dict.fromkeys(ENDS, rates)
        for measure in MEASURES:
            band = bands[measure]
            ends = {"mean": band.mean, "low": band.low, "high": band.high}
            found[f"{variant.name}/{measure}"] = {k: _numbers(v) for k, v in ends.items()}
        for name, table in (
            ("stability", _signals(results, variant)),
            ("functional", _functional(results, variant)),
            ("field", _field(results, variant)),
            ("sharpness", _sharpness(results, variant)),
        ):
            if not table.empty:
                found[f"{variant.name}/{name}"] = _columns(table)
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


def _signals(results: Results, variant: Variant) -> pd.DataFrame:
    """Rows (distance, place, epoch) with mean, low and high of each of `CHANGES`."""
    sides: tuple[tuple[Direction, Callable[[str], str]], ...] = (
        ("forward", forward_place),
        ("backward", backward_place),
    )
    tables = []
    for table in _measured(results.collection.stability, variant):
        for side, place in sides:
            rows = table[table["block"].isin(places(results.params, side))]
            change = rows[f"{side}_change"]
            tables.append(
                pd.DataFrame(
                    {
                        "distance": rows["distance"],
                        "place": rows["block"].map(place),
                        "epoch": rows["epoch"],
                        "change": change,
                        "cka": 1 - rows[f"{side}_cka"],
                        "path": change / _walked(table, rows),
                    }
                )
            )
    return _over_seeds(tables, ["distance", "place", "epoch"])


def _functional(results: Results, variant: Variant) -> pd.DataFrame:
    """Rows (distance, epoch) with the share of predictions that change."""
    tables = [
        table.loc[table["block"] == NETWORK, ["distance", "epoch", "changed_pct"]]
        for table in _measured(results.collection.stability, variant)
    ]
    return _over_seeds(tables, ["distance", "epoch"])


def _field(results: Results, variant: Variant) -> pd.DataFrame:
    """Rows (distance, block, epoch) with mean, low and high of each of `SHIFTS`.

    Of shifts the mean over seeds is taken of squares, which have no bias, before the root; where it
    is not positive, the shift is less than the images can tell, and stands as 0.
    """
    keys = ["distance", "block", "epoch"]
    tables = []
    for table in _measured(results.collection.field, variant):
        rows = table[table["block"] != NETWORK]
        square = rows["shift_squared"]
        per_path = square / _walked(table, rows) ** 2
        cosine = 1 - rows["gradient_cosine"]
        tables.append(rows[keys].assign(shift=square, path=per_path, cosine=cosine))
    summed = _over_seeds(tables, keys)
    if not summed.empty:
        roots = [f"{shift}_{end}" for shift in ("shift", "path") for end in ENDS]
        summed[roots] = np.sqrt(summed[roots].clip(lower=0))
    return summed


def _measured(found: Mapping[Run, pd.DataFrame], variant: Variant) -> list[pd.DataFrame]:
    tables = [table for run, table in found.items() if run.variant == variant]
    return [table[table["distance"] != "floor"] for table in tables if not table.empty]


def _walked(table: pd.DataFrame, rows: pd.DataFrame) -> npt.NDArray[np.float64]:
    """The way that the network's weights went, for each of some rows; NaN where it is none."""
    path = table[table["block"] == NETWORK].set_index(["epoch", "distance"])["path"]
    walked = path.reindex(pd.MultiIndex.from_frame(rows[["epoch", "distance"]])).to_numpy()
    return np.where(walked > 0, walked, np.nan)


def _sharpness(results: Results, variant: Variant) -> pd.DataFrame:
    """Rows (kind, trait, block, epoch); `converged` where every seed's eigenvalue did.

    Where one did not, mean, low and high are those of lower bounds. Low and high are the ends of
    all seeds' intervals of measurement; `error` is the largest of the seeds', None where one is not
    known: of an eigenvalue a bound, of a trace two standard errors.
    """
    found = results.collection.sharpness
    rows = [
        row
        for run, sharpness in found.items()
        if run.variant == variant
        for measurement in sharpness.measurements
        for row in _traits(measurement)
    ]
    keys = ["kind", "trait", "block", "epoch"]
    if not rows:
        return pd.DataFrame(columns=keys)
    table = pd.DataFrame(rows).astype({"error": float})
    groups = table.groupby(keys, sort=False)
    summed = groups.agg(mean=("value", "mean"), low=("low", "min"), high=("high", "max"))
    summed["error"] = groups["error"].agg(lambda errors: errors.max(skipna=False))
    summed["converged"] = groups["converged"].all()
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


def _over_seeds(tables: list[pd.DataFrame], keys: list[str]) -> pd.DataFrame:
    """Mean, low and high of each column but the keys; without the rows that have no number."""
    if not tables:
        return pd.DataFrame(columns=keys)
    groups = pd.concat(tables).groupby(keys, sort=False)
    parts = {"mean": groups.mean(), "low": groups.min(), "high": groups.max()}
    summed = pd.concat([t.add_suffix(f"_{name}") for name, t in parts.items()], axis=1)
    return summed.dropna(how="all").reset_index()


def _columns(table: pd.DataFrame) -> Table:
    return {
        str(name): _numbers(column) if column.dtype.kind == "f" else column.tolist()
        for name, column in table.items()
    }


def _numbers(values: Iterable[float]) -> list[float | None]:
    """Rounded to what can be seen."""
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values]
