"""The question as a picture: does a variant gain by sharpness, or by stability?

Each variant is a point, relative to the baseline of the same seeds: the ratio of the network's
largest Hessian eigenvalues at the end, and the ratio of the forward drifts (see `drift`) over the
last `report.jitter_epochs`, beginning no earlier than jitter does after the variant's last change.
"""

from dataclasses import dataclass
from math import exp, isfinite, log
from typing import Any

import numpy as np

from netstab.evidence.claims.effects import PROTOCOL
from netstab.evidence.summary.aggregate import Results, final_window, jitter_start
from netstab.evidence.summary.drift import log_drift, places, shifts
from netstab.study.experiments import Run, Variant, view

BASELINE = Variant("baseline")


@dataclass(frozen=True, slots=True)
class Point:
    """A run's place, or the mean of a variant's: differences to the baseline.

    Attributes:
        variant: whose place it is.
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


def locate(results: Results) -> tuple[list[Point], dict[str, list[str]]]:
    """Where the variants stand: means first, then their seeds; and who has no place, by reason.

    A variant that has a place in some seeds alone is named with those in which it has none.
    """
    means: list[Point] = []
    seeds: list[Point] = []
    left_out: dict[str, list[str]] = {}
    for variant in results.collection.schedules:
        if view(results.params, variant):
            left_out.setdefault("a view, measured as the baseline", []).append(variant.name)
            continue
        found = [_locate(results, variant, seed) for seed in results.params.seeds]
        placed = [point for point in found if isinstance(point, Point)]
        reasons: dict[str, list[int]] = {}
        for seed, why in zip(results.params.seeds, found, strict=True):
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


def _locate(results: Results, variant: Variant, seed: int) -> Point | str:
    """The place of a run, or why it has none."""
    start = jitter_start(results.params, results.collection.schedules[variant])
    mine, base = (_figures(results, Run(v, seed), start) for v in (variant, BASELINE))
    if isinstance(mine, str) or isinstance(base, str):
        return mine if isinstance(mine, str) else f"baseline: {base}"
    protocols = [results.collection.sharpness[Run(v, seed)].protocol for v in (variant, BASELINE)]
    for name in PROTOCOL:
        if len({str(protocol.get(name)) for protocol in protocols}) > 1:
            return f"sharpness was measured with other {name} than the baseline's"
    return Point(variant, seed, *(a - b for a, b in zip(mine, base, strict=True)))


def _figures(results: Results, run: Run, start: int) -> tuple[float, float, float] | str:
    """Log eigenvalue, log drift, final validation top-1; or what is missing."""
    params, collection = results.params, results.collection
    if run not in collection.histories:
        return "no usable run"
    epochs = params.train.run_epochs
    told = collection.sharpness.get(run)
    measured = told.at(epochs) if told else None
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
    final = collection.histories[run]["val_top1_pct"].to_numpy()[-final_window(params) :].mean()
    return log(measured.eigenvalue), drift, float(final)


def domains(points: list[Point]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Ends of the two axes, as ratios: all points and the baseline, with a margin."""
    ends = []
    for values in ([p.sharpness for p in points], [p.drift for p in points]):
        low, high = min(0.0, *values), max(0.0, *values)
        margin = 0.09 * (high - low) or 0.5
        ends.append((exp(low - margin), exp(high + margin)))
    return ends[0], ends[1]


# Offsets (dx, dy) of a name from its point and its alignment, the best first.
_SIDES = (
    (9, 0, "left"), (-9, 0, "right"), (0, -13, "center"), (0, 13, "center"),
    (7, -10, "left"), (7, 10, "left"), (-7, -10, "right"), (-7, 10, "right"),
    (12, -20, "left"), (12, 20, "left"), (-12, -20, "right"), (-12, 20, "right"),
)  # fmt: skip
_LETTER, _LINE = 6.6, 12.5
"""Width and height of a letter, in pixels, of the wider ones among the page's fonts."""

Box = tuple[float, float, float, float]


def names(points: list[Point], width: float, height: float) -> list[dict[str, Any]]:
    """A place for each mean's name where it covers no mean and no other name, if there is one.

    A place that covers few points of seeds is preferred. A name without a place is left out:
    its point tells it when hovered over.

    Args:
        points: as `locate` has them.
        width: of the plot in pixels.
        height: likewise.
    """
    (left, right), (bottom, top) = domains(points)
    means = [point for point in points if point.seed is None]

    def spot(point: Point) -> tuple[float, float]:
        x = (point.sharpness - log(left)) / (log(right) - log(left)) * width
        return x, (log(top) - point.drift) / (log(top) - log(bottom)) * height

    taken = [_around(*spot(point), 6) for point in means]
    seeds = [_around(*spot(point), 2) for point in points if point.seed is not None]
    rows = []
    for point in means:
        x, y = spot(point)
        name = point.variant.name.removeprefix("exp")
        free = []
        for rank, (dx, dy, align) in enumerate(_SIDES):
            box = _box(x + dx, y + dy, align, len(name) * _LETTER)
            inside = box[0] >= 0 and box[2] <= width and box[1] >= 0 and box[3] <= height
            if inside and not any(_overlap(box, other) for other in taken):
                # Whose name it is must stay plain: four sides further off are worth one seed.
                cost = rank // 4 + sum(_overlap(box, other) for other in seeds)
                free.append((cost, box, (dx, dy, align)))
        if free:
            _, box, side = min(free, key=lambda place: place[0])
            taken.append(box)
            place = {"name": name, **dict(zip(("dx", "dy", "align"), side, strict=True))}
            rows.append({**place, **{k: point.row()[k] for k in ("sharpness", "drift")}})
    return rows


def _around(x: float, y: float, radius: float) -> Box:
    return x - radius, y - radius, x + radius, y + radius


def _box(x: float, y: float, align: str, width: float) -> Box:
    left = x - {"left": 0.0, "center": width / 2, "right": width}[align]
    return left, y - _LINE / 2, left + width, y + _LINE / 2


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
