"""Claims on studies whose truth is known: what is supported, contradicted, or not to be judged."""

import io
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from netstab import paths
from netstab.commands import claims as command
from netstab.errors import NetstabError
from netstab.evidence import report
from netstab.evidence.claims.checks import POINTS, Check, conclude, examine
from netstab.evidence.claims.cyclical import ends_of_cycles
from netstab.evidence.claims.effects import Study as Compared
from netstab.evidence.claims.judge import CLAIMS, PART_COLUMNS, claims_csv, claims_json, judge
from netstab.evidence.claims.judgement import Judgement, Verdict
from netstab.evidence.claims.statistics import Sample, above, within
from netstab.evidence.page.findings import manner
from netstab.evidence.summary.field import log_shift
from netstab.params import PARTS, Params
from netstab.results.barriers import Barriers
from netstab.results.runs import Collection
from netstab.results.schema import MEASURES
from netstab.study.experiments import BASELINE, OUTPOST, Run, Variant, cyclical
from tests import synthetic
from tests.checkout import ROOT
from tests.repository import netstab
from tests.synthetic_studies import Study

CYCLES = {"shapes": ["cosine", "triangular", "warm_restarts"]}
FIVE = synthetic.parameters(seeds=[0, 1, 2, 3, 4], own={}, expF=CYCLES)
STEADIED = ("train_loss", "train_top1_pct", "val_loss", "val_top1_pct")
LOW, HIGH = ("expC-64", "expC-128"), ("expC-256", "expC-512")


@cache
def calm() -> Collection:
    """Runs that differ by noise alone; nobody changes it."""
    return Study(FIVE).collection()


def judged(study: Study) -> dict[str, Judgement]:
    return {j.id: j for j in judge(study.params, study.collection())}


# What makes each claim true (+1) or false (-1) beyond doubt, all else being equal and calm.
Truth = Callable[[Study, int], Any]


def a1(s: Study, sign: int) -> None:
    s.shift("outpost", "train_loss", -0.2 * sign, 60).shift("outpost", "val_top1_pct", 3, 60)


def a2(s: Study, sign: int) -> None:
    s.shift("expA", "train_loss", -0.2, 60).shift("expA", "train_loss", -0.05 * sign, 120)
    s.shift("expA", "val_top1_pct", 1, 60)


def b2(s: Study, sign: int) -> None:
    for measure in STEADIED:
        s.noise("expB", measure, 0.2 if sign > 0 else 5)


def c2(s: Study, sign: int) -> None:
    s.noise("outpost", "val_top1_pct", 0.2)
    s.noise("expC", "val_top1_pct", 0.25 if sign > 0 else 0.9)


def c3(s: Study, sign: int) -> None:
    for who in HIGH:
        s.shift(who, "train_top1_pct", 4.97 if sign > 0 else 4.0)


def c4(s: Study, sign: int) -> None:
    for who in LOW:
        s.shift(who, "val_top1_pct", sign, 90)


def c5(s: Study, sign: int) -> None:
    s.shift("outpost", "val_loss", 0.1 * sign, 80)
    s.shift("outpost", "val_top1_pct", 1, 80).shift("outpost", "val_top5_pct", -0.3, 80)


def c6(s: Study, sign: int) -> None:
    s.shift("outpost", "val_loss", 0.1, 120)
    for who in HIGH:
        s.shift(who, "val_loss", 0.1 * sign, 120).shift(who, "val_top5_pct", -0.3, 120)


def c7(s: Study, sign: int) -> None:
    for who in LOW:
        s.shift(who, "val_loss", -0.1 * sign, 90).shift(who, "val_top1_pct", 2, 90)


def s1(s: Study, sign: int) -> None:
    for column in ("forward_change", "backward_change"):
        s.drift("outpost", column, 0.01 if sign > 0 else 2)
    s.drift("outpost", "path", 0.1)


def s2(s: Study, sign: int) -> None:
    factor = 0.1 if sign > 0 else 3
    s.drift("expB-512", "forward_change", factor).drift("expB-64", "backward_change", factor)


def s3(s: Study, sign: int) -> None:
    s.eigenvalue("outpost", "network", 3).eigenvalue("expA", "own", 3)
    if sign < 0:
        s.eigenvalue("expB", "own", 1.5)


def s4(s: Study, sign: int) -> None:
    s.move("outpost", "shift_squared", 1e-4 if sign > 0 else 4).move("outpost", "path", 0.1)


def s5(s: Study, sign: int) -> None:
    s.line("outpost", 0.0 if sign > 0 else 0.1, -0.05)


def rival(who: str) -> Truth:
    def truth(s: Study, sign: int) -> None:
        s.shift("outpost", "val_top1_pct", 4, 60).shift(who, "val_top1_pct", 2 + sign, 60)

    return truth


def f1(s: Study, sign: int) -> None:
    s.noise("outpost", "val_top1_pct", 0.2)
    s.noise("expF", "val_top1_pct", 0.2 if sign > 0 else 0.5)


def f2(s: Study, sign: int) -> None:
    within_cycles(s, 0.1**sign, 1.0)


def f3(s: Study, sign: int) -> None:
    # At the low ends the weights go a tenth, or a thousandth, of the way.
    within_cycles(s, 0.01, 0.1 if sign > 0 else 0.001)


def within_cycles(s: Study, change: float, path: float) -> None:
    factors = {"forward_change": change, "backward_change": change, "path": path}
    for variant in cyclical(s.params):
        low, _ = ends_of_cycles(s.params, variant)
        for column, factor in factors.items():
            if low:
                s.drift(variant.name, column, factor, low)


TRUTHS: dict[str, Truth] = {
    "A1": a1,
    "A2": a2,
    "A3": lambda s, sign: s.noise("outpost", "val_top1_pct", 0.2 if sign > 0 else 5),
    "B1": lambda s, sign: s.shift("expB", "val_top1_pct", sign, 60),
    "B2": b2,
    "B3": lambda s, sign: s.shift("expB", "val_top1_pct", sign, 60),
    "C1": lambda s, sign: s.shift("outpost", "val_top1_pct", sign, 60),
    "C2": c2,
    "C3": c3,
    "C4": c4,
    "C5": c5,
    "C6": c6,
    "C7": c7,
    "D1": lambda s, sign: s.shift("expD", "val_loss", 0 if sign > 0 else 0.1, 140),
    "S1": s1,
    "S2": s2,
    "S3": s3,
    "S4": s4,
    "S5": s5,
    "R-ema": rival("expE-ema"),
    "R-bnrecal": rival("expE-bnrecal"),
    "R-batch": rival("expE-batch"),
    "R-head": rival("expE-head"),
    "R-strict": rival("strict"),
    "F1": f1,
    "F2": f2,
    "F3": f3,
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_each_claim_is_supported_where_it_is_true(claim: str) -> None:
    study = Study(FIVE)
    TRUTHS[claim](study, +1)
    found = judged(study)[claim]
    assert found.verdict is Verdict.SUPPORTED, found
    assert found.n == 5
    assert all(part.verdict is Verdict.SUPPORTED for part in found.parts)


@pytest.mark.parametrize("claim", CLAIMS)
def test_each_claim_is_contradicted_where_it_is_false(claim: str) -> None:
    study = Study(FIVE)
    TRUTHS[claim](study, -1)
    found = judged(study)[claim]
    assert found.verdict is Verdict.CONTRADICTED, found
    assert found.deciding is not None
    assert found.parts[found.deciding].verdict is Verdict.CONTRADICTED


def test_an_effect_within_the_noise_is_inconclusive() -> None:
    found = judged(Study(FIVE))
    directions = set(CLAIMS) - {"C3", "D1", "S3", "S5"}
    assert {found[claim].verdict for claim in directions} == {Verdict.INCONCLUSIVE}


def test_effect_interval_and_part_are_those_of_the_numbers() -> None:
    study = Study(FIVE)
    collection = study.shift("outpost", "val_top1_pct", 3, 60).collection()
    finals = {
        name: [collection.histories[Run(Variant(name), s)][-10:].mean() for s in FIVE.seeds]
        for name in ("outpost", "baseline")
    }
    differences = [
        a["val_top1_pct"] - b["val_top1_pct"] for a, b in zip(*finals.values(), strict=True)
    ]
    loss, top1 = judge(FIVE, collection)[0].parts
    assert top1.name == "outpost: final val_top1_pct, less baseline's"
    assert list(top1.values.values()) == pytest.approx(differences)
    assert top1.effect == pytest.approx(np.mean(differences))
    reach = 2.7764451 * np.std(differences, ddof=1) / np.sqrt(5)
    assert (top1.low, top1.high) == pytest.approx(
        (np.mean(differences) - reach, np.mean(differences) + reach)
    )
    assert (top1.unit, top1.wanted) == ("points", "> 0")
    assert (loss.unit, loss.wanted) == ("nats", "< 0")


def test_all_parts_must_hold_and_one_is_enough_against() -> None:
    study = Study(FIVE).shift("expB", "val_top1_pct", 1, 60)
    assert judged(study)["B1"].verdict is Verdict.SUPPORTED
    undecided = judged(Study(FIVE).shift("expB-64", "val_top1_pct", 1, 60))["B1"]
    assert undecided.verdict is Verdict.INCONCLUSIVE
    against = judged(study.shift("expB-256", "val_top1_pct", -2, 60))["B1"]
    assert against.verdict is Verdict.CONTRADICTED
    assert against.deciding is not None
    assert against.parts[against.deciding].name.startswith("expB-256")


def test_a_part_contradicts_its_claim_only_at_the_level_for_all_parts() -> None:
    # Differences of -1.0, -1.4 and -0.6: t = -4.33, beyond 4.30 (one part), within 8.86 (four).
    params = synthetic.parameters(seeds=[0, 1, 2], own={})
    study = exact(params, {("expB-64", "val_top1_pct"): [-1.0, -1.4, -0.6]})
    found = {j.id: j for j in judge(params, study)}["B1"]
    assert found.parts[0].verdict is Verdict.CONTRADICTED
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.note == (
        "contradicted alone, not at the level for one of 4 parts: expB-64: final val_top1_pct"
    )


def exact(params: Params, shifts: dict[tuple[str, str], list[float]]) -> Collection:
    """Flat curves without noise, but for differences that are given for each seed."""
    still = Study(params)
    for measure in MEASURES:
        for who in ("baseline", "outpost", "expA", "expB", "expC", "expD", "expE", "strict"):
            still.noise(who, measure, 0)
    for (who, measure), amounts in shifts.items():
        for seed, amount in zip(params.seeds, amounts, strict=True):
            still.shift(f"{who}-{seed}", measure, amount)
    return still.collection()


def test_seeds_that_agree_to_the_bit_give_a_point() -> None:
    params = synthetic.parameters(seeds=[0, 1, 2], own={})
    study = exact(params, {("outpost", "train_loss"): [-0.25] * 3})
    a1, *_ = judge(params, study)
    loss, top1 = a1.parts
    assert (loss.effect, loss.low, loss.high, loss.p) == (-0.25, -0.25, -0.25, 0.0)
    assert loss.verdict is Verdict.SUPPORTED
    # No difference at all is not on the claimed side, and says nothing against it either.
    assert (top1.effect, top1.low, top1.high, top1.p) == (0.0, 0.0, 0.0, 1.0)
    assert top1.verdict is Verdict.INCONCLUSIVE


def test_jumps_of_a_falling_curve_are_no_jumps() -> None:
    falling = Study(FIVE)
    for who in ("baseline", "outpost", "expA", "expC"):
        for epoch in range(1, 200):
            falling.shift(who, "train_loss", -0.002, epoch)
    parts = [p for p in judged(falling)["A2"].parts if "jump" in p.name]
    assert {part.verdict for part in parts} <= {Verdict.INCONCLUSIVE}
    assert len(parts) == 8


def test_one_jump_is_tested_at_each_decay_of_expA() -> None:
    params = synthetic.parameters(seeds=[0], own={}, expA={"decay_epochs": [40, 90, 150]})
    names = [p.name for p in judged(Study(params))["A2"].parts if p.name.startswith("expA-64: j")]
    assert names == [f"expA-64: jump of train_loss at {e}, less baseline's" for e in (40, 90, 150)]


def test_a_precondition_withholds_support_and_never_contradicts() -> None:
    # The outpost is not the steadier one, and every C/k is far steadier than both.
    study = Study(FIVE).noise("expC", "val_top1_pct", 0.1).noise("outpost", "val_top1_pct", 5)
    found = judged(study)["C2"]
    assert found.parts[0].note == "precondition"
    assert found.parts[0].verdict is Verdict.CONTRADICTED
    assert all(part.verdict is Verdict.SUPPORTED for part in found.parts[1:])
    assert found.verdict is Verdict.INCONCLUSIVE
    # Without a gain of the outpost's, nothing is recovered of it.
    study = Study(FIVE).shift("outpost", "val_top1_pct", -1).shift("expE-ema", "val_top1_pct", 1)
    assert judged(study)["R-ema"].verdict is Verdict.INCONCLUSIVE


def test_a_claim_shows_an_effect_of_its_own_where_its_precondition_holds() -> None:
    # The outpost's gain is supported by little, and what the average has beyond it by much.
    study = Study(FIVE).shift("outpost", "val_top1_pct", 1).shift("expE-ema", "val_top1_pct", 30)
    found = judged(study)["R-ema"]
    assert found.parts[0].note == "precondition"
    assert found.verdict is Verdict.SUPPORTED
    assert found.parts[0].p > found.parts[1].p
    assert found.deciding == 1
    # All parts have to hold, the precondition too: the claim's p is the larger one.
    assert found.p_holm is not None and found.p_holm >= found.parts[0].p


def test_a_claim_is_not_contradicted_where_its_precondition_does_not_hold() -> None:
    # Every C/k's jitter is the outpost's, as C2 says, and that is the larger one.
    study = Study(FIVE).noise("expC", "val_top1_pct", 5).noise("outpost", "val_top1_pct", 5.2)
    found = judged(study)["C2"]
    assert [part.verdict for part in found.parts] == [Verdict.CONTRADICTED] * 5
    assert (found.verdict, found.deciding) == (Verdict.INCONCLUSIVE, 0)
    assert found.note == "its precondition is not supported (outpost: jitter of val_top1_pct)"
    # A loss of the outpost's, of which the rival has all, is no gain that was not recovered.
    study = Study(FIVE).shift("outpost", "val_top1_pct", -4).shift("expE-ema", "val_top1_pct", -4)
    found = judged(study)["R-ema"]
    assert [part.verdict for part in found.parts] == [Verdict.CONTRADICTED] * 2
    assert (found.verdict, found.deciding) == (Verdict.INCONCLUSIVE, 0)
    assert found.note == (
        "the outpost gains nothing that could be recovered; its precondition is not supported "
        "(outpost: final val_top1_pct)"
    )


def test_no_jitter_is_as_near_to_the_outposts_as_can_be_and_has_no_middle() -> None:
    params = synthetic.parameters(seeds=[0, 1, 2], own={})

    def found(**noise: float) -> Judgement:
        study = Study(params)
        for who, factor in noise.items():
            study.noise(who, "val_top1_pct", factor)
        return judged(study)["C2"]

    # The outpost does not jitter at all: between that and the baseline no logarithm is the middle.
    still = found(outpost=0, expC=0.05)
    assert still.parts[0].verdict is Verdict.SUPPORTED
    assert {part.verdict for part in still.parts[1:]} == {Verdict.INCONCLUSIVE}
    assert still.verdict is Verdict.INCONCLUSIVE
    assert found(outpost=0.2, expC=0).verdict is Verdict.SUPPORTED


def test_means_of_the_same_numbers_in_another_order_do_not_differ() -> None:
    # Of 1,017 images: their sums differ in the last bit, and no seed's differences vary.
    right = [697, 699, 706, 705, 691, 688, 702, 695, 701, 693]
    params = synthetic.parameters(seeds=[0, 1, 2], own={})
    collection = exact(params, {})
    for name, order in (("expC-64", right), ("expC-256", right[::-1])):
        for seed in params.seeds:
            table = collection.histories[Run(Variant(*name.split("-")), seed)]
            table.loc[table.index[-10:], "val_top1_pct"] = [100 * n / 1017 for n in order]
    (part,) = (
        part
        for part in {j.id: j for j in judge(params, collection)}["C4"].parts
        if part.name.startswith("expC-64: ") and "expC-256" in part.name
    )
    assert set(part.values.values()) == {0.0}
    assert part.verdict is Verdict.INCONCLUSIVE


def test_an_equivalence_is_contradicted_where_its_interval_lies_beyond_the_margin() -> None:
    # Mean 1.0, standard error 0.2: the interval of 90 % begins at 0.42, that of 95 % at 0.14.
    sample = Sample.of([0.654, 1.0, 1.346])
    rule = within(0.3)
    low, _ = rule.interval(sample, 0.95)
    assert 0.3 < low < 0.45
    assert sample.interval(0.95)[0] < 0.3
    assert rule.verdict(sample, 0.95) is Verdict.CONTRADICTED


@pytest.mark.parametrize(
    ("claim", "variants", "noisy", "first"),
    [
        # Before 130, ten epochs after expA's last decay.
        ("A3", ("outpost",), range(70, 130), 0),
        # Before the plateau that all cyclical rates share.
        ("F1", ("outpost", "expF-cosine"), range(160), 1),
    ],
)
def test_noise_before_the_jitter_window_does_not_count(
    claim: str, variants: tuple[str, ...], noisy: range, first: int
) -> None:
    collection = calm()
    epochs = np.arange(FIVE.train.run_epochs)
    wave = pd.Series(80 + 10 * np.sin(7 * epochs))
    wild = {
        run: table.assign(val_top1_pct=table["val_top1_pct"].mask(np.isin(epochs, noisy), wave))
        if run.variant.name in variants
        else table
        for run, table in collection.histories.items()
    }
    before, after = (
        {j.id: j for j in judge(FIVE, c)}[claim].parts[first:]
        for c in (collection, replace(collection, histories=wild))
    )
    assert [p.effect for p in before] == [p.effect for p in after]


def test_two_seeds_tell_an_effect_and_no_verdict() -> None:
    params = synthetic.parameters(seeds=[0, 1], own={})
    found = judged(Study(params).shift("outpost", "train_loss", -0.2, 60))
    assert {j.verdict for j in found.values()} == {Verdict.TOO_FEW_SEEDS}
    part = found["A1"].parts[0]
    assert part.effect == pytest.approx(-0.2, abs=0.01)
    assert (part.low, part.high, part.p, found["A1"].p_holm) == (None, None, None, None)
    gains = judged(Study(params).shift("outpost", "val_top1_pct", 2, 60))["R-ema"]
    assert re.fullmatch(r"share of the outpost's gain: expE-ema -?0\.\d\d", gains.note)
    assert found["A1"].deciding == 1  # the top-1, which does not lean to the claimed side


def test_a_short_study_has_too_few_epochs_for_jitter_and_verdicts_on_the_rest() -> None:
    params = synthetic.parameters(seeds=[0, 1, 2], own={}, train={"time_scale": 0.1})
    found = judged(Study(params).shift("outpost", "val_top1_pct", 1, 60))
    assert found["A3"].verdict is Verdict.TOO_FEW_EPOCHS
    assert found["A3"].note == "7 epochs for a jitter from epoch 13 on; 10 are needed"
    assert found["B2"].verdict is Verdict.INCONCLUSIVE  # 13 epochs from 7 on
    assert found["C1"].verdict is Verdict.SUPPORTED


@pytest.mark.parametrize(
    ("claim", "change"),
    [("C5", {"outpost": {"decay_epochs": [185]}}), ("C6", {"expC": {"freeze_epoch": 185}})],
)
def test_a_rise_needs_windows_that_do_not_overlap(claim: str, change: dict[str, Any]) -> None:
    params = synthetic.parameters(seeds=[0, 1, 2], own={}, **change)
    found = judged(Study(params))[claim]
    assert found.verdict is Verdict.TOO_FEW_EPOCHS
    assert "less than 20 epochs from epoch 185 to the end" in found.note


@pytest.mark.parametrize(
    ("claim", "change", "told"),
    [
        ("D1", {"expD": {"freeze_epoch": 195}}, "expD-64 changes at epoch 195, within epochs 190"),
        ("A2", {"expA": {"decay_epochs": [60, 63]}}, "expA-64 changes at epoch 63, within epochs"),
        ("C5", {"outpost": {"decay_epochs": [60, 65]}}, "outpost changes at epoch 65, within"),
    ],
)
def test_a_window_that_holds_another_change_says_nothing_of_one(
    claim: str, change: dict[str, Any], told: str
) -> None:
    params = synthetic.parameters(seeds=[0, 1, 2], own={}, **change)
    found = judged(Study(params))[claim]
    assert found.verdict is Verdict.TOO_FEW_EPOCHS
    assert told in found.note
    assert found.n == 0


def test_an_inconclusive_claim_shows_a_part_that_does_not_hold() -> None:
    # Of two rules in one claim: one-sided, the first part's p-value would be the smaller one.
    beyond = Check("", POINTS, above(), lambda _: np.array([0.3, 0.6, 0.9]))
    equal = Check("", POINTS, within(0.3), lambda _: np.array([0.0, 0.09, 0.22]))
    params = synthetic.parameters(seeds=[0, 1, 2], own={})
    study = Compared(params, Study(params).collection())
    checks = [beyond, equal]
    parts = [examine(check, study) for check in checks]
    assert [part.verdict for part in parts] == [Verdict.INCONCLUSIVE, Verdict.SUPPORTED]
    p, other = (part.p or 0.0 for part in parts)
    assert p / 2 < other < 0.05 < p
    found = conclude(checks, parts, params)
    assert (found.verdict, found.deciding) == (Verdict.INCONCLUSIVE, 0)


def test_windows_are_no_longer_than_the_run() -> None:
    params = synthetic.parameters(seeds=[0, 1, 2], own={}, report={"final_epochs": 300})
    found = judged(Study(params))
    assert "within epochs 0 to 199" in found["A1"].note
    bnrecal = {**params.expE.model_dump()["bnrecal"], "start_epoch": 0}
    params = synthetic.parameters(
        seeds=[0, 1, 2], own={}, report={"final_epochs": 300}, expE={"bnrecal": bnrecal}
    )
    assert judged(Study(params))["R-bnrecal"].verdict is not Verdict.NOT_COMPARABLE


def without(collection: Collection, *names: str) -> Collection:
    kept = {run: h for run, h in collection.histories.items() if run.name not in names}
    return replace(collection, histories=kept)


def test_missing_runs_are_named_and_other_claims_are_judged() -> None:
    params = synthetic.parameters(seeds=[0, 1, 2], own={})
    collection = without(Study(params).collection(), "expB-64-1", "expB-512-2")
    found = {j.id: j for j in judge(params, collection)}
    missing = {name for name, j in found.items() if j.verdict is Verdict.MISSING_RUN}
    assert missing == {"B1", "B2", "B3", "S2", "S3"}
    assert found["B1"].note == "expB-64-1, expB-512-2"
    assert (found["B1"].n, found["B1"].parts, found["B1"].deciding) == (0, (), None)
    assert found["A1"].verdict is Verdict.INCONCLUSIVE


def test_experiments_that_are_not_asked_for_are_named_as_missing() -> None:
    params = synthetic.parameters(seeds=[0, 1, 2], own={}, experiments=["expB"], expE={})
    found = judged(Study(params))
    assert found["R-ema"].verdict is Verdict.MISSING_RUN
    assert found["R-ema"].note == "expE-ema (params.yaml does not ask for it)"
    assert found["B3"].note.startswith("expA-64 (params.yaml does not ask for it), expA-128 (")
    assert found["B1"].verdict is Verdict.INCONCLUSIVE


COSINE: dict[str, Any] = {
    "outpost": {"decay_epochs": [], "changes": {"60": {"shape": "cosine", "to": 0.001}}}
}
INCOMPARABLE: list[tuple[dict[str, Any], set[str]]] = [
    (
        {"outpost": {"decay_epochs": [80, 120]}},
        {"A3", "C1", "C2", "C6", "D1", "R-ema", "R-batch", "R-head", "R-strict"},
    ),
    ({"outpost": {"decay_factor": 0.2}}, {"A3", "C1", "C2", "C6", "D1", "R-batch"}),
    ({"expA": {"decay_epochs": [60]}}, {"A3"}),
    ({"expA": {"decay_epochs": [60, 92]}}, {"A3", "C7"}),
    ({"expA": {"decay_epochs": [80, 120]}}, {"A3", "B3", "C7"}),
    ({"expB": {"freeze_epoch": 80}}, {"B3"}),
    # The article's wording allows it.
    ({"expC": {"decay_epochs": [60]}}, set()),
    ({"expC": {"decay_epochs": [80]}}, {"C1", "C2", "C6", "C7"}),
    ({"expD": {"freeze_epoch": 120}}, {"D1"}),
    ({"expD": {"decay_factor": 0.5}}, {"D1"}),
    ({"strict": {"freeze_epoch": 80}}, {"R-strict"}),
    ({"expE": {"bnrecal": {"start_epoch": 195, "batch_norm_images": 2048}}}, {"R-bnrecal"}),
    ({"expA": {"decay_factor": 1.0}}, {"A2", "A3", "B3", "C7", "S3"}),
    (COSINE, {"A3", "C1", "C2", "C6", "D1", "R-batch"}),
    # One that never falls: rates up to 0.2 and back.
    (
        {"outpost": {"decay_epochs": [], "changes": {"60": 0.2}}},
        {"A1", "A3", "C1", "C2", "C5", "C6", "D1", "S1", "S3", "S4", "S5"}
        | {"R-ema", "R-bnrecal", "R-batch", "R-head", "R-strict"},
    ),
    (
        {"baseline": {"changes": {"100": 0.05}}},
        {"A2", "B1", "B2", "C2", "S2", "S3", "S5", "R-batch", "R-head", "R-strict"},
    ),
]


@pytest.mark.parametrize(("change", "claims"), INCOMPARABLE)
def test_runs_that_differ_by_more_than_the_intervention_are_not_compared(
    change: dict[str, Any], claims: set[str]
) -> None:
    found = judged(Study(synthetic.parameters(seeds=[0, 1, 2], own={}, **change)))
    refused = {name for name, j in found.items() if j.verdict is Verdict.NOT_COMPARABLE}
    assert refused == claims
    assert all(found[name].note for name in refused)


def test_what_differs_is_said() -> None:
    params = synthetic.parameters(seeds=[0], own={}, expA={"decay_epochs": [60]})
    found = judged(Study(params))["A3"]
    assert found.note == "expA decays at 60 (x 0.1), outpost at 60, 120 (x 0.1)"


def test_a_study_asks_cosine_against_constant_and_says_where_the_rate_never_settles() -> None:
    params = synthetic.parameters(seeds=[0, 1, 2], own={}, **COSINE)
    study = Study(params).shift("outpost", "val_top1_pct", 3, 190)
    study.shift("outpost", "train_loss", -0.2, 190).drift("outpost", "forward_change", 0.5)
    # Before the last ten epochs jitter and drift do not count, however high they are.
    study.drift("outpost", "backward_change", 50, (180,)).drift("outpost", "path", 0.1)
    found = judged(study)
    assert found["A1"].verdict is Verdict.SUPPORTED
    assert found["S1"].parts[1].effect == pytest.approx(0, abs=0.1)
    note = "the rate of outpost moves to the end: jitter and drift are of 10 epochs there"
    assert found["A1"].note == found["S1"].note == note
    assert found["A3"].note == (
        "expA decays at 60, 120 (x 0.1), outpost by changes of its own (cosine from 60)"
    )
    assert found["B1"].note == ""
    assert [manner(params, v) for v in (BASELINE, OUTPOST)] == ["a constant rate", "a cosine rate"]


def test_cyclical_rates_are_asked_about_where_there_are_some() -> None:
    params = synthetic.parameters(seeds=[0, 1, 2], own={})
    assert not [name for name in judged(Study(params)) if name.startswith("F")]
    params = synthetic.parameters(seeds=[0, 1, 2], own={}, expF={"shapes": ["cosine"]})
    assert [name for name in judged(Study(params)) if name.startswith("F")] == ["F1"]


def test_cyclical_rates_that_end_elsewhere_than_the_outpost_are_not_compared() -> None:
    params = synthetic.parameters(
        seeds=[0, 1, 2], own={}, expF={"shapes": ["cosine"], "decay_factor": 0.1}
    )
    found = judged(Study(params))["F1"]
    assert found.verdict is Verdict.NOT_COMPARABLE
    assert found.note == "last rates differ: 0.001 of outpost, 0.01 of expF-cosine"


def test_low_rates_are_held_against_the_high_ones_that_follow() -> None:
    assert {v.block: ends_of_cycles(FIVE, v) for v in cyclical(FIVE)} == {
        "cosine": ((), ()),
        # From low to high, three times.
        "triangular": ((60, 90, 120), (75, 105, 135)),
        # The last cosine is followed by no restart.
        "warm_restarts": ((89, 119), (90, 120)),
    }


def test_epochs_that_coincide_at_scale_are_the_same() -> None:
    change = {"expA": {"decay_epochs": [58, 120]}, "train": {"time_scale": 0.1}}
    params = synthetic.parameters(seeds=[0, 1, 2], own={}, **change)
    assert judged(Study(params))["A3"].verdict is not Verdict.NOT_COMPARABLE


NAMING = {"C3", "C4", "C6", "C7", "S2"}
"""Claims about early and late blocks."""


def with_blocks(**blocks: str) -> Params:
    content = synthetic.parameters(seeds=[0, 1, 2], own={})
    parts = {name: tuple(members.split()) for name, members in blocks.items()}
    return content.model_copy(update={"blocks": parts})


def test_claims_that_name_blocks_are_about_the_first_and_the_second_half_of_them() -> None:
    params = with_blocks(back="layer3 layer4 head", front="stem layer1 layer2")
    found = judged(Study(params))
    assert not {name for name, j in found.items() if j.verdict is Verdict.NOT_COMPARABLE}
    for name in NAMING:
        assert "early blocks (64, 128): front; late blocks (256, 512): back" in found[name].note
    assert "early blocks" not in found["B1"].note + judged(Study(FIVE))["C3"].note
    assert [p.name.split(":")[0] for p in found["C3"].parts] == ["expC-back", "expC-front"]
    assert [p.wanted for p in found["C3"].parts] == [">= 99.9", "< 99.9"]
    assert [p.name.split(" ")[0] for p in found["S2"].parts] == ["expB-back:", "expB-front:"]


def test_of_an_odd_number_of_blocks_the_middle_one_is_neither_early_nor_late() -> None:
    params = with_blocks(a="stem", b="layer1 layer2", c="layer3 layer4 head")
    parts = judged(Study(params))["C4"].parts
    assert [p.name.split(" ")[0] for p in parts] == ["expC-a:"]
    assert "less expC-c's" in parts[0].name


@pytest.mark.parametrize(
    ("params", "why"),
    [
        (with_blocks(all=" ".join(PARTS)), "params.yaml has a single one"),
        (with_blocks(a="stem layer2 head", b="layer1 layer3 layer4"), "lie within one another"),
    ],
)
def test_without_one_half_behind_the_other_such_claims_are_not_asked(
    params: Params, why: str
) -> None:
    found = judged(Study(params))
    assert {n for n, j in found.items() if j.verdict is Verdict.NOT_COMPARABLE} == NAMING
    assert all(why in found[name].note for name in NAMING)


def test_without_batch_norm_claims_about_it_are_named_with_the_reason() -> None:
    params = synthetic.parameters(seeds=[0, 1, 2], own={}, model={"norm": "group"})
    found = judged(Study(params))
    refused = {n: j.note for n, j in found.items() if j.verdict is Verdict.NOT_COMPARABLE}
    assert refused == dict.fromkeys(
        ("R-bnrecal", "R-strict"), "speaks of batch norm, and the norm is group"
    )


def test_exact_zeros_in_every_seed_are_reported_as_such() -> None:
    still = (
        Study(FIVE).drift("expB-512", "forward_change", 0).drift("expB-64", "backward_change", 0.1)
    )
    forward, backward = judged(still)["S2"].parts
    assert forward.verdict is Verdict.SUPPORTED
    assert forward.note == "exactly zero in every seed"
    assert (forward.effect, forward.low, forward.high, forward.values) == (None, None, None, {})
    assert backward.verdict is Verdict.SUPPORTED
    assert judged(still)["S2"].verdict is Verdict.SUPPORTED
    assert judged(still)["S2"].p_holm is not None
    table = pd.read_csv(io.StringIO(claims_csv(FIVE, judge(FIVE, still.collection()))))
    assert set(table.loc[table["claim"] == "S2", "n"]) == {5}


def test_exact_zeros_on_the_wrong_side_contradict() -> None:
    still = Study(FIVE).drift("baseline", "forward_change", 0)
    forward, _ = judged(still)["S2"].parts
    assert forward.verdict is Verdict.CONTRADICTED
    assert forward.note == "what it is compared with is exactly zero in every seed"


def test_zeros_in_some_seeds_or_epochs_or_in_both_runs_decide_nothing() -> None:
    some = Study(FIVE).drift("expB-512-3", "forward_change", 0)
    both = Study(FIVE).drift("expB-512", "forward_change", 0).drift("baseline", "forward_change", 0)
    for study in (some, both):
        found = judged(study)["S2"]
        note = "exactly zero in some run, and zero has no logarithm"
        assert found.parts[0].note == note
        assert found.verdict is Verdict.INCONCLUSIVE
        assert found.p_holm == 1.0
    collection = calm()
    run = Run(Variant("expB", "512"), 0)
    holed = collection.stability[run].copy()
    holed.loc[holed["epoch"] == 100, "forward_change"] = 0.0
    tables = {**collection.stability, run: holed}
    found = {j.id: j for j in judge(FIVE, replace(collection, stability=tables))}["S2"]
    assert found.parts[0].verdict is Verdict.INCONCLUSIVE


def test_a_shift_that_its_images_cannot_tell_from_nothing_is_no_number() -> None:
    study = Study(FIVE).move("outpost-2", "shift_squared", -1)
    found = judged(study)["S4"]
    assert found.verdict is Verdict.NOT_MEASURED
    said = "outpost-2: shift of gradients of block 64 from epoch 130 on is less than its images"
    assert found.note.startswith(said)
    assert found.p_holm is None


def test_the_shift_is_the_root_of_mean_squares_over_steps_per_path_of_the_network() -> None:
    squares, walked = [4.0, -1.0, 9.0], [2.0, 1.0, 3.0]
    table = pd.DataFrame(
        {
            "epoch": [10, 20, 30] * 2 + [30],
            "distance": ["step"] * 6 + ["epoch"],
            "block": ["64"] * 3 + ["network"] * 3 + ["64"],
            "shift_squared": [*squares, 0.0, 0.0, 0.0, 1e6],
            "path": [0.0] * 3 + walked + [1.0],
        }
    )
    assert np.exp(2 * log_shift(table, "64", 0)) == pytest.approx(4.0)
    assert np.exp(2 * log_shift(table, "64", 20)) == pytest.approx(4.0)
    assert np.exp(2 * log_shift(table, "64", 30, per_path=True)) == pytest.approx(1.0)
    assert log_shift(table, "network", 0) == -np.inf
    with pytest.raises(LookupError, match="was not measured"):
        log_shift(table, "64", 31)


@pytest.mark.parametrize(("still", "told"), [(0.0, 1.0), (1.0, None)])
def test_an_epoch_without_a_way_counts_for_the_shift_per_path_where_something_shifted(
    still: float, told: float | None
) -> None:
    table = pd.DataFrame(
        {
            "epoch": [10, 20] * 2,
            "distance": "step",
            "block": ["64"] * 2 + ["network"] * 2,
            "shift_squared": [4.0, still, 0.0, 0.0],
            "path": [0.0, 0.0, 2.0, 0.0],
        }
    )
    if told is None:
        with pytest.raises(LookupError, match="less than its images can tell"):
            log_shift(table, "64", 0, per_path=True)
    else:
        assert log_shift(table, "64", 0, per_path=True) == pytest.approx(np.log(told))


def test_s4_is_asked_where_the_field_is_measured() -> None:
    measure = FIVE.measure.model_dump(mode="json")
    measure["field"]["every_epochs"] = None
    params = synthetic.parameters(seeds=[0, 1, 2], own={}, measure=measure)
    assert "S4" not in judged(Study(params))


def test_an_outpost_in_the_same_basin_with_a_higher_loss_has_not_settled() -> None:
    found = judged(Study(FIVE).line("outpost", 0.0, 0.1))["S5"]
    barrier, loss = found.parts
    assert (barrier.verdict, loss.verdict) == (Verdict.SUPPORTED, Verdict.CONTRADICTED)
    assert found.verdict is Verdict.CONTRADICTED
    assert loss.effect == pytest.approx(0.1, abs=0.01)


def test_s5_is_asked_where_barriers_are_measured_and_names_the_one_that_lacks() -> None:
    collection = calm()
    kept = {at: line for at, line in collection.barriers.found.items() if at[0].seed != 2}
    lacking = replace(collection, barriers=Barriers(kept))
    found = {j.id: j for j in judge(FIVE, lacking)}["S5"]
    assert found.verdict is Verdict.NOT_MEASURED
    assert found.note == "outpost-2: barrier to the averaged baseline"
    measure = FIVE.measure.model_dump(mode="json")
    measure["barriers"]["images"] = None
    params = synthetic.parameters(seeds=[0, 1, 2], own={}, measure=measure)
    assert "S5" not in judged(Study(params))
    params = synthetic.parameters(seeds=[0, 1, 2], own={}, expE={})
    assert judged(Study(params))["S5"].verdict is Verdict.MISSING_RUN


def test_an_eigenvalue_that_did_not_converge_is_named_and_withholds_the_verdict() -> None:
    study = Study(FIVE).eigenvalue("expA-64-2", "64", None)
    found = judged(study)["S3"]
    assert found.verdict is Verdict.NOT_MEASURED
    assert found.note == "expA-64-2: eigenvalue of 64 did not converge, or is zero"
    assert found.p_holm is None
    assert found.n == 0
    others = [part for part in found.parts if not part.name.startswith("expA-64")]
    assert all(part.effect is not None for part in others)


def test_parts_of_sharpness_give_the_stated_error_of_eigenvalues() -> None:
    found = judged(Study(FIVE))
    assert {part.note for part in found["S3"].parts} == {"eigenvalues: stated error at most 0.5%"}
    assert not any("stated error" in part.note for part in found["S2"].parts)
    collection = calm()
    outpost = Run(Variant("outpost"), 1)
    rows = [
        row.model_copy(update={"eigenvalue_error": None})
        for row in collection.sharpness[outpost].measurements
    ]
    told = collection.sharpness[outpost].model_copy(update={"measurements": tuple(rows)})
    mixed = replace(collection, sharpness={**collection.sharpness, outpost: told})
    (outposts, *others) = {j.id: j for j in judge(FIVE, mixed)}["S3"].parts
    assert outposts.note == ""
    assert all("stated error" in part.note for part in others)


def test_missing_measurements_are_named() -> None:
    collection = calm()
    outpost = Run(Variant("outpost"), 1)
    poor = replace(
        collection,
        stability={run: t for run, t in collection.stability.items() if run != outpost},
        sharpness={run: s for run, s in collection.sharpness.items() if run != outpost},
    )
    found = {j.id: j for j in judge(FIVE, poor)}
    assert found["S1"].verdict is Verdict.NOT_MEASURED
    assert "outpost-1: forward drift from epoch 130 on" in found["S1"].note
    assert found["S3"].note == "outpost-1: eigenvalue of network"
    assert found["A1"].verdict is Verdict.INCONCLUSIVE


def test_sharpness_by_different_protocols_is_not_compared() -> None:
    collection = calm()
    told = {
        run: s.model_copy(update={"protocol": {**s.protocol, "images": 512}})
        if run.variant.name == "outpost"
        else s
        for run, s in collection.sharpness.items()
    }
    found = {j.id: j for j in judge(FIVE, replace(collection, sharpness=told))}
    assert found["S3"].verdict is Verdict.NOT_COMPARABLE
    assert found["S3"].note == "sharpness was measured with different images"


def test_drift_is_judged_per_weight_path_as_well() -> None:
    # Everything moves ten times less, and so do the weights: stiller, but not by unit of path.
    study = Study(FIVE).drift("outpost", "path", 0.1)
    for column in ("forward_change", "backward_change"):
        study.drift("outpost", column, 0.1)
    found = judged(study)["S1"]
    assert [p.verdict for p in found.parts[:2]] == [Verdict.SUPPORTED] * 2
    assert [p.effect for p in found.parts] == pytest.approx([np.log(0.1)] * 2 + [0, 0], abs=0.1)
    assert found.verdict is Verdict.INCONCLUSIVE


def test_shares_of_the_gain_are_told_with_their_interval() -> None:
    study = Study(FIVE).shift("outpost", "val_top1_pct", 4, 60)
    study.shift("expE-ema", "val_top1_pct", 3, 60)
    found = judge(FIVE, study.collection())
    entry = json.loads(claims_json(FIVE, found))["R-ema"]
    assert entry["share"] == pytest.approx(0.75, abs=0.03)
    assert entry["share_low"] < entry["share"] < entry["share_high"]
    told = {j.id: j for j in found}["R-ema"].note
    assert told.startswith("share of the outpost's gain: expE-ema 0.7")


def test_a_batch_that_cannot_grow_so_far_is_said_to_come_with_a_lower_rate() -> None:
    note = judged(Study(FIVE))["R-batch"].note
    assert note.startswith(
        "at epoch 60 the batch grows to 1,280 images; "
        "at epoch 120 the batch grows to 4,992 images and the rate falls to 0.039; "
    )
    batch = {"decay_epochs": [60, 120], "decay_factor": 0.1, "largest_batch": 508}
    params = synthetic.parameters(
        seeds=[0, 1, 2], own={}, expE={"batch": batch}, train={"batch_size": 64}
    )
    assert judged(Study(params))["R-batch"].note.startswith(
        "at epoch 60 the batch grows to 448 images and the rate falls to 0.07; "
        "at epoch 120 the rate falls to 0.007; "
    )


def test_holm_counts_the_claims_that_were_tested() -> None:
    found = judged(Study(FIVE).shift("outpost", "val_top1_pct", 3, 60))
    tested = {name: j for name, j in found.items() if j.p_holm is not None}
    assert set(tested) == set(CLAIMS)
    least = min(tested.values(), key=lambda j: j.p_holm or 0)
    highest = max(part.p or 0 for part in least.parts)
    assert least.p_holm == pytest.approx(min(1, len(tested) * highest))


def test_runs_on_different_data_are_not_compared() -> None:
    study = synthetic.Study(synthetic.small(experiments=[]))
    study.retell("outpost-0", data=synthetic.DIGITS)
    found = {j.id: j for j in judge(study.params, study.collection())}
    assert found["A1"].verdict is Verdict.NOT_COMPARABLE
    assert found["A1"].note == "its runs were trained on different data"


@pytest.fixture
def project(root: Path) -> Path:
    shutil.copy(ROOT / paths.PARAMS, root)
    (root / "dvc.yaml").touch()
    return root


def write_claims(params: Params, collection: Collection) -> None:
    found = judge(params, collection)
    paths.METRICS.mkdir(exist_ok=True)
    paths.CLAIMS.write_text(claims_json(params, found))
    paths.CLAIM_PARTS.write_text(claims_csv(params, found))


def shown(*ids: str, width: int = 80, results: Path | None = None) -> str:
    console = Console(width=width, file=io.StringIO(), highlight=False)
    with console.capture() as captured:
        command.show(ids, console, results)
    return captured.get()


def test_files_are_flat_complete_and_agree(project: Path) -> None:
    study = without(calm(), "expD-64-0")
    write_claims(FIVE, study)
    entries = json.loads(paths.CLAIMS.read_text())
    assert list(entries) == list(CLAIMS)
    keys = {"verdict", "n", "effect", "low", "high", "unit", "p_holm"}
    for name, entry in entries.items():
        shares = {"share", "share_low", "share_high"} if name.startswith("R-") else set()
        assert entry.keys() == keys | shares
        assert all(
            value is None or isinstance(value, str | int | float) for value in entry.values()
        )
    parts = pd.read_csv(paths.CLAIM_PARTS)
    assert list(parts) == list(PART_COLUMNS)
    assert set(parts["claim"]) == set(CLAIMS)
    alone = parts[parts["claim"] == "D1"]
    assert alone["part"].isna().tolist() == [True]
    assert "expD-64-0" in alone["note"].item()
    deciding = parts[parts["decides"]].set_index("claim")["effect"]
    assert deciding.index.is_unique
    for name, entry in entries.items():
        if entry["effect"] is not None:
            assert deciding[name] == entry["effect"]


def test_the_report_writes_the_claims(project: Path) -> None:
    params = synthetic.small()
    synthetic.Study(params).write(project)
    report.make(params)
    entries = json.loads(paths.CLAIMS.read_text())
    assert entries["A1"]["verdict"] == "too few seeds"
    assert entries["A2"]["verdict"] == "missing run"
    assert paths.CLAIM_PARTS.read_text().startswith("claim,part,unit,wanted,n,effect,low,high,p,")


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_has_a_row_a_claim_within_the_width(project: Path, width: int) -> None:
    study = Study(FIVE).shift("outpost", "val_top1_pct", 3, 60).noise("outpost", "train_loss", 1)
    write_claims(FIVE, without(study.collection(), "expD-64-0"))
    lines = shown(width=width).splitlines()
    assert max(map(len, lines)) <= width
    (c1,) = (line for line in lines if line.split()[:1] == ["C1"])
    assert c1.split()[-2:] == ["5", "supported"]
    assert "points" in c1
    (d1,) = (line for line in lines if line.split()[:1] == ["D1"])
    assert d1.split()[-3:] == ["0", "missing", "run"]
    first_words = [line.split()[0] for line in lines if line.strip()]
    assert [word for word in first_words if word in CLAIMS] == list(CLAIMS)


def test_every_part_of_a_claim_is_shown_on_request(project: Path) -> None:
    write_claims(FIVE, calm())
    said = shown("s1", "C4", width=120)
    assert CLAIMS["S1"].statement[:40] in said
    assert said.count("expC-64: final val_top1_pct") == 2
    assert "outpost: backward drift per weight path" in said
    assert "p over all claims (Holm): " in said


def test_why_there_is_no_verdict_is_shown(project: Path) -> None:
    write_claims(FIVE, without(calm(), "expD-64-0"))
    assert "note: expD-64-0" in shown("D1")


def test_an_unknown_claim_is_refused_with_the_known_ones(project: Path) -> None:
    with pytest.raises(
        NetstabError, match=r"^Z9: is not a claim; known are A1, A2, .*R-strict, F1, F2, F3$"
    ):
        shown("Z9")


def test_the_claims_of_another_folder_are_shown_and_offered(project: Path) -> None:
    params = synthetic.parameters(seeds=[0], own={})
    write_claims(params, Study(params).collection())
    paths.METRICS.rename("demo")
    with pytest.raises(NetstabError, match=r"dvc repro report \(.*netstab claims --results demo\)"):
        shown()
    assert "too few seeds" in shown(results=Path("demo"))
    with pytest.raises(NetstabError, match=r"^data/claims.json: is not there; name a folder"):
        shown(results=Path("data"))
    Path("demo/claims.json").write_text("{")
    with pytest.raises(
        NetstabError, match=r"demo/claims.json: cannot be read .* netstab study demo"
    ):
        shown(results=Path("demo"))


def test_a_claim_that_the_study_does_not_ask_is_named(project: Path) -> None:
    params = synthetic.parameters(seeds=[0], own={})
    write_claims(params, Study(params).collection())
    assert "F1" not in shown()
    with pytest.raises(NetstabError, match=r"^F1: this study does not ask it; see docs/VARIANTS"):
        shown("f1")


@pytest.mark.parametrize("ids", [(), ("A1",)])
def test_without_a_report_the_remedy_is_said(project: Path, ids: tuple[str, ...]) -> None:
    with pytest.raises(NetstabError, match=r"claims\.json: is not there yet.*dvc repro report$"):
        shown(*ids)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "[" * 100_000, '{"A1": {"verdict": "perhaps", "n": 3}}']
)
def test_damaged_claims_are_named_with_the_remedy(project: Path, text: str) -> None:
    paths.METRICS.mkdir()
    paths.CLAIMS.write_text(text)
    with pytest.raises(NetstabError, match=r"claims\.json: cannot be read.*dvc repro"):
        shown()


def test_the_command_line_has_the_table(project: Path) -> None:
    netstab("claims", code=1)
    write_claims(FIVE, calm())
    said = netstab("claims", "A1", columns=100).stdout
    assert "outpost: final train_loss, less baseline's" in " ".join(said.split())


def test_claims_as_json_are_those_of_the_report_with_their_statements(project: Path) -> None:
    write_claims(FIVE, calm())
    entries = json.loads(paths.CLAIMS.read_text())
    told = json.loads(netstab("claims", "--json").stdout)["claims"]
    assert [entry["id"] for entry in told] == list(CLAIMS)
    for entry in told:
        assert entry["statement"] == CLAIMS[entry["id"]].statement
        kept = ("verdict", "n", "effect", "low", "high", "unit", "p_holm")
        assert {k: entry[k] for k in kept} == {k: entries[entry["id"]][k] for k in kept}
        assert "parts" not in entry
    (alone,) = json.loads(netstab("claims", "a1", "--json").stdout)["claims"]
    assert [part["part"] for part in alone["parts"] if part["part"]] == [
        "outpost: final train_loss, less baseline's",
        "outpost: final val_top1_pct, less baseline's",
    ]


def test_claims_as_markdown_are_a_table_for_a_pull_request(project: Path) -> None:
    write_claims(FIVE, without(calm(), "expD-64-0"))
    lines = netstab("claims", "--markdown").stdout.splitlines()
    assert lines[0].startswith(f"{len(CLAIMS)} claims: ") and "1 missing run" in lines[0]
    assert lines[2] == "| id | statement | effect | interval | n | verdict |"
    assert [line.split(" | ")[0] for line in lines[4:]] == [f"| {name}" for name in CLAIMS]
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 7 for line in lines[2:])
    parts = netstab("claims", "A1", "--markdown").stdout.splitlines()
    assert parts[2] == "| id | part | effect | interval | n | verdict |"
    assert "final train_loss, less baseline's: &lt; 0" in parts[4]


def test_claims_are_printed_in_one_form_at_a_time(project: Path) -> None:
    refused = netstab("claims", "--json", "--markdown", code=2)
    assert refused.stdout == ""
    assert "does not go with --json" in refused.stderr


def test_where_the_outpost_gains_nothing_no_share_of_it_is_told() -> None:
    study = Study(FIVE).shift("outpost", "val_top1_pct", -5, 60)
    judgements = judge(FIVE, study.collection())
    entries = json.loads(claims_json(FIVE, judgements))
    for judgement in judgements:
        if judgement.id.startswith("R-"):
            assert "the outpost gains nothing that could be recovered" in judgement.note
            assert "share of" not in judgement.note
            assert judgement.verdict is Verdict.INCONCLUSIVE
            assert entries[judgement.id]["share"] is None


@pytest.mark.parametrize(
    ("entry", "value"),
    [("p_holm", {"x": 1}), ("effect", [1]), ("high", 1.0), ("unit", 3), ("verdict", "perhaps")],
)
def test_an_entry_of_the_claims_that_is_none_is_named_with_the_remedy(
    project: Path, entry: str, value: object
) -> None:
    write_claims(FIVE, calm())
    content = json.loads(paths.CLAIMS.read_text())
    content["A1"] = {**content["A1"], "low": None, "high": None, entry: value}
    paths.CLAIMS.write_text(json.dumps(content))
    with pytest.raises(
        NetstabError, match=r"claims\.json: cannot be read \(1 validation.*dvc repro"
    ):
        shown()
    del content["A1"][entry]
    paths.CLAIMS.write_text(json.dumps(content))
    with pytest.raises(NetstabError, match=rf"{entry} Field required.*dvc repro"):
        shown()


@pytest.mark.parametrize(
    ("column", "value"), [("verdict", "perhaps"), ("effect", "much"), ("n", 0.5), ("claim", None)]
)
def test_a_part_of_a_claim_that_is_none_is_named_with_the_remedy(
    project: Path, column: str, value: object
) -> None:
    write_claims(FIVE, calm())
    table = pd.read_csv(paths.CLAIM_PARTS).astype({column: object})
    table.loc[0, column] = value
    table.to_csv(paths.CLAIM_PARTS, index=False)
    with pytest.raises(NetstabError, match=r"claims\.csv: cannot be read.*dvc repro"):
        shown("A1")
