"""How often claims err where there is nothing to find: simulated studies at each rule's boundary.

Every variant is equal to every other, with noise that is correlated between epochs, drifts as a
random walk, and is shared as far as pasts are. Rules with a threshold or a margin have the truth
exactly there: the hardest case in which they must not err.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from netstab.evidence.claims.judge import CLAIMS, judge
from netstab.evidence.claims.judgement import Verdict
from netstab.evidence.claims.statistics import holm
from netstab.params import Params
from netstab.results.barriers import Barriers
from netstab.results.runs import Collection
from netstab.results.schema import MEASURES
from netstab.study.experiments import Run, Variant, cyclical, variants, view
from netstab.study.schedule import Schedule
from tests import synthetic
from tests import synthetic_studies as studies

# In one process: the simulations are shared.
pytestmark = [pytest.mark.long, pytest.mark.xdist_group("null")]

SEEDS = (3, 5)
"""With how many seeds each study is judged."""
STUDIES = 600
"""How many are simulated: so many tell of a rule that errs twice too often."""
LEVEL = 0.05
CYCLES = {"shapes": ["cosine", "triangular", "warm_restarts"]}
PARAMS = synthetic.parameters(seeds=list(range(max(SEEDS))), own={}, expF=CYCLES)
END = PARAMS.train.run_epochs
CORRELATION = 0.6
"""Of the noise of neighbouring epochs, part of which is independent besides."""


Pasts = dict[Variant, tuple[Variant | None, int]]
"""With which variant one has most epochs in common, and how many."""


class Errors:
    """Counts over the simulated studies, judged with one number of seeds."""

    def __init__(self) -> None:
        self.claims: Counter[str] = Counter()
        self.parts: Counter[tuple[str, str, str]] = Counter()
        self.holm = 0
        self.holm_hardest = 0

    def exceeded(self, errors: int, significance: float) -> bool:
        """Whether so many of the studies tell of more errors than the level allows."""
        test = binomtest(errors, STUDIES, LEVEL, alternative="greater")
        return bool(test.pvalue < significance)


Simulated = dict[int, Errors]
"""Errors by the number of seeds."""


@pytest.fixture(scope="module")
def simulated() -> Simulated:
    found = {n: Errors() for n in SEEDS}
    params = {n: PARAMS.model_copy(update={"seeds": tuple(range(n))}) for n in SEEDS}
    for collection in null_studies():
        for n, errors in found.items():
            count(errors, params[n], collection)
    return found


def test_no_claims_rule_errs_more_often_than_its_level(simulated: Simulated) -> None:
    for n, errors in simulated.items():
        for claim in CLAIMS:
            wrong = errors.claims[claim]
            assert not errors.exceeded(wrong, 1e-3), f"{claim}, n = {n}: {wrong}"
        assert max(errors.claims.values()) > 0


def test_no_parts_rule_errs_more_often_than_its_level(simulated: Simulated) -> None:
    for errors in simulated.values():
        found = errors.parts
        for (claim, part, verdict), count in found.items():
            # An equivalence at its margin is on the boundary of 'supported' and of 'contradicted'.
            level = 1e-3 / len(found)
            assert not errors.exceeded(count, level), f"{claim}, {part}, {verdict}: {count}"


def test_parts_are_not_so_cautious_that_the_check_says_nothing(simulated: Simulated) -> None:
    # Direction tests at their boundary err at their level, no more and no less.
    for errors in simulated.values():
        rates = [c / STUDIES for (_, _, kind), c in errors.parts.items() if kind == "side"]
        assert np.mean(rates) == pytest.approx(LEVEL, abs=0.01)


def test_holm_column_names_any_claim_in_at_most_one_study_of_twenty(simulated: Simulated) -> None:
    for n, errors in simulated.items():
        assert not errors.exceeded(errors.holm, 1e-3), f"n = {n}: {errors.holm}"


def test_holm_column_holds_where_each_claim_hangs_on_one_part(simulated: Simulated) -> None:
    # All other parts true beyond doubt: the claim's p-value is that of the part at its boundary.
    for errors in simulated.values():
        assert not errors.exceeded(errors.holm_hardest, 1e-3)


def test_holm_column_is_not_so_cautious_that_it_names_nothing(simulated: Simulated) -> None:
    for errors in simulated.values():
        assert errors.holm_hardest > 0.01 * STUDIES


def count(errors: Errors, params: Params, collection: Collection) -> None:
    judgements = judge(params, collection)
    errors.holm += any(j.p_holm is not None and j.p_holm <= LEVEL for j in judgements)
    hardest = holm([judgement.parts[-1].p or 0.0 for judgement in judgements])
    errors.holm_hardest += min(hardest) <= LEVEL
    for judgement in judgements:
        assert judgement.verdict in JUDGED, (judgement.id, judgement.note)
        errors.claims[judgement.id] += judgement.verdict is not Verdict.INCONCLUSIVE
        for part in judgement.parts:
            if "within" in part.wanted:
                errors.parts[judgement.id, part.name, part.verdict] += part.verdict in DECIDED
            else:
                errors.parts[judgement.id, part.name, "side"] += part.verdict in DECIDED


DECIDED = (Verdict.SUPPORTED, Verdict.CONTRADICTED)
JUDGED = (*DECIDED, Verdict.INCONCLUSIVE)


def null_studies() -> Iterator[Collection]:
    """Equal variants, but for what puts a rule's truth on its threshold or margin."""
    frame = synthetic.collection(PARAMS, {}, {}, {})
    pasts = shared_pasts(frame.schedules)
    everyone = list(pasts)
    level = np.array([level_of(v) for v in everyone])[:, None]  # [variants, 1, E, measures]
    random = np.random.default_rng(20)
    for _ in range(STUDIES):
        curves = level + noise(pasts, random)
        histories = {
            Run(variant, seed): curves[i, seed]
            for i, variant in enumerate(everyone)
            for seed in PARAMS.seeds
        }
        yield replace(frame, histories=studies.tables(histories), **measured(random))


def shared_pasts(schedules: dict[Variant, Schedule]) -> Pasts:
    pasts: Pasts = {}
    for variant, mine in schedules.items():
        shared = [(mine.shared_epochs(schedules[other]), other) for other in pasts]
        epochs, other = max(shared, key=lambda found: found[0], default=(0, None))
        how = view(PARAMS, variant)
        pasts[variant] = (other, how.start_epoch if how else epochs)
    return pasts


def level_of(variant: Variant) -> np.ndarray:
    """Expected curves, [E, measures]: a common trend, and what puts the truth on a boundary."""
    curves = np.tile(list(studies.LEVELS.values()), (END, 1))
    learning = np.exp(-np.arange(END) / 60)
    shift(curves, "train_loss", 0.5 * learning)
    shift(curves, "train_top1_pct", 4.9 - 5 * learning)
    curves[-PARAMS.report.final_epochs :, MEASURES.index("train_top1_pct")] = 99.9  # C3
    points, nats = PARAMS.claims.margin_points, PARAMS.claims.margin_loss
    if variant.experiment in ("outpost", "expD"):  # C6: C/256 and C/512 end above by the margin
        shift(curves, "val_loss", -nats, 60)
    if variant.experiment == "expD":  # D1
        shift(curves, "val_loss", nats, 140)
        shift(curves, "val_top1_pct", points, 140)
    if variant.name in ("expC-64", "expC-128"):  # C6: they move by the margin
        shift(curves, "val_loss", nats, 130)
        shift(curves, "val_top5_pct", -points, 130)
    return curves


def shift(curves: np.ndarray, measure: str, amount: np.ndarray | float, start: int = 0) -> None:
    curves[start:, MEASURES.index(measure)] += amount


def noise(pasts: Pasts, random: np.random.Generator) -> np.ndarray:
    """Noise of every run, [variants, seeds, E, measures], the same as far as pasts are shared."""
    shape = (len(pasts), len(PARAMS.seeds), END, len(MEASURES))
    jolts = random.standard_normal((3, *shape))
    place = {variant: i for i, variant in enumerate(pasts)}
    for variant, (other, epochs) in pasts.items():
        if other is not None:
            jolts[:, place[variant], :, :epochs] = jolts[:, place[other], :, :epochs]
    from scipy.signal import lfilter  # a second to import, for all of xdist's processes

    correlated = lfilter([1.0], [1.0, -CORRELATION], jolts[0], axis=2)
    walk = np.cumsum(jolts[1], axis=2)
    scale = 5 * np.array(list(studies.NOISE.values()))
    found: np.ndarray = scale * (0.6 * correlated + 0.1 * walk + jolts[2])
    for variant in cyclical(PARAMS):  # F1: at the end they jitter more by the margin
        found[place[variant], :, PARAMS.expF.end_epoch :] *= 1 + PARAMS.claims.margin_jitter
    return found


def measured(random: np.random.Generator) -> dict[str, Any]:
    """Stability of the runs whose stability claims look at, sharpness and barriers at their end."""
    nats = PARAMS.claims.margin_loss
    moved = [
        *(Variant("baseline"), Variant("outpost"), Variant("expB", "64"), Variant("expB", "512")),
        *cyclical(PARAMS),
    ]
    curved = [
        v for v in variants(PARAMS) if v.experiment in ("baseline", "outpost", "expA", "expB")
    ]

    def change(rows: int) -> np.ndarray:
        # What a run's epochs have in common does not average out.
        return np.exp(0.2 * random.standard_normal(rows) + 0.2 * random.standard_normal())

    def eigenvalues(variant: Variant) -> dict[str, float | None]:
        margin = 1 + PARAMS.claims.margin_sharpness if variant.experiment == "expB" else 1.0
        tops = 10 * margin * np.exp(0.2 * random.standard_normal(5))
        return dict(zip((*PARAMS.blocks, "network"), tops.tolist(), strict=True))

    return {
        "stability": {
            Run(v, seed): studies.measured("stability", PARAMS, v, change)
            for v in moved
            for seed in PARAMS.seeds
        },
        "field": {
            Run(v, seed): studies.measured("field", PARAMS, v, change)
            for v in moved[:2]
            for seed in PARAMS.seeds
        },
        "sharpness": {
            Run(v, seed): studies.sharpness(PARAMS, eigenvalues(v))
            for v in curved
            for seed in PARAMS.seeds
        },
        # S5: a barrier of the margin, and a loss that is higher by it.
        "barriers": Barriers(
            {
                (run, "ema"): studies.line(run, *(nats + 0.01 * random.standard_normal(2)))
                for run in (Run(Variant("outpost"), seed) for seed in PARAMS.seeds)
            }
        ),
    }
