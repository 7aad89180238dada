"""Decision rules, held against SciPy's own tests and against what they promise."""

from math import log, sqrt

import numpy as np
import pytest
from scipy import stats

from netstab.evidence.claims.judgement import Verdict
from netstab.evidence.claims.statistics import (
    Rule,
    Sample,
    above,
    below,
    bonferroni,
    holm,
    ratio,
    within,
)

SAMPLES = [
    np.random.default_rng(seed).normal(0.4, 1.0, size).tolist()
    for seed in range(8)
    for size in (3, 5, 12)
]


@pytest.mark.parametrize("values", SAMPLES)
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_intervals_and_p_values_are_those_of_scipys_t_test(
    values: list[float], confidence: float
) -> None:
    sample = Sample.of(values)
    wanted = stats.ttest_1samp(values, 0.0).confidence_interval(confidence)
    assert sample.interval(confidence) == pytest.approx((wanted.low, wanted.high), rel=1e-10)
    for threshold in (-0.3, 0.0, 1.7):
        greater = stats.ttest_1samp(values, threshold, alternative="greater").pvalue
        less = stats.ttest_1samp(values, threshold, alternative="less").pvalue
        assert sample.p_above(threshold) == pytest.approx(greater, rel=1e-9)
        assert sample.p_below(threshold) == pytest.approx(less, rel=1e-9)
        two_sided = stats.ttest_1samp(values, threshold).pvalue
        on_its_side = above(threshold) if sample.mean > threshold else below(threshold)
        assert on_its_side.p(sample) == pytest.approx(two_sided, rel=1e-9)


@pytest.mark.parametrize("values", SAMPLES)
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95])
@pytest.mark.parametrize("rule", [above(), below(), above(0.7), below(0.7), within(1.0)])
def test_p_is_at_most_the_level_just_where_the_verdict_is_supported(
    values: list[float], confidence: float, rule: Rule
) -> None:
    sample = Sample.of(values)
    supported = rule.verdict(sample, confidence) is Verdict.SUPPORTED
    assert supported == (rule.p(sample) <= 1 - confidence)


@pytest.mark.parametrize("values", SAMPLES)
def test_equivalence_is_two_one_sided_tests(values: list[float]) -> None:
    rule, sample = within(1.0), Sample.of(values)
    p = max(
        stats.ttest_1samp(values, -1.0, alternative="greater").pvalue,
        stats.ttest_1samp(values, 1.0, alternative="less").pvalue,
    )
    assert rule.p(sample) == pytest.approx(p, rel=1e-9)
    assert (rule.verdict(sample, 0.95) is Verdict.SUPPORTED) == (p < 0.05)
    wanted = stats.ttest_1samp(values, 0.0).confidence_interval(0.9)
    assert rule.interval(sample, 0.95) == pytest.approx((wanted.low, wanted.high), rel=1e-10)


@pytest.mark.parametrize(
    ("rule", "values", "verdict"),
    [
        (above(), [1.0, 1.1, 1.2], Verdict.SUPPORTED),
        (above(), [-1.0, -1.1, -1.2], Verdict.CONTRADICTED),
        (above(), [-1.0, 0.1, 1.2], Verdict.INCONCLUSIVE),
        (above(2.0), [1.0, 1.1, 1.2], Verdict.CONTRADICTED),
        (below(), [-1.0, -1.1, -1.2], Verdict.SUPPORTED),
        (below(), [1.0, 1.1, 1.2], Verdict.CONTRADICTED),
        (below(log(1.2)), [0.0, 0.01, -0.01], Verdict.SUPPORTED),
        (within(0.3), [0.0, 0.01, -0.01], Verdict.SUPPORTED),
        (within(0.3), [0.5, 0.51, 0.52], Verdict.CONTRADICTED),
        (within(0.3), [-0.5, -0.51, -0.52], Verdict.CONTRADICTED),
        (within(0.3), [0.0, 0.5, -0.5], Verdict.INCONCLUSIVE),
        # Beyond the margin on both sides says nothing about where the mean is.
        (within(0.3), [-2.0, 2.0, 0.0], Verdict.INCONCLUSIVE),
    ],
)
def test_verdicts_say_on_which_side_the_interval_lies(
    rule: Rule, values: list[float], verdict: Verdict
) -> None:
    assert rule.verdict(Sample.of(values), 0.95) is verdict


@pytest.mark.parametrize(
    ("rule", "value", "verdict", "p"),
    [
        (above(), 0.1, Verdict.SUPPORTED, 0),
        (above(), -0.1, Verdict.CONTRADICTED, 1),
        (above(), 0.0, Verdict.INCONCLUSIVE, 1),
        (below(), 0.0, Verdict.INCONCLUSIVE, 1),
        (below(99.9), 99.9, Verdict.INCONCLUSIVE, 1),
        (above(99.9, inclusive=True), 99.9, Verdict.SUPPORTED, 0),
        (above(99.9, inclusive=True), 99.8, Verdict.CONTRADICTED, 1),
        (within(0.3), 0.1, Verdict.SUPPORTED, 0),
        (within(0.3), 0.3, Verdict.INCONCLUSIVE, 1),
        (within(0.3), -0.4, Verdict.CONTRADICTED, 1),
    ],
)
def test_values_without_any_spread_are_a_point(
    rule: Rule, value: float, verdict: Verdict, p: float
) -> None:
    sample = Sample.of([value] * 3)
    assert rule.interval(sample, 0.95) == (value, value)
    assert rule.verdict(sample, 0.95) is verdict
    assert rule.p(sample) == p


@pytest.mark.parametrize("threshold", [99.9, 99.95, 99.999, 0.182, -0.5, 0.0])
def test_the_side_is_told_as_it_is_tested(threshold: float) -> None:
    assert float(above(threshold).wanted.split()[1]) == threshold


def test_equal_values_have_no_spread_whatever_their_sum_rounds_to() -> None:
    # (0.1 + 0.1 + 0.1) / 3 is not 0.1.
    assert Sample.of([0.1] * 3) == Sample(3, 0.1, 0.0)


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        (above(), "> 0"),
        (below(), "< 0"),
        (above(99.9, inclusive=True), ">= 99.9"),
        (below(log(1.2)), "< 0.182"),
        (within(0.02), "within ± 0.02"),
    ],
)
def test_claimed_sides_are_said_in_words(rule: Rule, wanted: str) -> None:
    assert rule.wanted == wanted


def test_bonferroni_shares_the_level() -> None:
    assert bonferroni(0.95, 1) == pytest.approx(0.95)
    assert bonferroni(0.95, 10) == pytest.approx(0.995)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
    # What was not tested takes no part.
    assert holm([None, 0.04, None, 0.03]) == [None, 0.06, None, 0.06]


def test_holm_keeps_the_rate_of_any_false_rejection() -> None:
    random = np.random.default_rng(3)
    studies = 4000
    least = (min(filter(None, holm(random.uniform(size=22).tolist()))) for _ in range(studies))
    false = sum(p <= 0.05 for p in least)
    assert false / studies > 0.03
    assert stats.binomtest(false, studies, 0.05, alternative="greater").pvalue > 1e-3


def test_ratio_holds_just_what_is_not_rejected() -> None:
    # Fieller's definition: r is in the interval if the mean of over - r * under may be zero.
    over, under = [1.9, 2.4, 2.2, 1.7, 2.6], [4.1, 4.4, 3.9, 3.6, 4.6]
    found = ratio(over, under, 0.95)
    assert found.value == pytest.approx(np.mean(over) / np.mean(under))
    assert found.low is not None
    assert found.high is not None
    for end, inside in ((found.low, 1), (found.high, -1)):
        for r, rejected in ((end - inside * 1e-6, True), (end + inside * 1e-6, False)):
            left = np.array(over) - r * np.array(under)
            assert (stats.ttest_1samp(left, 0.0).pvalue < 0.05) == rejected


def test_ratio_with_a_denominator_near_zero_is_not_bounded() -> None:
    found = ratio([1.0, 2.0, 3.0], [0.5, -0.4, 0.1], 0.95)
    assert found.value is not None
    assert (found.low, found.high) == (None, None)
    assert ratio([1.0, 2.0, 3.0], [0.0, 0.0, 0.0], 0.95).value is None


def test_ratio_of_two_seeds_has_no_interval_and_of_equal_ones_is_a_point() -> None:
    assert ratio([1.0, 3.0], [4.0, 4.0], 0.95).value == 0.5
    assert ratio([1.0, 3.0], [4.0, 4.0], 0.95).low is None
    exact = ratio([1.0] * 3, [4.0] * 3, 0.95)
    assert (exact.value, exact.low, exact.high) == (0.25, 0.25, 0.25)


def test_ratio_covers_the_truth_at_its_confidence() -> None:
    random = np.random.default_rng(5)
    studies, covered = 2000, 0
    for _ in range(studies):
        under = random.normal(4.0, 1.0, 4)
        found = ratio((0.5 * under + random.normal(0, 0.3, 4)).tolist(), under.tolist(), 0.9)
        covered += found.low is None or found.low <= 0.5 <= (found.high or 0)
    assert covered / studies == pytest.approx(0.9, abs=3.3 * sqrt(0.09 / studies))
