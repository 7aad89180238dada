"""How a thing grows: a power law, fitted by least squares on logarithms. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import linregress

from benchmarks.common import Spread


@dataclass(frozen=True, slots=True)
class Law:
    """y = factor * x ** exponent.

    Attributes:
        factor: y at x = 1.
        exponent: 1 is in proportion.
        exponent_se: its standard error from the scatter of the points about the law; None for
            two points, through which every law goes.
        points: values of y that it was fitted to.
    """

    factor: float
    exponent: float
    exponent_se: float | None
    points: int

    def as_json(self) -> dict[str, Any]:
        """The law as data."""
        return {
            "factor": self.factor,
            "exponent": self.exponent,
            "exponent_se": self.exponent_se,
            "points": self.points,
        }

    def __str__(self) -> str:
        error = "" if self.exponent_se is None else f" ± {self.exponent_se:.2f}"
        return f"{self.exponent:.2f}{error}"


def power_law(values: Mapping[int, Spread]) -> Law | None:
    """The law of x -> values of y, each value a point; None with a single x.

    Raises:
        ValueError: an x or a y is not positive.
    """
    pairs = [(x, y) for x, spread in values.items() for y in spread.values]
    if any(x <= 0 or y <= 0 for x, y in pairs):
        raise ValueError("a power law wants positive values")
    if len(values) < 2:
        return None
    xs, ys = (np.log(np.array(side, dtype=float)) for side in zip(*pairs, strict=True))
    fit = linregress(xs, ys)
    error = float(fit.stderr) if len(pairs) > 2 else None
    return Law(float(np.exp(fit.intercept)), float(fit.slope), error, len(pairs))
