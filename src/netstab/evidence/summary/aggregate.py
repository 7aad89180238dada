"""From the runs' histories to figures: one flat summary a variant, and the curves.

Windows are stated in `params.yaml` at time scale 1. With E epochs in a run, W epochs in a window:

* final X: mean of X over the last W epochs;
* jitter of X: standard deviation (W - 2 degrees of freedom) of the W - 1 differences between
  neighbouring epochs, over sqrt 2, so that independent noise of deviation s gives s. A trend is
  no jitter: a constant slope gives 0.

* final drift, forward and backward: geometric mean of the relative change of signals over an
  epoch, over the epochs of the jitter window that are measured and over blocks (see `drift`);
* final sharpness and trace: of the Hessian of the whole network, at the end of the run; none if
  the search for it did not converge in some seed, since those are no seeds at random.

All are taken in each seed, then averaged; `_sd` is the standard deviation over seeds.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import exp, isnan, sqrt
from typing import get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from netstab.evidence.claims.judge import judge
from netstab.evidence.claims.judgement import Judgement
from netstab.evidence.summary.drift import Direction, log_drift, places, shifts
from netstab.params import Params
from netstab.results.runs import Collection
from netstab.results.schema import MEASURES
from netstab.study.experiments import COMPARED_WITH, PANEL, REFERENCES, Run, Variant, variants
from netstab.study.schedule import Schedule

Summary = Mapping[str, float | int | None]
"""Figures of a variant: flat, with the same keys whatever the variant; None where there is none."""

Floats = npt.NDArray[np.float64]

SHORTEST_JITTER_WINDOW = 3
"""Epochs; two differences are the fewest that have a deviation."""


def final_window(params: Params) -> int:
    """Number of last epochs that a final figure is the mean of."""
    return params.train.window(params.report.final_epochs)


def jitter_start(params: Params, plan: Schedule) -> int:
    """Epoch from which on jitter is taken: it may leave few epochs, or none.

    Never earlier than `report.settle_epochs` after the last intervention of the schedule.
    """
    start = params.train.run_epochs - params.train.window(params.report.jitter_epochs)
    if plan.changes:
        start = max(start, plan.changes[-1] + params.train.at_scale(params.report.settle_epochs))
    return start


def jitter_window(params: Params, plan: Schedule) -> int | None:
    """Number of last epochs that jitter is taken over; None where too few are left."""
    window = params.train.run_epochs - jitter_start(params, plan)
    return window if window >= SHORTEST_JITTER_WINDOW else None


@dataclass(frozen=True, slots=True)
class Band:
    """A measure of a variant over epochs: mean, smallest and largest over seeds, each (E,)."""

    mean: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True)
class Results:
    """What the study came to so far: all that tables, charts and the page are made of.

    Attributes:
        params: what was asked for.
        collection: what the runs left behind.
        summaries: of every variant by its name, in the order of the study. One without a usable
            run has `n_seeds` 0 and no figures.
        bands: of each measure, for every variant with a usable run.
        judgements: of every claim.
    """

    params: Params
    collection: Collection
    summaries: dict[str, Summary]
    bands: dict[Variant, dict[str, Band]]
    judgements: tuple[Judgement, ...]


def aggregate(params: Params, collection: Collection) -> Results:
    """Sum up the runs by variant, and judge the claims."""
    summaries = {v.name: _summary(params, v, collection) for v in collection.schedules}
    return Results(params, collection, summaries, _bands(collection), judge(params, collection))


def _summary(params: Params, variant: Variant, collection: Collection) -> Summary:
    histories = list(collection.of(variant).values())
    final, jitter = final_window(params), jitter_window(params, collection.schedules[variant])
    summary: dict[str, float | int | None] = {
        "n_seeds": len(histories),
        "epochs": params.train.run_epochs,
        "jitter_window_epochs": jitter,
    }
    for measure in MEASURES:
        curves = [history[measure].to_numpy() for history in histories]
        finals = [float(curve[-final:].mean()) for curve in curves]
        jitters = [] if jitter is None else [_jitter(curve[-jitter:]) for curve in curves]
        summary |= _spread(f"final_{measure}", finals) | _spread(f"jitter_{measure}", jitters)
    for name, values in _measured(params, variant, collection, jitter).items():
        summary |= _spread(f"final_{name}", values)
    return summary


def _spread(name: str, values: Sequence[float | None]) -> dict[str, float | None]:
    """Mean and standard deviation; of values one of which is None there are none."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        known = []
    return {
        name: _rounded(np.mean(known)) if known else None,
        f"{name}_sd": _rounded(np.std(known, ddof=1)) if len(known) > 1 else None,
    }


def _measured(
    params: Params, variant: Variant, collection: Collection, window: int | None
) -> dict[str, list[float | None]]:
    """Drift and sharpness at the end, in each seed that has them; None: it did not converge."""
    end = params.train.run_epochs
    found: dict[str, list[float | None]] = {
        **{f"{direction}_drift": [] for direction in get_args(Direction)},
        **{name: [] for name in ("sharpness", "trace", "adaptive_sharpness")},
    }
    for run in (Run(variant, seed) for seed in collection.of(variant)):
        if window is not None and run in collection.stability:
            told = shifts(collection.stability[run], params)
            for direction in get_args(Direction):
                with suppress(LookupError):
                    drift = log_drift(told, direction, places(params, direction), end - window)
                    # Of some signals that stand still and others that shift, the mean is 0.
                    found[f"{direction}_drift"].append(0.0 if isnan(drift) else exp(drift))
        sharpness = collection.sharpness.get(run)
        if last := sharpness and sharpness.at(end):
            for name, value in (
                ("trace", last.trace),
                ("sharpness", last.eigenvalue),
                ("adaptive_sharpness", last.adaptive_eigenvalue),
            ):
                found[name].append(value)
    return found


def _jitter(curve: Floats) -> float:
    return float(np.diff(curve).std(ddof=1)) / sqrt(2)


def _rounded(value: np.floating) -> float:
    return float(f"{value:.6g}")


def _bands(collection: Collection) -> dict[Variant, dict[str, Band]]:
    result = {}
    for variant in collection.schedules:
        histories = [history.to_numpy() for history in collection.of(variant).values()]
        if histories:
            stack = np.stack(histories)  # (seeds, E, measures)
            mean, low, high = stack.mean(0).T, stack.min(0).T, stack.max(0).T
            result[variant] = {m: Band(mean[i], low[i], high[i]) for i, m in enumerate(MEASURES)}
    return result


@dataclass(frozen=True, slots=True)
class Line:
    """A curve in a panel: a variant under the label that the panel gives it."""

    label: str
    variant: Variant


@dataclass(frozen=True, slots=True)
class Panel:
    """An experiment with the references that the article draws it with, references first."""

    experiment: str
    lines: tuple[Line, ...]


def panels(params: Params) -> list[Panel]:
    """Every experiment that the parameters ask for, as the article draws it."""
    members: dict[str, list[Line]] = {}
    for variant in variants(params):
        if variant.block is not None:
            drawn = PANEL.get(variant.experiment, variant.experiment)
            plain = drawn == variant.experiment and variant.block not in REFERENCES
            label = variant.block if plain else variant.name
            members.setdefault(drawn, []).append(Line(label, variant))
    return [
        Panel(name, (*(Line(r, Variant(r)) for r in COMPARED_WITH[name]), *lines))
        for name, lines in members.items()
    ]


def curves(results: Results) -> pd.DataFrame:
    """Long form for `dvc plots`: a row for each panel, curve and epoch, means over seeds.

    Columns: experiment, curve (a reference, a block, or the name of an own intervention), epoch,
    and each of `MEASURES`. A reference comes once for each panel that draws it.
    """
    tables = [
        pd.DataFrame(
            {
                "experiment": panel.experiment,
                "curve": line.label,
                "epoch": np.arange(results.params.train.run_epochs),
                **{measure: results.bands[line.variant][measure].mean for measure in MEASURES},
            }
        )
        for panel in panels(results.params)
        for line in panel.lines
        if line.variant in results.bands
    ]
    columns = ["experiment", "curve", "epoch", *MEASURES]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)
