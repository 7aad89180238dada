"""What is trained once and shared by whom, and what a state's key depends on."""

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from netstab.params import Model, Params, check
from netstab.study import cost
from netstab.study.experiments import Variant, find_variant, schedule, variants
from netstab.study.keys import identity, state_key, view_identity
from netstab.study.plan import Segment, Tree, Work, kept_epochs, outstanding, tree
from netstab.study.schedule import Frozen, Phase
from tests import small

DATA = "d" * 64
BLOCKS = ("64", "128", "256", "512")


def article(**changes: Any) -> Params:
    """The article's 18 variants."""
    article = {"own": {}, "expE": {}, "experiments": ["expA", "expB", "expC", "expD"]}
    return check(small.content(**{**article, **changes}))


def key(params: Params, name: str, epoch: int, *, seed: int = 0, **other: Any) -> str:
    who = identity(params, seed, **{"data": DATA, "numerics": 1, **other})
    return state_key(who, schedule(params, find_variant(params, name)), epoch)


def kept(params: Params, name: str) -> list[int]:
    return kept_epochs(params, tree(params), find_variant(params, name))


def edges(whole: Tree) -> set[tuple[str, int, int, int, str | None]]:
    """Segments as name, start, end, number of runs in it, and name of the segment above."""
    found = set()

    def add(segment: Segment, above: str | None) -> None:
        name = segment.variants[0].name
        found.add((name, segment.start, segment.end, len(segment.variants), above))
        for child in segment.children:
            add(child, name)

    for root in whole.roots:
        add(root, None)
    return found


def test_18_variants_are_2140_epochs_a_seed_in_place_of_3600() -> None:
    whole = tree(article())
    assert len(whole.schedules) == 18
    assert (whole.epochs, whole.epochs_apart) == (2140, 3600)


def test_who_branches_from_whom_and_when() -> None:
    per_block = [
        [
            (f"expA-{k}", 60, 90, 2, "baseline"),
            (f"expA-{k}", 90, 200, 1, f"expA-{k}"),
            (f"expC-{k}", 90, 200, 1, f"expA-{k}"),
            (f"expB-{k}", 60, 200, 1, "baseline"),
            (f"expD-{k}", 140, 200, 1, "outpost"),
        ]
        for k in BLOCKS
    ]
    assert edges(tree(article())) == {
        ("baseline", 0, 60, 18, None),
        ("baseline", 60, 200, 1, "baseline"),
        ("outpost", 60, 140, 5, "baseline"),
        ("outpost", 140, 200, 1, "outpost"),
        *(row for rows in per_block for row in rows),
    }


def test_a_warm_restart_of_ones_own_follows_the_outpost_to_120() -> None:
    params = article(own=small.SHIPPED["own"])
    found = edges(tree(params))
    assert ("outpost", 60, 120, 6, "baseline") in found
    assert ("outpost", 120, 140, 5, "outpost") in found
    assert ("own-warm_restart", 120, 200, 1, "outpost") in found
    assert tree(params).epochs == 2140 + 80


def test_views_cost_no_epoch_and_rivals_leave_the_baseline_at_60() -> None:
    params = check(small.content(own={}))
    whole = tree(params)
    assert {v.name: start for v, start in whole.views.items()} == {
        "expE-ema": 60,
        "expE-bnrecal": 60,
    }
    # batch, head and strict on four blocks, from 60 to 200 each.
    assert whole.epochs == 2140 + 6 * 140
    assert whole.epochs_apart == (18 + 6) * 200
    assert not [s for s in whole.segments() if set(s.variants) & whole.views.keys()]
    ema = find_variant(params, "expE-ema")
    assert kept_epochs(params, whole, ema) == [200]
    assert view_identity(params, ema, 60) == {} != view_identity(params, ema, 61)
    assert view_identity(params, find_variant(params, "baseline"), 61) == {}


def test_variants_that_are_the_same_are_trained_once() -> None:
    params = article(experiments=[], own={"nothing": {}, "same": {"64": {"60": 0.1}}})
    assert edges(tree(params)) == {
        ("baseline", 0, 60, 4, None),
        ("baseline", 60, 200, 3, "baseline"),
        ("outpost", 60, 200, 1, "baseline"),
    }


def test_runs_that_differ_from_the_first_epoch_share_nothing() -> None:
    params = article(experiments=[], own={"hot": {b: {"0": 0.5} for b in BLOCKS}})
    assert tree(params).epochs == 200 + 140 + 200
    assert len(tree(params).roots) == 2


def test_segments_come_parents_first_and_cover_every_run() -> None:
    whole = tree(check(small.content()))
    segments = list(whole.segments())
    assert sum(s.end - s.start for s in segments) == whole.epochs
    for variant in whole.schedules.keys() - whole.views.keys():
        way = [(s.start, s.end) for s in segments if variant in s.variants]
        assert [start for start, _ in way] == [0, *(end for _, end in way[:-1])]
        assert way[-1][1] == 200


@pytest.mark.parametrize(
    ("name", "epochs"),
    [
        ("baseline", [30, 60, 90, 120, 150, 180, 200]),
        ("outpost", [30, 60, 90, 120, 140, 150, 180, 200]),
        ("expA-64", [30, 60, 90, 200]),
        ("expB-64", [30, 60, 200]),
        ("expC-64", [30, 60, 90, 200]),
        ("expD-64", [30, 60, 90, 120, 140, 200]),
    ],
)
def test_epochs_whose_state_is_kept(name: str, epochs: list[int]) -> None:
    assert kept(article(), name) == epochs


def test_kept_epochs_follow_the_time_scale_and_the_interval() -> None:
    params = article(train={"time_scale": 0.1}, runtime={"keep_every": 70})
    assert kept(params, "baseline") == [6, 7, 14, 20]
    assert kept(params, "expD-64") == [6, 7, 14, 20]
    # Below one epoch of the run: each one.
    often = article(train={"time_scale": 0.1}, runtime={"keep_every": 1})
    assert kept(often, "outpost") == list(range(1, 21))


def test_a_states_key_is_what_it_was() -> None:
    # Another key here means that every stored state is lost to every user: only on purpose.
    train = {
        **{"epochs": 200, "time_scale": 1.0, "batch_size": 128, "learning_rate": 0.1},
        **{"momentum": 0.9, "weight_decay": 0.0005, "crop_padding": 4, "horizontal_flip": True},
        **{"precision": "bf16", "tf32": True, "deterministic": False},
    }
    params = article(train=train, model={"width": 64}, expB={"freeze_epoch": 60})
    text = (
        '{"data":"' + DATA + '","model":{"width":64},"numerics":1,"schedule":['
        '{"batch_size":128,"epochs":60,"settings":{"head":0.1,"layer1":0.1,"layer2":0.1,'
        '"layer3":0.1,"layer4":0.1,"stem":0.1}},'
        '{"batch_size":128,"epochs":5,"settings":{"head":"frozen-live","layer1":"frozen-live",'
        '"layer2":0.1,"layer3":"frozen-live","layer4":"frozen-live","stem":"frozen-live"}}'
        '],"seed":3,"train":{"crop_padding":4,"deterministic":false,"horizontal_flip":true,'
        '"momentum":0.9,"precision":"bf16","tf32":true,"weight_decay":0.0005}}'
    )
    assert key(params, "expB-128", 65, seed=3) == hashlib.sha256(text.encode()).hexdigest()
    assert key(params, "baseline", 60) == (
        "772ee0cd186d777b4c6b68a644e80b97d08c5c710ecd2231fd7633d614efaaf4"
    )


def test_a_moved_freeze_epoch_shares_all_of_the_baselines_past() -> None:
    before, after = article(), article(expB={"freeze_epoch": 90})
    for epoch in (1, 60, 90):
        assert key(after, "expB-64", epoch) == key(before, "baseline", epoch)
    assert key(after, "expB-64", 91) != key(before, "baseline", 91)
    # And these are states that the baseline left.
    assert {60, 90} <= set(kept(before, "baseline"))
    assert tree(after).epochs == 2140 - 4 * 30


def test_a_longer_run_continues_from_the_shorter_ones_end() -> None:
    before, after = article(), article(train={"epochs": 300})
    for variant in variants(before):
        name = variant.name
        assert key(before, name, 200) == key(after, name, 200)
        assert kept(before, name)[-1] == 200


def test_runs_have_one_key_as_long_as_they_share_their_past() -> None:
    params = check(small.content())
    whole = tree(params)
    who = identity(params, 0, data=DATA, numerics=1)
    for epoch in (1, 59, 60, 61, 90, 91, 120, 121, 140, 141, 200):
        keys: dict[str, set[Variant]] = {}
        for variant, planned in whole.schedules.items():
            if variant in whole.views:
                continue
            keys.setdefault(state_key(who, planned, epoch), set()).add(variant)
        segments = [s for s in whole.segments() if s.start < epoch <= s.end]
        assert {frozenset(v) for v in keys.values()} == {frozenset(s.variants) for s in segments}


@pytest.mark.parametrize("name", ["expB-64", "expC-128", "expD-512"])
def test_batch_norm_mode_tells_runs_apart_only_from_the_freeze_on(name: str) -> None:
    live, strict = article(), article(freeze={"batch_norm": "eval"})
    freeze = {"expB-64": 60, "expC-128": 90, "expD-512": 140}[name]
    assert key(live, name, freeze) == key(strict, name, freeze)
    assert key(live, name, freeze + 1) != key(strict, name, freeze + 1)
    for reference in ("baseline", "outpost", "expA-64"):
        assert key(live, reference, 200) == key(strict, reference, 200)


@pytest.mark.parametrize(
    "changes",
    [
        {"train": {"momentum": 0.95}},
        {"train": {"weight_decay": 0.0}},
        {"train": {"learning_rate": 0.05}},
        {"train": {"batch_size": 64}},
        {"train": {"crop_padding": 2}},
        {"train": {"horizontal_flip": False}},
        {"train": {"precision": "fp32"}},
        {"train": {"tf32": False}},
        {"train": {"deterministic": True}},
        {"model": {"width": 16}},
    ],
)
def test_what_changes_the_numbers_changes_the_key(changes: dict[str, Any]) -> None:
    assert key(article(**changes), "baseline", 1) != key(article(), "baseline", 1)


def test_seed_data_and_numerics_version_change_the_key() -> None:
    params = article()
    plain = key(params, "baseline", 60)
    assert key(params, "baseline", 60, seed=1) != plain
    assert key(params, "baseline", 60, data="e" * 64) != plain
    assert key(params, "baseline", 60, numerics=2) != plain
    assert key(params, "baseline", 61) != plain


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": [5, 0]},
        {"experiments": ["expB"]},
        {"own": {"x": {"64": {"60": 0.5}}}},
        {"report": {"final_epochs": 3, "jitter_epochs": 20}},
        {"runtime": {"device": "cpu", "threads": 1, "compile": True, "keep_every": 7}},
        {"data": {"name": "another name", "source": "/elsewhere.zip"}},
        {"expA": {"decay_epochs": [100]}},
        {"outpost": {"decay_factor": 0.5}},
        {"train": {"epochs": 250}},
    ],
)
def test_what_changes_no_number_of_a_run_leaves_its_key(changes: dict[str, Any]) -> None:
    for name in ("baseline", "expB-64"):
        assert key(article(**changes), name, 200) == key(article(), name, 200)


def test_other_blocks_leave_the_references_alone() -> None:
    blocks = {"64": ["stem"], "128": ["layer1", "layer2"], "256": ["layer3", "layer4"]}
    other = check({**small.content(own={}), "blocks": {**blocks, "512": ["head"]}})
    for name in ("baseline", "outpost"):
        assert key(other, name, 200) == key(article(), name, 200)
    assert key(other, "expB-64", 60) == key(article(), "expB-64", 60)
    assert key(other, "expB-64", 61) != key(article(), "expB-64", 61)


def test_a_rate_written_otherwise_is_the_same_state() -> None:
    own = {"steps": {b: {"60": 0.01, "120": 0.001} for b in BLOCKS}}
    assert key(article(own=own), "own-steps", 200) == key(article(), "outpost", 200)


def test_time_scale_by_itself_is_no_part_of_the_key() -> None:
    scaled = article(train={"time_scale": 0.5, "epochs": 400}, expB={"freeze_epoch": 120})
    assert key(scaled, "expB-64", 200) == key(article(), "expB-64", 200)


def in_store(params: Params, states: Iterable[tuple[str, int]]) -> Callable[[Variant, int], bool]:
    """`stored` for a store that has the states of these runs at these epochs."""
    keys = {key(params, name, epoch) for name, epoch in states}
    planned = tree(params).schedules
    who = identity(params, 0, data=DATA, numerics=1)
    return lambda variant, epoch: state_key(who, planned[variant], epoch) in keys


def left(params: Params, *states: tuple[str, int]) -> dict[str, int]:
    """Epochs still to be trained, by the name of the run."""
    found: dict[str, int] = {}
    for work in outstanding(tree(params), in_store(params, states)):
        assert work.epochs > 0
        found[work.variant.name] = found.get(work.variant.name, 0) + work.epochs
    return found


def ends(params: Params) -> list[tuple[str, int]]:
    return [(variant.name, 200) for variant in variants(params)]


def test_an_empty_store_leaves_everything_to_do() -> None:
    params = article()
    assert left(params) == {
        "baseline": 200,
        "outpost": 140,
        **{f"expA-{k}": 140 for k in BLOCKS},
        **{f"expB-{k}": 140 for k in BLOCKS},
        **{f"expC-{k}": 110 for k in BLOCKS},
        **{f"expD-{k}": 60 for k in BLOCKS},
    }
    assert sum(left(params).values()) == 2140


def test_a_complete_store_leaves_nothing_to_do() -> None:
    params = article()
    everything = [(v.name, e) for v in variants(params) for e in kept(params, v.name)]
    assert left(params, *everything) == {}


def test_finished_runs_need_no_branch_points() -> None:
    params = article()
    assert left(params, *ends(params)) == {}


def test_one_missing_run_is_trained_from_the_nearest_state_above() -> None:
    params = article()
    others = [end for end in ends(params) if end[0] != "expC-256"]
    # No branch point is there: the whole past again, under the name of the segment's first run.
    assert left(params, *others) == {"baseline": 60, "expA-256": 30, "expC-256": 110}
    assert left(params, *others, ("baseline", 30)) == {
        "baseline": 30,
        "expA-256": 30,
        "expC-256": 110,
    }
    assert left(params, *others, ("baseline", 60)) == {"expA-256": 30, "expC-256": 110}
    assert left(params, *others, ("expA-256", 90)) == {"expC-256": 110}
    assert left(params, *others, ("expC-256", 91)) == {"expC-256": 109}
    assert left(params, *others, ("expC-256", 150)) == {"expC-256": 50}
    # A deeper state of a run that goes another way is of no use.
    assert left(params, *others, ("expA-256", 91), ("baseline", 90))["expC-256"] == 110


def test_a_moved_freeze_epoch_leaves_only_expB_to_do() -> None:
    before, after = article(), article(expB={"freeze_epoch": 90})
    everything = [(v.name, e) for v in variants(before) for e in kept(before, v.name)]
    keys = {key(before, name, epoch) for name, epoch in everything}
    planned, who = tree(after).schedules, identity(after, 0, data=DATA, numerics=1)
    work = outstanding(tree(after), lambda v, e: state_key(who, planned[v], e) in keys)
    assert {(w.variant.name, w.epochs) for w in work} == {(f"expB-{k}", 110) for k in BLOCKS}


def test_work_is_told_phase_by_phase() -> None:
    params = article(experiments=[])
    whole = tree(params)
    baseline, outpost = whole.schedules
    steady = whole.schedules[baseline].phases[0]
    _, cool, cold = whole.schedules[outpost].phases
    assert outstanding(whole, in_store(params, [("baseline", 70)])) == [
        Work(baseline, steady, 60),
        Work(baseline, steady, 130),
        Work(outpost, cool, 60),
        Work(outpost, cold, 80),
    ]
    assert outstanding(whole, in_store(params, [("baseline", 200), ("outpost", 130)])) == [
        Work(outpost, cold, 70)
    ]


def test_operations_of_the_articles_network() -> None:
    forward = cost.forward_flop(Model(width=64), 32, 3, 10)
    assert sum(forward.values()) * 3 == pytest.approx(3.33e9, rel=2e-3)
    # By hand: the stem's 3x3 convolution from 3 to 64 channels at 32x32, and the linear head.
    assert forward["stem"] == 2 * 9 * 3 * 64 * 32 * 32
    assert forward["head"] == 2 * 512 * 10
    # Four layers of about the same cost: half the pixels a side, twice the channels.
    assert forward["layer1"] == pytest.approx(forward["layer4"], rel=0.15)


def test_a_frozen_part_saves_its_weight_gradient_and_the_pass_below_it() -> None:
    forward = {"stem": 1.0, "layer1": 10.0, "layer2": 100.0} | {"layer3": 1e3, "layer4": 1e4}
    forward |= {"head": 1e5}
    live = Frozen.LIVE

    def flop(*settings: float | Frozen) -> float:
        return cost.training_flop(Phase(0, 1, settings, 128), forward)

    once = 111111.0
    assert flop(*[0.1] * 6) == 3 * once - 1
    assert flop(*[live] * 6) == once
    assert flop(live, live, live, live, live, 0.1) == once + 1e5
    # Trained at the bottom alone: the gradient goes through everything above.
    assert flop(0.1, *[live] * 5) == once + 1 + (once - 1)
    # Within the lowest part too, down to the convolutions that its input goes into.
    assert flop(live, live, 0.1, live, live, live) == once + 100 + 111000 + 100 * 27 / 32


def test_a_rough_estimate_grows_with_the_work_and_shrinks_with_the_threads() -> None:
    def seconds(flop: float, *, gpu: bool = False, threads: int = 2) -> float:
        return cost.rough_epoch_seconds(flop, 50_000, 128, gpu=gpu, threads=threads)

    assert seconds(6.66e9) > seconds(3.33e9) > seconds(3.33e9, threads=16)
    assert seconds(3.33e9, gpu=True) < 60 < 600 < seconds(3.33e9)
