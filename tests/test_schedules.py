"""The article's interventions as tables: which part trains at which rate in which epoch."""

from itertools import pairwise
from typing import Any

import pytest

from netstab.errors import NetstabError
from netstab.params import PARTS, Params, check
from netstab.study.experiments import (
    COMPARED_WITH,
    Run,
    Variant,
    find_variant,
    runs,
    schedule,
    variants,
    view,
)
from netstab.study.schedule import Frozen, Phase, Schedule, Setting, build
from tests import small

BLOCKS = {
    "64": ("stem", "layer1"),
    "128": ("layer2",),
    "256": ("layer3",),
    "512": ("layer4", "head"),
}
LIVE, EVAL = Frozen.LIVE, Frozen.EVAL
Table = list[tuple[int, int, dict[str, Setting]]]


def shipped(**changes: Any) -> Params:
    return check(small.content(**changes))


def planned(params: Params, name: str) -> Schedule:
    return schedule(params, find_variant(params, name))


def phases(table: Table, batch_size: int = 128) -> tuple[Phase, ...]:
    """Phases from rows of start, end and setting by block."""
    return tuple(
        Phase(
            start,
            end,
            tuple(by_block[b] for part in PARTS for b, parts in BLOCKS.items() if part in parts),
            batch_size,
        )
        for start, end, by_block in table
    )


def every(setting: Setting) -> dict[str, Setting]:
    return dict.fromkeys(BLOCKS, setting)


def but(block: str, own: Setting, others: Setting) -> dict[str, Setting]:
    return {**every(others), block: own}


def test_settings_are_in_the_order_of_the_parts() -> None:
    table = phases([(0, 1, {"64": 1.0, "128": 2.0, "256": 3.0, "512": 4.0})])
    assert table == (Phase(0, 1, (1.0, 1.0, 2.0, 3.0, 4.0, 4.0), 128),)
    assert planned(shipped(), "expA-512").at(60) == Phase(
        60, 120, (0.1, 0.1, 0.1, 0.1, 0.01, 0.01), 128
    )


def test_baseline_keeps_its_rate() -> None:
    assert planned(shipped(), "baseline").phases == phases([(0, 200, every(0.1))])


def test_outpost_decays_everywhere_at_60_and_120() -> None:
    assert planned(shipped(), "outpost").phases == phases(
        [(0, 60, every(0.1)), (60, 120, every(0.01)), (120, 200, every(0.001))]
    )


@pytest.mark.parametrize("k", BLOCKS)
def test_expA_decays_one_block_alone(k: str) -> None:
    assert planned(shipped(), f"expA-{k}").phases == phases(
        [(0, 60, every(0.1)), (60, 120, but(k, 0.01, 0.1)), (120, 200, but(k, 0.001, 0.1))]
    )


@pytest.mark.parametrize("k", BLOCKS)
def test_expB_freezes_all_blocks_but_one_from_60(k: str) -> None:
    assert planned(shipped(), f"expB-{k}").phases == phases(
        [(0, 60, every(0.1)), (60, 200, but(k, 0.1, LIVE))]
    )


@pytest.mark.parametrize("k", BLOCKS)
def test_expC_decays_one_block_and_freezes_the_others_from_90(k: str) -> None:
    assert planned(shipped(), f"expC-{k}").phases == phases(
        [
            (0, 60, every(0.1)),
            (60, 90, but(k, 0.01, 0.1)),
            (90, 120, but(k, 0.01, LIVE)),
            (120, 200, but(k, 0.001, LIVE)),
        ]
    )


@pytest.mark.parametrize("k", BLOCKS)
def test_expD_decays_everywhere_and_freezes_all_but_one_from_140(k: str) -> None:
    assert planned(shipped(), f"expD-{k}").phases == phases(
        [
            (0, 60, every(0.1)),
            (60, 120, every(0.01)),
            (120, 140, every(0.001)),
            (140, 200, but(k, 0.001, LIVE)),
        ]
    )


def test_expC_may_decay_once() -> None:
    params = shipped(expC={"decay_epochs": [60]})
    assert planned(params, "expC-64").phases == phases(
        [(0, 60, every(0.1)), (60, 90, but("64", 0.01, 0.1)), (90, 200, but("64", 0.01, LIVE))]
    )


def test_each_experiments_section_is_its_own() -> None:
    params = shipped(outpost={"decay_epochs": [30], "decay_factor": 0.5})
    assert planned(params, "outpost").phases == phases(
        [(0, 30, every(0.1)), (30, 200, every(0.05))]
    )
    for name in ("expA-64", "expB-128", "expC-256", "expD-512", "baseline"):
        assert planned(params, name) == planned(shipped(), name)


@pytest.mark.parametrize(("mode", "frozen"), [("live", LIVE), ("eval", EVAL)])
@pytest.mark.parametrize("name", ["expB-128", "expC-128", "expD-128"])
def test_batch_norm_mode_is_that_of_every_frozen_part(name: str, mode: str, frozen: Frozen) -> None:
    found = planned(shipped(freeze={"batch_norm": mode}), name).phases
    frozen_parts = dict(zip(PARTS, found[-1].settings, strict=True))
    assert frozen_parts.pop("layer2") in (0.1, 0.001)
    assert set(frozen_parts.values()) == {frozen}
    assert found[-1].trained == ("layer2",)
    assert found[0].trained == PARTS


def test_blocks_can_be_cut_otherwise() -> None:
    blocks = {"low": ["stem", "layer1", "layer2"], "high": ["layer3", "layer4"], "out": ["head"]}
    params = check({**small.content(own={}), "blocks": blocks})
    assert planned(params, "expB-out").at(60).trained == ("head",)
    assert planned(params, "expA-high").at(60).settings == (0.1, 0.1, 0.1, 0.01, 0.01, 0.1)
    assert len(variants(params)) == 2 + 5 * 3 + 4


def test_a_warm_restart_is_an_intervention_of_ones_own() -> None:
    assert planned(shipped(), "own-warm_restart").phases == phases(
        [(0, 60, every(0.1)), (60, 120, every(0.01)), (120, 200, every(0.1))]
    )


def test_a_block_can_be_frozen_and_thawed() -> None:
    params = shipped(own={"thaw": {"64": {"60": "frozen", "120": 0.05}, "512": {"90": 0.0}}})
    assert planned(params, "own-thaw").phases == phases(
        [
            (0, 60, every(0.1)),
            (60, 90, but("64", LIVE, 0.1)),
            (90, 120, {"64": LIVE, "128": 0.1, "256": 0.1, "512": 0.0}),
            (120, 200, {"64": 0.05, "128": 0.1, "256": 0.1, "512": 0.0}),
        ]
    )


def test_own_epochs_are_numbers_not_texts() -> None:
    params = shipped(own={"x": {"64": {"100": 0.5, "9": 0.2}}})
    assert planned(params, "own-x").phases == phases(
        [(0, 9, every(0.1)), (9, 100, but("64", 0.2, 0.1)), (100, 200, but("64", 0.5, 0.1))]
    )


def test_own_changes_from_the_first_epoch_on() -> None:
    params = shipped(own={"x": {b: {"0": "frozen"} for b in BLOCKS}, "nothing": {}})
    assert planned(params, "own-x").phases == phases([(0, 200, every(LIVE))])
    assert planned(params, "own-x").at(0).trained == ()
    assert planned(params, "own-nothing") == planned(params, "baseline")


def test_the_same_rate_reached_either_way_is_the_same() -> None:
    assert 0.1 * 0.1 != 0.01
    either = {b: {"60": 0.01, "120": 0.001} for b in BLOCKS}
    params = shipped(own={"steps": either})
    assert planned(params, "own-steps") == planned(params, "outpost")


@pytest.mark.parametrize(
    ("scale", "changes", "epochs"),
    [(1.0, (60, 90, 120), 200), (0.3, (18, 27, 36), 60), (0.1, (6, 9, 12), 20)],
)
def test_time_scale_moves_every_change(scale: float, changes: tuple[int, ...], epochs: int) -> None:
    params = shipped(train={"time_scale": scale})
    assert planned(params, "expC-64").changes == changes
    assert planned(params, "own-warm_restart").changes == (changes[0], changes[2])
    assert planned(params, "baseline").epochs == epochs


def test_a_change_is_in_force_when_its_epoch_starts() -> None:
    outpost = planned(shipped(), "outpost")
    assert outpost.at(59).settings == (0.1,) * 6
    assert outpost.at(60).settings == (0.01,) * 6
    assert outpost.at(60).setting("layer3") == 0.01


@pytest.mark.parametrize("epoch", [-1, 200, 1000])
def test_an_epoch_outside_the_run_is_refused(epoch: int) -> None:
    with pytest.raises(IndexError, match=rf"epoch {epoch} is not within 0 \.\.\. 199"):
        planned(shipped(), "outpost").at(epoch)


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("baseline", "baseline", 200),
        ("baseline", "outpost", 60),
        ("expA-64", "expA-128", 60),
        ("expA-64", "expC-64", 90),
        ("expB-64", "expC-64", 60),
        ("outpost", "expD-512", 140),
        ("expD-64", "expD-512", 140),
        ("outpost", "own-warm_restart", 120),
        ("expD-64", "own-warm_restart", 120),
    ],
)
def test_shared_epochs(one: str, other: str, shared: int) -> None:
    params = shipped()
    assert planned(params, one).shared_epochs(planned(params, other)) == shared
    assert planned(params, other).shared_epochs(planned(params, one)) == shared


def test_a_longer_run_shares_all_of_a_shorter_one() -> None:
    short, long = (planned(shipped(train={"epochs": n}), "outpost") for n in (200, 300))
    assert short.shared_epochs(long) == long.shared_epochs(short) == 200


def test_another_batch_size_shares_nothing() -> None:
    one, other = (planned(shipped(train={"batch_size": n}), "baseline") for n in (128, 64))
    assert one.shared_epochs(other) == 0


def test_before_tells_the_past_and_nothing_of_the_future() -> None:
    outpost, baseline = planned(shipped(), "outpost"), planned(shipped(), "baseline")

    def row(epochs: int, rate: float) -> dict[str, Any]:
        return {"epochs": epochs, "batch_size": 128, "settings": dict.fromkeys(PARTS, rate)}

    assert outpost.before(0) == []
    assert outpost.before(60) == [row(60, 0.1)] == baseline.before(60)
    assert outpost.before(61) == [row(60, 0.1), row(1, 0.01)]
    assert outpost.before(200) == [row(60, 0.1), row(60, 0.01), row(80, 0.001)]
    assert outpost.before(200) == outpost.before(10**6)


def all_variants(scale: float, mode: str) -> list[tuple[Variant, Schedule]]:
    params = shipped(train={"time_scale": scale}, freeze={"batch_norm": mode})
    return [(variant, schedule(params, variant)) for variant in variants(params)]


@pytest.mark.parametrize("mode", ["live", "eval"])
@pytest.mark.parametrize("scale", [0.05, 0.1, 0.3, 1.0])
def test_every_schedule_has_no_gap_and_no_empty_change(scale: float, mode: str) -> None:
    for variant, found in all_variants(scale, mode):
        assert found.phases[0].start == 0, variant
        assert found.epochs == round(200 * scale), variant
        for before, after in pairwise(found.phases):
            assert before.start < before.end == after.start < after.end, variant
            different = (before.settings, before.batch_size) != (after.settings, after.batch_size)
            assert different, variant
        for phase in found.phases:
            assert len(phase.settings) == len(PARTS)
            for setting in phase.settings:
                assert isinstance(setting, Frozen) or 0 < setting <= 0.1
        assert [found.at(e) for e in (0, found.epochs - 1)] == [found.phases[0], found.phases[-1]]


def test_equal_neighbours_are_one_phase() -> None:
    found = build(6, lambda epoch: 8, lambda part, epoch: 0.1 if epoch != 3 else 0.2)
    assert [(p.start, p.end) for p in found.phases] == [(0, 3), (3, 4), (4, 6)]
    assert build(6, lambda epoch: 8, lambda part, epoch: 0.1).phases == (
        Phase(0, 6, (0.1,) * 6, 8),
    )


def test_names_of_variants_and_runs() -> None:
    params = shipped(seeds=[0, 7], experiments=["expD", "expB"])
    names = [variant.name for variant in variants(params)]
    # In the article's order, whatever the order in the file.
    assert names == [
        *("baseline", "outpost"),
        *("expB-64", "expB-128", "expB-256", "expB-512"),
        *("expD-64", "expD-128", "expD-256", "expD-512"),
        *("expE-ema", "expE-bnrecal", "expE-batch", "expE-head"),
        "own-warm_restart",
    ]
    assert len({run.name for run in runs(params)}) == 30
    assert Run(find_variant(params, "expB-64"), 7).name == "expB-64-7"
    assert {v.experiment for v in variants(params)} <= {"baseline", "outpost", *COMPARED_WITH}


# Rival explanations


def test_the_batch_grows_where_the_rate_would_fall_and_the_rate_falls_beyond_the_largest() -> None:
    found = planned(shipped(), "expE-batch")
    # A tenth of 50,000 images is 39 batches of 128; 10,000 / 39 of the way is left to the rate.
    assert [(p.start, p.batch_size, p.settings[0]) for p in found.phases] == [
        (0, 128, 0.1),
        (60, 1280, 0.1),
        (120, 4992, 0.039),
    ]
    outpost = planned(shipped(), "outpost")
    for epoch in (0, 60, 120):
        mine, theirs = found.at(epoch), outpost.at(epoch)
        assert mine.settings[0] / mine.batch_size == pytest.approx(
            theirs.settings[0] / theirs.batch_size
        )


def test_a_batch_that_may_not_grow_leaves_all_to_the_rate() -> None:
    params = shipped(expE={"batch": {**small.SHIPPED["expE"]["batch"], "largest_batch": 128}})
    outpost = planned(params, "outpost")
    assert planned(params, "expE-batch") == outpost


def test_the_head_alone_learns_from_the_freeze_on() -> None:
    found = planned(shipped(freeze={"batch_norm": "eval"}), "expE-head")
    assert [(p.start, p.trained) for p in found.phases] == [(0, PARTS), (60, ("head",))]
    assert found.at(60).setting("stem") is EVAL


@pytest.mark.parametrize("mode", ["live", "eval"])
def test_strict_is_expB_with_still_batch_norm_whatever_the_mode(mode: str) -> None:
    params = shipped(freeze={"batch_norm": mode})
    still = shipped(freeze={"batch_norm": "eval"})
    for block in BLOCKS:
        assert planned(params, f"strict-{block}") == planned(still, f"expB-{block}")


def test_views_have_the_baselines_schedule() -> None:
    params = shipped()
    for name in ("expE-ema", "expE-bnrecal"):
        assert planned(params, name) == planned(params, "baseline")
        found = view(params, find_variant(params, name))
        assert found is not None and found.start_epoch == 60
    assert view(params, find_variant(params, "expE-head")) is None


def test_an_unknown_variant_is_refused_with_the_known_ones() -> None:
    with pytest.raises(NetstabError, match=r"expZ-64: is not a variant; known are baseline, outp"):
        find_variant(shipped(), "expZ-64")
