"""Each variant relative to the baseline: does it gain by sharpness, or by stability?

Of the same seeds: the ratio of the network's largest Hessian eigenvalues at the end, and the ratio
of the forward drifts (see `drift`) over the last `report.jitter_epochs`, beginning no earlier than
jitter does after the variant's last change.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, isfinite, log
from typing import Any

import numpy as np

from netstab.evidence.summary.drift import log_drift, places, shifts
from netstab.evidence.summary.windows import final, jitter_start
from netstab.params import Params
from netstab.results.runs import Collection
from netstab.results.schema import SharpnessFile
from netstab.study.experiments import BASELINE, Run, Variant, view
from netstab.study.measuring import NETWORK

PROTOCOL = ("images", "batch_norm", "dtype")
"""What eigenvalues depend on, besides the state."""


@dataclass(frozen=True, slots=True)
class Point:
    """Differences of a run to the baseline, or their mean over a variant's seeds.

    Attributes:
        variant: of the run.
        seed: of the run; None for the mean over seeds.
        sharpness: difference of log eigenvalues.
        drift: difference of log drifts.
        gain: difference of final validation top-1, in points.
    """

    variant: Variant
    seed: int | None
    sharpness: float
    drift: float
    gain: float

    def row(self) -> dict[str, Any]:
        """As a row of the chart, with ratios for logarithms."""
        return {
            "variant": self.variant.name,
            "experiment": self.variant.experiment,
            "seed": self.seed,
            "sharpness": float(f"{exp(self.sharpness):.4g}"),
            "drift": float(f"{exp(self.drift):.4g}"),
            "gain": float(f"{self.gain:.4g}"),
        }


def locate(params: Params, collection: Collection) -> tuple[list[Point], dict[str, list[str]]]:
    """Places of variants, means before seeds; and the variants that have none, by reason.

    A variant with a place in some seeds is named with the seeds in which it has none.
    """
    means: list[Point] = []
    seeds: list[Point] = []
    left_out: dict[str, list[str]] = {}
    for variant in collection.schedules:
        if view(params, variant):
            left_out.setdefault("a view, measured as the baseline", []).append(variant.name)
            continue
        found = [_locate(params, collection, variant, seed) for seed in params.seeds]
        placed = [point for point in found if isinstance(point, Point)]
        reasons: dict[str, list[int]] = {}
        for seed, why in zip(params.seeds, found, strict=True):
            if isinstance(why, str):
                reasons.setdefault(why, []).append(seed)
        for why, lacking in reasons.items():
            which = "seed" if len(lacking) == 1 else "seeds"
            whose = f" ({which} {', '.join(map(str, lacking))})"
            everywhere = len(lacking) == len(found)
            left_out.setdefault(why, []).append(variant.name + ("" if everywhere else whose))
        if placed:
            middle = np.mean([(p.sharpness, p.drift, p.gain) for p in placed], axis=0)
            means.append(Point(variant, None, *map(float, middle)))
            seeds += placed if len(placed) > 1 else []
    return [*means, *seeds], left_out


def largest_error(files: Iterable[SharpnessFile], epoch: int, block: str = NETWORK) -> float | None:
    """The largest bound on the error of an eigenvalue, as a share of it.

    Args:
        files: of runs; eigenvalues that did not converge, or are zero, do not count.
        epoch: of which.
        block: of which.

    Returns:
        The share; None where a file states no bound, as those of version 1 of the measures.
    """
    ends = [m for file in files if (m := file.at(epoch, block)) is not None]
    told = [(m.eigenvalue_error, m.eigenvalue) for m in ends if m.eigenvalue]
    shares = [error / abs(value) for error, value in told if error is not None]
    return max(shares) if shares and len(shares) == len(told) else None


def _locate(params: Params, collection: Collection, variant: Variant, seed: int) -> Point | str:
    """The place of a run, or why it has none."""
    start = jitter_start(params, collection.schedules[variant])
    pair = [Run(v, seed) for v in (variant, BASELINE)]
    mine, base = (_figures(params, collection, run, start) for run in pair)
    if isinstance(mine, str) or isinstance(base, str):
        return mine if isinstance(mine, str) else f"baseline: {base}"
    protocols = [collection.sharpness[run].protocol for run in pair]
    for name in PROTOCOL:
        if len({str(protocol.get(name)) for protocol in protocols}) > 1:
            return f"sharpness was measured with other {name} than the baseline's"
    return Point(variant, seed, *(a - b for a, b in zip(mine, base, strict=True)))


def _figures(
    params: Params, collection: Collection, run: Run, start: int
) -> tuple[float, float, float] | str:
    """Log eigenvalue, log drift, final validation top-1; or what is missing."""
    if run not in collection.histories:
        return "no usable run"
    epochs = params.train.run_epochs
    sharpness = collection.sharpness.get(run)
    measured = sharpness.at(epochs) if sharpness else None
    if measured is None or run not in collection.stability:
        return "not measured"
    if measured.eigenvalue is None or measured.eigenvalue <= 0:
        return "eigenvalue did not converge or is not positive"
    if start >= epochs:
        return "no epoch is left after it settles"
    try:
        shifted = shifts(collection.stability[run], params)
        drift = log_drift(shifted, "forward", places(params, "forward"), start)
    except LookupError:
        return "not measured"
    if not isfinite(drift):
        return "some signals stand exactly still, so their ratio says nothing"
    top1 = final(params, collection.histories[run]["val_top1_pct"].to_numpy())
    return log(measured.eigenvalue), drift, float(top1)
