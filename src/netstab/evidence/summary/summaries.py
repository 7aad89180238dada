"""The summary of a variant: final figures and jitter, flat, as `dvc metrics` reads them.

* final X and jitter of X: see `windows`;
* final drift, forward and backward: geometric mean of the relative change of signals over an
  epoch, over the epochs of the jitter window that are measured and over blocks (see `drift`);
* final sharpness and trace: of the Hessian of the whole network, at the end of the run; none if
  the search did not converge in some seed, since the other seeds are no random sample.

All are taken in each seed, then averaged; `_sd` is the standard deviation over seeds, and `_error`
what measurement adds to the mean: the bound on eigenvalues' errors, the standard error of traces.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import exp, isnan
from typing import get_args

import numpy as np

from netstab.evidence.summary.drift import Direction, log_drift, places, shifts
from netstab.evidence.summary.windows import final, jitter, jitter_window
from netstab.params import Params
from netstab.results.runs import Collection
from netstab.results.schema import MEASURES
from netstab.study.experiments import Run, Variant

Summary = Mapping[str, float | int | None]
"""Figures of a variant: flat, with the same keys whatever the variant; None where there is none."""


def summarise(params: Params, collection: Collection, variant: Variant) -> Summary:
    """The figures of a variant; without a usable run `n_seeds` is 0, and there are no figures."""
    histories = list(collection.of(variant).values())
    window = jitter_window(params, collection.schedules[variant])
    summary: dict[str, float | int | None] = {
        "n_seeds": len(histories),
        "epochs": params.train.run_epochs,
        "jitter_window_epochs": window,
    }
    for measure in MEASURES:
        curves = [history[measure].to_numpy() for history in histories]
        jitters = [] if window is None else [float(jitter(curve[-window:])) for curve in curves]
        summary |= _spread(f"final_{measure}", [float(final(params, curve)) for curve in curves])
        summary |= _spread(f"jitter_{measure}", jitters)
    for name, values in _measured(params, collection, variant, window).items():
        summary |= _spread(f"final_{name}", values)
    if states_errors(collection):
        summary |= _errors(params, collection, variant)
    return summary


def shown(summary: Summary, key: str, digits: int) -> tuple[str, str]:
    """A figure and its standard deviation over seeds; a dash and nothing where there is none."""
    value, spread = summary.get(key), summary.get(f"{key}_sd")
    return (
        "\N{EN DASH}" if value is None else f"{value:.{digits}f}",
        "" if spread is None else f"{spread:.{digits}f}",
    )


def _spread(name: str, values: Sequence[float | None]) -> dict[str, float | None]:
    """Mean and standard deviation; neither where a value is None."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        known = []
    return {
        name: _rounded(np.mean(known)) if known else None,
        f"{name}_sd": _rounded(np.std(known, ddof=1)) if len(known) > 1 else None,
    }


def _measured(
    params: Params, collection: Collection, variant: Variant, window: int | None
) -> dict[str, list[float | None]]:
    """Drift and sharpness at the end, in each seed that has them; None: it did not converge."""
    end = params.train.run_epochs
    found: dict[str, list[float | None]] = {
        **{f"{direction}_drift": [] for direction in get_args(Direction)},
        **{name: [] for name in ("sharpness", "trace", "adaptive_sharpness")},
    }
    for run in (Run(variant, seed) for seed in collection.of(variant)):
        if window is not None and run in collection.stability:
            shifted = shifts(collection.stability[run], params)
            for direction in get_args(Direction):
                with suppress(LookupError):
                    drift = log_drift(shifted, direction, places(params, direction), end - window)
                    # NaN: some signals stand still and others shift; their geometric mean is 0.
                    found[f"{direction}_drift"].append(0.0 if isnan(drift) else exp(drift))
        sharpness = collection.sharpness.get(run)
        if last := sharpness and sharpness.at(end):
            found["trace"].append(last.trace)
            found["sharpness"].append(last.eigenvalue)
            found["adaptive_sharpness"].append(last.adaptive_eigenvalue)
    return found


def states_errors(collection: Collection) -> bool:
    """Whether measurements of sharpness say how far an eigenvalue may be off: from version 2 on."""
    files = collection.sharpness.values()
    return any(m.eigenvalue_error is not None for file in files for m in file.measurements)


def _errors(
    params: Params, collection: Collection, variant: Variant
) -> dict[str, float | int | None]:
    """Errors of measurement of the means over seeds; None where a mean has none."""
    files = [collection.sharpness.get(Run(variant, seed)) for seed in collection.of(variant)]
    ends = [last for file in files if file and (last := file.at(params.train.run_epochs))]
    bounds = {
        "sharpness": [m.eigenvalue_error if m.eigenvalue is not None else None for m in ends],
        "adaptive_sharpness": [
            m.adaptive_eigenvalue_error if m.adaptive_eigenvalue is not None else None for m in ends
        ],
    }
    squares = [None if m.trace_se is None else m.trace_se**2 for m in ends]
    variance = _spread("mean", squares)["mean"]
    return {
        **{f"final_{name}_error": _spread("mean", of)["mean"] for name, of in bounds.items()},
        "final_trace_error": None if variance is None else _rounded(np.sqrt(variance / len(ends))),
    }


def _rounded(value: np.floating) -> float:
    return float(f"{value:.6g}")
