"""The decision rules: t-intervals over seeds, equivalence, Holm's adjustment, Fieller's ratio.

A claim's effect is a number a seed; seeds are independent of each other. Everything rests on
Student's t, of which `scipy.special` has the ufuncs that `scipy.stats` is made of: a claims table
takes milliseconds, which lets its error rates be simulated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import inf, isfinite, sqrt

from scipy.special import stdtr, stdtrit

from netstab.evidence.claims.judgement import Verdict

FEWEST_SEEDS = 3
"""With fewer, an effect has no interval and no verdict: two seeds say next to nothing of spread."""

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Sample:
    """What a t-interval needs of the effects in `n` seeds: mean and standard error.

    Where all seeds agree to the bit the standard error is 0, and the interval is a point.
    """

    n: int
    mean: float
    error: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Sample":
        """Sum up at least one finite value."""
        n = len(values)
        if min(values) == max(values):
            return cls(n, values[0], 0.0)  # their sum, divided, may be off by a bit
        mean = sum(values) / n
        variance = sum((value - mean) ** 2 for value in values) / (n - 1)
        return cls(n, mean, sqrt(variance / n))

    def interval(self, confidence: float) -> Interval:
        """Two-sided t-interval of the mean."""
        reach = _quantile(self.n - 1, confidence) * self.error
        return self.mean - reach, self.mean + reach

    def p_above(self, threshold: float) -> float:
        """One-sided p-value of 'the mean is above', if it is not."""
        return self._tail(self.mean - threshold)

    def p_below(self, threshold: float) -> float:
        """One-sided p-value of 'the mean is below', if it is not."""
        return self._tail(threshold - self.mean)

    def _tail(self, lead: float) -> float:
        if self.error == 0:
            return 0.0 if lead > 0 else 1.0
        return float(stdtr(self.n - 1, -lead / self.error))


@cache
def _quantile(degrees: int, confidence: float) -> float:
    return float(stdtrit(degrees, (1 + confidence) / 2))


@dataclass(frozen=True, slots=True)
class Rule:
    """The mean is claimed to lie between two ends, of which one may be infinite.

    Supported if the t-interval at the confidence lies wholly between them, contradicted if it lies
    wholly beyond one. An effect that equals an end in every seed is neither, unless the region is
    claimed to include its lower end.

    Between two finite ends it is an equivalence, by two one-sided t-tests at level 1 - confidence:
    then the t-interval at 2 x confidence - 1 counts (of a mean at an end itself one interval in
    twenty lies beyond it).
    """

    low: float = -inf
    high: float = inf
    inclusive: bool = False

    @property
    def is_equivalence(self) -> bool:
        """Whether both ends are finite."""
        return isfinite(self.low) and isfinite(self.high)

    @property
    def wanted(self) -> str:
        """The claimed region, for people."""
        if self.is_equivalence:
            return f"within ± {self.high:g}"
        sign, end = (">", self.low) if isfinite(self.low) else ("<", self.high)
        return f"{sign}{'=' if self.inclusive else ''} {end:{'.3g' if abs(end) < 1 else 'g'}}"

    def interval(self, sample: Sample, confidence: float) -> Interval:
        """The interval that the verdict looks at."""
        return sample.interval(2 * confidence - 1 if self.is_equivalence else confidence)

    def p(self, sample: Sample) -> float:
        """p-value of the two-sided t-test; 1 where the mean is not on the claimed side.

        So that it is at most 1 - confidence just where the verdict is 'supported'. Of an
        equivalence it is the larger p-value of the two one-sided tests.
        """
        if self.inclusive and sample.error == 0 and sample.mean == self.low:
            return 0.0
        one_sided = max(sample.p_above(self.low), sample.p_below(self.high))
        return one_sided if self.is_equivalence else min(1.0, 2 * one_sided)

    def verdict(self, sample: Sample, confidence: float) -> Verdict:
        """The verdict at a confidence."""
        low, high = self.interval(sample, confidence)
        if self.holds(low) and self.holds(high):
            return Verdict.SUPPORTED
        beyond = high < self.low or low > self.high
        return Verdict.CONTRADICTED if beyond else Verdict.INCONCLUSIVE

    def holds(self, value: float) -> bool:
        """Whether a single value is between the ends; where there is none, infinities are."""
        beyond_low = value > self.low or (value == self.low and (self.inclusive or value == -inf))
        return beyond_low and (value < self.high or value == self.high == inf)


def above(threshold: float = 0.0, *, inclusive: bool = False) -> Rule:
    """Claimed: above the threshold."""
    return Rule(low=threshold, inclusive=inclusive)


def below(threshold: float = 0.0) -> Rule:
    """Claimed: below the threshold."""
    return Rule(high=threshold)


def within(margin: float) -> Rule:
    """Claimed: equivalent to zero, nearer to it than a margin."""
    return Rule(-margin, margin)


def bonferroni(confidence: float, tests: int) -> float:
    """Confidence of each of several intervals, if all of them are to hold at `confidence`."""
    return 1 - (1 - confidence) / tests


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjustment (1979): rejecting p <= a keeps the family-wise error at a.

    What was not tested has no p-value, and does not count.
    """
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, i) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        adjusted[i] = highest
    return adjusted


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of means and its interval; None for an end that is not known or not bounded."""

    value: float | None
    low: float | None
    high: float | None


def ratio(over: Sequence[float], under: Sequence[float], confidence: float) -> Ratio:
    """Ratio of the means of paired values, with Fieller's interval (1954).

    The interval holds each r for which 'mean(over - r * under) is zero' is not rejected. If the
    denominator does not differ from zero, no end is bounded: both are None, as for too few values.
    """
    n = len(over)
    top, bottom = sum(over) / n, sum(under) / n
    value = top / bottom if bottom else inf
    if not isfinite(value):
        return Ratio(None, None, None)
    if n < FEWEST_SEEDS:
        return Ratio(value, None, None)
    scale = _quantile(n - 1, confidence) ** 2 / (n * (n - 1))
    in_top = scale * sum((x - top) ** 2 for x in over)
    in_bottom = scale * sum((y - bottom) ** 2 for y in under)
    in_both = scale * sum((x - top) * (y - bottom) for x, y in zip(over, under, strict=True))
    # Roots of a r^2 - 2 b r + c = 0.
    a, b, c = bottom**2 - in_bottom, top * bottom - in_both, top**2 - in_top
    if a <= 0:
        return Ratio(value, None, None)
    reach = sqrt(max(0.0, b * b - a * c)) / a
    return Ratio(value, b / a - reach, b / a + reach)
