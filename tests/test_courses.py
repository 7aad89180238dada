"""Rates that follow a shape: torch's own values, shared pasts, what counts as an intervention."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from dvc.utils.hydra import apply_overrides
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LinearLR,
    LRScheduler,
)

from netstab.errors import ParameterError
from netstab.params import PARTS, Params, check, read
from netstab.study.experiments import find_variant, schedule
from netstab.study.keys import identity, state_key
from netstab.study.measuring import epochs_of, sharpness_scopes
from netstab.study.plan import tree
from netstab.study.schedule import Frozen, Schedule
from tests import small


def network(**changes: Any) -> dict[str, Any]:
    """One intervention, `own-x`, of all blocks: epochs as `e60`."""
    return {"x": {"network": {name.removeprefix("e"): change for name, change in changes.items()}}}


def params(own: dict[str, Any], **changes: Any) -> Params:
    return check(small.content(own=own, **changes))


def planned(study: Params, name: str = "own-x") -> Schedule:
    return schedule(study, find_variant(study, name))


def rates(plan: Schedule, part: str = "layer1") -> list[Any]:
    return [plan.at(epoch).setting(part) for epoch in range(plan.epochs)]


def by_torch(make: Callable[[Optimizer], LRScheduler], epochs: int, rate: float) -> list[float]:
    """The rates of torch's scheduler, one an epoch."""
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=rate)
    scheduler, found = make(optimizer), []
    for _ in range(epochs):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


TORCH: dict[str, tuple[dict[str, Any], Callable[[Optimizer], LRScheduler]]] = {
    "linear": (
        {"shape": "linear", "to": 0.02, "until": 150},
        lambda o: LinearLR(o, start_factor=1.0, end_factor=0.2, total_iters=90),
    ),
    "cosine": (
        {"shape": "cosine", "to": 0.001, "until": 150},
        lambda o: CosineAnnealingLR(o, T_max=90, eta_min=0.001),
    ),
    "cosine to zero": (
        {"shape": "cosine", "to": 0.0, "until": 150},
        lambda o: CosineAnnealingLR(o, T_max=90),
    ),
    "exponential": (
        {"shape": "exponential", "to": 0.001, "until": 150},
        lambda o: ExponentialLR(o, gamma=0.01 ** (1 / 90)),
    ),
    "triangular": (
        {"shape": "triangular", "from": 0.001, "to": 0.1, "cycles": 3, "until": 150},
        lambda o: CyclicLR(o, 0.001, 0.1, step_size_up=15, cycle_momentum=False),
    ),
    "triangular, odd cycles": (
        {"shape": "triangular", "to": 0.01, "cycles": 6, "until": 150},
        lambda o: CyclicLR(
            o, 0.1, 0.01, step_size_up=7.5, step_size_down=7.5, cycle_momentum=False
        ),
    ),
    "warm restarts": (
        {"shape": "warm_restarts", "to": 0.001, "cycles": 3, "until": 150},
        lambda o: CosineAnnealingWarmRestarts(o, T_0=30, eta_min=0.001),
    ),
    "growing warm restarts": (
        {"shape": "warm_restarts", "to": 0.0, "cycles": 4, "growth": 2, "until": 150},
        lambda o: CosineAnnealingWarmRestarts(o, T_0=6, T_mult=2),
    ),
}


@pytest.mark.parametrize("name", TORCH)
def test_a_shape_has_the_rates_of_torchs_scheduler(name: str) -> None:
    change, make = TORCH[name]
    plan = planned(params(network(e60=change)))
    found = rates(plan)
    assert found[:60] == [0.1] * 60
    assert found[60:150] == pytest.approx(by_torch(make, 90, 0.1), rel=1e-9, abs=1e-15)
    last = change.get("from", 0.1) if change["shape"] == "triangular" else change["to"]
    assert found[150:] == [last] * 50


def test_a_shape_ends_at_the_next_change_or_with_the_run() -> None:
    cosine = {"shape": "cosine", "to": 0.0}
    until = planned(params(network(e60={**cosine, "until": 200})))
    assert planned(params(network(e60=cosine))) == until and not until.settles
    followed = planned(params(network(e60=cosine, e100=0.05)))
    assert followed == planned(params(network(e60={**cosine, "until": 100}, e100=0.05)))
    assert rates(followed)[99:101] == [pytest.approx(0.1 * 0.0015413, rel=1e-4), 0.05]


def test_a_shape_goes_on_from_the_rate_that_the_one_before_leaves() -> None:
    study = params(
        network(
            e0={"shape": "linear", "from": 0.01, "to": 0.2, "until": 10},
            e40={"shape": "triangular", "to": 0.1, "cycles": 1, "until": 60},
            e100={"shape": "exponential", "to": 0.02, "until": 150},
        )
    )
    found = rates(planned(study))
    assert (found[0], found[10], found[40], found[50], found[60]) == (0.01, 0.2, 0.2, 0.1, 0.2)
    assert found[125] == pytest.approx((0.2 * 0.02) ** 0.5)


def test_a_block_follows_its_own_and_the_network_is_all_others() -> None:
    own = {"x": {"512": {"60": {"shape": "linear", "to": 0.0}}, "network": {"90": "frozen"}}}
    plan = planned(params(own))
    assert plan.at(130).settings[:4] == (Frozen.LIVE,) * 4
    assert plan.at(130).settings[4:] == (0.05, 0.05)
    assert plan.at(60).trained == PARTS


@pytest.mark.parametrize(
    ("scale", "starts", "end"), [(1.0, (60, 90, 120), 150), (0.1, (6, 9, 12), 15)]
)
def test_time_scale_moves_every_cycle(scale: float, starts: tuple[int, ...], end: int) -> None:
    change = {"shape": "warm_restarts", "to": 0.0, "cycles": 3, "until": 150}
    plan = planned(params(network(e60=change), train={"time_scale": scale}))
    assert {(s.starts, s.end, s.held) for s in plan.sweeps} == {(starts, end, True)}
    assert [rates(plan)[start] for start in starts] == [0.1] * 3
    assert plan.interventions == (*starts, end)


# Keys and shared pasts


def test_the_same_rates_are_the_same_past_however_they_are_written() -> None:
    change = {"shape": "cosine", "to": 0.001, "until": 150}
    written = {"network": {str(e): 0.1 for e in range(60, 200)}}
    study = params({**network(e60=change), "rates": written})
    for epoch, rate in enumerate(rates(planned(study))[60:], 60):
        written["network"][str(epoch)] = rate
    study = params({**network(e60=change), "rates": written})
    shape, plain = planned(study), planned(study, "own-rates")
    assert shape == plain
    who = identity(study, 0, data="d", numerics=1)
    for epoch in (60, 61, 120, 200):
        assert state_key(who, shape, epoch) == state_key(who, plain, epoch)


def test_a_shape_leaves_others_where_its_rate_does() -> None:
    short = {"shape": "cosine", "to": 0.001, "until": 100}
    study = params(
        {**network(e60={**short, "until": 150}), "y": {"network": {"60": short, "120": 0.05}}},
        experiments=[],
        expE={},
    )
    whole = tree(study)
    baseline, x, y = (planned(study, name) for name in ("baseline", "own-x", "own-y"))
    # In epoch 60 all have the rate that the cosine begins at.
    assert baseline.shared_epochs(x) == x.shared_epochs(y) == 61
    assert whole.epochs == 200 + 140 + 139 + 139 == sum(s.end - s.start for s in whole.segments())


def test_steps_have_no_sweeps_and_every_change_is_an_intervention() -> None:
    study = check(small.content())
    for variant in tree(study).schedules:
        plan = schedule(study, variant)
        assert plan.interventions == plan.changes and plan.settles and not plan.sweeps


# Interventions, and what is measured when


def test_a_shape_is_one_intervention_and_another_blocks_step_is_its_own() -> None:
    cosine = {"shape": "cosine", "to": 0.001, "until": 150}
    plan = planned(params({"x": {"64": {"60": cosine}, "128": {"100": 0.01}}}))
    assert len(plan.changes) == 90 and plan.interventions == (60, 100, 150)
    assert planned(params(network(e60={**cosine, "until": 200}))).interventions == (60,)
    # What begins where a shape ends is no plateau of it.
    assert planned(params(network(e60=cosine, e150=0.05))).interventions == (60, 150)


def test_measurements_are_at_interventions_and_where_cycles_turn() -> None:
    change = {"shape": "triangular", "to": 0.001, "cycles": 2, "until": 126}
    study = params(
        network(e60=change),
        measure={
            "stability": {"every_epochs": 50, "images": 8},
            "sharpness": {**small.SHIPPED["measure"]["sharpness"], "every_epochs": None},
        },
    )
    plan = planned(study)
    assert epochs_of(study, plan, "stability") == [0, 50, 60, 76, 93, 100, 109, 150]
    assert list(sharpness_scopes(study, plan)) == [60, 70, 93, 103, 126, 136, 200]


# What is refused


@pytest.mark.parametrize(
    ("own", "fault"),
    [
        (
            network(e60={"shape": "cosin", "to": 0.0}),
            "own.x.network.60.shape: should be 'linear', 'cosine', 'exponential', 'triangular' or "
            "'warm_restarts' (found 'cosin')",
        ),
        (network(e60={"to": 0.0}), "own.x.network.60.shape: is missing; add it"),
        (network(e60={"shape": "linear"}), "own.x.network.60.to: is missing; add it"),
        (
            network(e60={"shape": "linear", "to": 0.0, "untill": 90}),
            "own.x.network.60.untill: is not a parameter; did you mean until?",
        ),
        (
            network(e60={"shape": "linear", "to": -0.1}),
            "own.x.network.60.to: should be greater than or equal to 0 (found -0.1)",
        ),
        (
            network(e60={"shape": "linear", "from": "0.1", "to": 0.0}),
            "own.x.network.60.from: is not a finite number; write it without quotes (found '0.1')",
        ),
        (
            network(e60={"shape": "exponential", "to": 0}),
            "own.x.network.60.to: should be greater than 0 (found 0)",
        ),
        (
            network(e60={"shape": "triangular", "to": 0.0}),
            "own.x.network.60.cycles: is missing; add it",
        ),
        (
            network(e60={"shape": "triangular", "to": 0.0, "cycles": 0}),
            "own.x.network.60.cycles: should be greater than or equal to 1 (found 0)",
        ),
        (
            network(e60={"shape": "cosine", "to": 0.0, "cycles": 2}),
            "own.x.network.60.cycles: is not a parameter; known are shape, from, to, until",
        ),
        (
            network(e60={"shape": "cosine", "to": 0.0, "until": 201}),
            "own.x.network.60.until: 201 is past the end, at 200; lower it",
        ),
        (
            network(e60={"shape": "cosine", "to": 0.0, "until": 100}, e90=0.1),
            "own.x.network.60.until: 100 is past the next change, at 90; lower it",
        ),
        (
            network(e60={"shape": "cosine", "to": 0.0, "until": 60}),
            "own.x.network.60.until: 60 is not behind 60, where the shape begins; raise it",
        ),
        (
            network(e60="frozen", e90={"shape": "cosine", "to": 0.0}),
            "own.x.network.90.from: is missing; add it, for what is frozen has no rate to go on "
            "from",
        ),
        (
            network(e60=0.0, e90={"shape": "exponential", "to": 0.1}),
            "own.x.network.90.from: is 0, which no factor changes; take one above it",
        ),
        (
            network(e60={"shape": "triangular", "to": 0.0, "cycles": 71}),
            "own.x.network.60: has 1 epoch a cycle at this train.time_scale, and needs 2; "
            "lengthen the shape, ask for fewer cycles, or raise the scale",
        ),
        (
            {"x": {"net": {}}},
            "own.x.net: is not a block; known are 64, 128, 256, 512, or network for all",
        ),
    ],
)
def test_a_fault_in_a_shape_is_named_by_its_key(own: dict[str, Any], fault: str) -> None:
    assert small.faults(small.content(own=own)) == [fault]


def test_all_faults_in_shapes_are_listed_at_once() -> None:
    own = {
        "x": {"64": {"60": {"shape": "cosine", "to": -1, "until": "90"}}},
        "y": {"network": {"0": {"shape": "zigzag", "to": 0.0}, "90": {"shape": "linear"}}},
    }
    assert [fault.split(": ")[0] for fault in small.faults(small.content(own=own))] == [
        *("own.x.64.60.to", "own.x.64.60.until"),
        *("own.y.network.0.shape", "own.y.network.90.to"),
    ]


def test_a_shape_that_the_scale_leaves_no_epoch_is_refused() -> None:
    own = network(e60={"shape": "linear", "to": 0.0, "until": 62})
    with pytest.raises(ParameterError, match=r"own\.x\.network\.60: has 0 epochs a cycle"):
        params(own, train={"time_scale": 0.1})


@pytest.mark.parametrize(
    "override",
    [
        "+own.x.network.60={shape: cosine, to: 0.001, until: 150}",
        "+own.x.network.60={shape:cosine,to:0.001,until:150}",
    ],
)
def test_a_shape_can_be_an_override(override: str, tmp_path: Any) -> None:
    path = tmp_path / "params.yaml"
    path.write_text((small.ROOT / "params.yaml").read_text())
    apply_overrides(str(path), [override])
    assert rates(planned(read(path)))[105] == pytest.approx(0.0505)


def test_a_shape_is_written_down_as_it_is_read() -> None:
    cycles = {"shape": "triangular", "from": 0.1, "to": 0.2, "cycles": 2, "until": None}
    own = network(e60=cycles, e190="frozen", e195=0.1)
    assert params(own).model_dump(mode="json")["own"] == own


# References


def test_a_reference_follows_a_shape() -> None:
    study = check(
        small.content(
            outpost={"decay_epochs": [], "changes": {"60": {"shape": "cosine", "to": 0.001}}},
            baseline={"changes": {"0": {"shape": "linear", "from": 0.01, "to": 0.1, "until": 5}}},
        )
    )
    assert rates(planned(study, "outpost"))[130] == pytest.approx(0.0505)
    assert rates(planned(study, "baseline"))[:6] == pytest.approx(
        [0.01, 0.028, 0.046, 0.064, 0.082, 0.1]
    )
    # Views are of the baseline as it is trained; experiments start from the constant rate.
    assert planned(study, "expE-ema") == planned(study, "baseline")
    assert rates(planned(study, "expB-64"))[0] == 0.1


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (
            {"outpost": {"changes": {"60": 0.01}}},
            "outpost.decay_epochs: states the rate as outpost.changes does; empty it ([]), or "
            "outpost.changes ({})",
        ),
        (
            {"baseline": {"changes": {"60": "frozen"}}},
            "baseline.changes.60: no reference is frozen; give it a rate, or try it in own",
        ),
        (
            {"baseline": {"changes": {"60": {"shape": "cosine", "to": 0.0, "untill": 1}}}},
            "baseline.changes.60.untill: is not a parameter; did you mean until?",
        ),
        (
            {"baseline": {"changes": {"600": 0.1}}},
            "baseline.changes: 600 is past the end (train.epochs is 200); lower it",
        ),
        ({"expF": {"shapes": ["cosine", "cosine"]}}, "expF.shapes: name a shape twice; remove one"),
        ({"expF": {"shapes": None}}, "expF.shapes: is empty; write [] for none"),
        (
            {"expF": {"shapes": "cosine"}},
            "expF.shapes: should be a list (found 'cosine'); write ['cosine']",
        ),
        (
            {"expF": {"end_epoch": 60}},
            "expF.end_epoch: 60 is not behind expF.start_epoch, 60; raise it",
        ),
        (
            {"expF": {"end_epoch": 201}},
            "expF.end_epoch: 201 is past the end (train.epochs is 200); lower it",
        ),
        (
            {"expF": {"shapes": ["triangular"], "cycles": 46}},
            "expF (triangular): has 1 epoch a cycle at this train.time_scale, and needs 2; "
            "lengthen the shape, ask for fewer cycles, or raise the scale",
        ),
    ],
)
def test_a_fault_in_a_reference_or_in_cyclical_rates_is_named_by_its_key(
    changes: dict[str, Any], fault: str
) -> None:
    assert small.faults(small.content(**changes)) == [fault]


# Cyclical rates


SHAPES = ["cosine", "warm_restarts", "triangular"]


def test_cyclical_rates_are_off_as_shipped() -> None:
    assert not [v for v in tree(check(small.content())).schedules if v.experiment == "expF"]


@pytest.mark.parametrize(("scale", "ends"), [(1.0, (60, 150)), (0.3, (18, 45)), (0.1, (6, 15))])
def test_cyclical_rates_end_at_the_outposts_and_hold_it(
    scale: float, ends: tuple[int, int]
) -> None:
    study = check(small.content(expF={"shapes": SHAPES}, train={"time_scale": scale}))
    last = planned(study, "outpost").phases[-1].settings
    for name in SHAPES:
        plan = planned(study, f"expF-{name}")
        assert {(s.starts[0], s.end, s.held) for s in plan.sweeps} == {(*ends, True)}
        assert plan.at(ends[1]).settings == plan.phases[-1].settings == last
        assert max(rates(plan)) == 0.1
