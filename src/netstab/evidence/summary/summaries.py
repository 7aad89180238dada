"""The summary of a variant: final figures and jitter, flat, as `dvc metrics` reads them.

* final X and jitter of X: see `windows`;
* final drift, forward and backward: geometric mean of the relative change of signals over an
  epoch, over the epochs of the jitter window that are measured and over blocks (see `drift`);
* final field shift: root of the mean square of the shift of the whole network's expected gradient
  over a step, over the same epochs, in the noise of a batch (see `field`); none if in some seed it
  is less than the images can tell, since the other seeds are no random sample. There where the
  parameters ask for the field;
* final sharpness and trace: of the Hessian of the whole network, at the end of the run; none if
  the search did not converge in some seed, since the other seeds are no random sample.

All are taken in each seed, then averaged; `_sd` is the standard deviation over seeds, and `_error`
what measurement adds to the mean: the bound on eigenvalues' errors, the standard error of traces.
Losses are in nats, drifts and shifts are ratios; files have them in other units, see `to_file`.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import exp, isnan
from typing import get_args

import numpy as np

from netstab.evidence.summary.drift import Direction, log_drift, places, shifts
from netstab.evidence.summary.field import log_shift
from netstab.evidence.summary.windows import final, jitter, jitter_window
from netstab.params import Params
from netstab.results.runs import Collection
from netstab.results.schema import MEASURES
from netstab.study.barriers import AGAINST
from netstab.study.experiments import Run, Variant
from netstab.study.measuring import NETWORK

Summary = Mapping[str, float | int | None]
"""Figures of a variant: flat, with the same keys whatever the variant; None where there is none."""

FILE_UNITS = {
    "loss": ("loss_mnats", 1e3),
    "drift": ("drift_ppm", 1e6),
    "field_shift": ("field_shift_ppm", 1e6),
}
"""Quantity -> its name in a file, and how many of that unit are one of ours."""


def to_file(summary: Summary) -> Summary:
    """A summary as its file has it: losses in thousandths of a nat, ratios in millionths.

    `dvc metrics` shows five decimals unless it is told otherwise at each call. In these units it
    shows three digits of a loss's jitter or deviation down to a millionth of a nat, about the error
    of a loss in single precision, and of a drift down to a thousandth of that.
    """
    units = [(ours, theirs, scale) for ours, (theirs, scale) in FILE_UNITS.items()]
    return _converted(summary, units)


def from_file(content: Summary) -> Summary:
    """The summary that `to_file` wrote."""
    units = [(theirs, ours, 1 / scale) for ours, (theirs, scale) in FILE_UNITS.items()]
    return _converted(content, units)


def _converted(summary: Summary, units: list[tuple[str, str, float]]) -> Summary:
    found = {}
    for name, value in summary.items():
        for before, after, scale in units:
            if before in name:
                name = name.replace(before, after)
                value = None if value is None else _rounded(value * scale)
        found[name] = value
    return found


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
    for against, heights in _barriers(params, collection, variant).items():
        summary |= _spread(f"barrier_loss_to_{against}", heights)
    errors = _errors(params, collection, variant)
    for name, values in _measured(params, collection, variant, window).items():
        summary |= _spread(f"final_{name}", values)
        if name in errors:
            summary[f"final_{name}_error"] = errors[name]
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


def _mean(values: Sequence[float | None]) -> float | None:
    return _spread("of", values)["of"]


def _measured(
    params: Params, collection: Collection, variant: Variant, window: int | None
) -> dict[str, list[float | None]]:
    """Drift, field and sharpness at the end, in each seed that has them; None: without a number."""
    end = params.train.run_epochs
    found: dict[str, list[float | None]] = {
        **{f"{direction}_drift": [] for direction in get_args(Direction)},
        **({} if params.measure.field.every_epochs is None else {"field_shift": []}),
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
        field = collection.field.get(run)
        if window is not None and field is not None and not field.empty:
            shift = None
            with suppress(LookupError):
                shift = exp(log_shift(field, NETWORK, end - window))
            found["field_shift"].append(shift)
        sharpness = collection.sharpness.get(run)
        if last := sharpness and sharpness.at(end):
            found["trace"].append(last.trace)
            found["sharpness"].append(last.eigenvalue)
            found["adaptive_sharpness"].append(last.adaptive_eigenvalue)
    return found


def _barriers(
    params: Params, collection: Collection, variant: Variant
) -> dict[str, list[float | None]]:
    """Barriers from the end to other states of a seed, in each seed; nothing if not asked for."""
    if params.measure.barriers.images is None:
        return {}
    found = collection.barriers.found
    runs = [Run(variant, seed) for seed in collection.of(variant)]
    return {
        against: [line.barrier if (line := found.get((r, against))) else None for r in runs]
        for against in AGAINST
    }


def _errors(params: Params, collection: Collection, variant: Variant) -> dict[str, float | None]:
    """Errors by measurement of the means over seeds, by name; None where a mean has none.

    Nothing where no file states any of an eigenvalue, as those of version 1 of the measures.
    """
    every = (m for file in collection.sharpness.values() for m in file.measurements)
    if all(m.eigenvalue_error is None for m in every):
        return {}
    files = [collection.sharpness.get(Run(variant, seed)) for seed in collection.of(variant)]
    ends = [last for file in files if file and (last := file.at(params.train.run_epochs))]
    squares = [None if m.trace_se is None else m.trace_se**2 for m in ends]
    bounds = {
        "sharpness": [(m.eigenvalue, m.eigenvalue_error) for m in ends],
        "adaptive_sharpness": [(m.adaptive_eigenvalue, m.adaptive_eigenvalue_error) for m in ends],
    }
    variance = _mean(squares)
    return {
        **{k: _mean([None if v is None else e for v, e in of]) for k, of in bounds.items()},
        "trace": None if variance is None else _rounded(np.sqrt(variance / len(ends))),
    }


def _rounded(value: float | np.floating) -> float:
    return float(f"{value:.6g}")
