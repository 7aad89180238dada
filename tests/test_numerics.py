"""The numerics contract: today's code computes the golden values, and a change of numbers shows."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from torch import Tensor, nn

from netstab import paths
from netstab.data import batches
from netstab.data.batches import Images
from netstab.networks import layers
from netstab.networks.network import Network
from netstab.store.settings import versions
from netstab.study import experiments
from netstab.study.measuring import MEASURES
from netstab.study.schedule import Frozen, Phase, Schedule, Setting, Sweep, build
from netstab.training import engine, numerics, optimizer

GOLDEN = json.loads(paths.NUMERICS.read_text(encoding="utf-8"))


def test_the_code_still_computes_the_golden_values() -> None:
    found = json.loads(json.dumps(numerics.compute()))
    moved = numerics.differences(GOLDEN["golden"], found)
    assert moved == [], (
        "numbers moved: if that is meant, run `python -m netstab.training.numerics --raise` "
        "and commit numerics.json with the change; every run is then trained again"
    )


def test_the_golden_values_cover_every_freeze_pattern_and_mode() -> None:
    covered = GOLDEN["golden"]["trajectories"]
    for experiment in ("expB", "expC", "expD"):
        for block in ("64", "128", "256", "512"):
            for mode in ("live", "eval"):
                assert f"{experiment}-{block} {mode}" in covered
    assert {"baseline live", "outpost live", "own-thaw live", "own-thaw eval"} <= covered.keys()
    assert len(GOLDEN["golden"]["schedules"]) == 2 * 27


def moved_by_mutation(variant: str, mode: str) -> list[str]:
    """What moves in one golden trajectory under the mutation that is in force."""
    torch.set_num_threads(1)
    params = numerics.study(0.0167, mode)
    chosen = experiments.find_variant(params, variant)
    with tempfile.TemporaryDirectory() as store:
        found = numerics.trajectory(params, chosen, store)
    golden = GOLDEN["golden"]["trajectories"][f"{variant} {mode}"]
    return numerics.differences(golden, json.loads(json.dumps(found)))


@pytest.mark.parametrize("variant", ["expB-128", "own-thaw"])
def test_without_a_mutation_nothing_moves(variant: str) -> None:
    assert moved_by_mutation(variant, "eval") == []


def _sgd(**changes: float) -> Callable[[pytest.MonkeyPatch], None]:
    def mutate(patch: pytest.MonkeyPatch) -> None:
        original = optimizer.sgd

        def mutated(network: Network, train: object) -> torch.optim.SGD:
            made = original(network, train)  # type: ignore[arg-type]
            for group in made.param_groups:
                group.update(changes)
            return made

        patch.setattr(engine, "sgd", mutated)

    return mutate


def _draws(**changes: object) -> Callable[[pytest.MonkeyPatch], None]:
    def mutate(patch: pytest.MonkeyPatch) -> None:
        original = batches.draw_epoch
        patch.setattr(
            engine, "draw_epoch", lambda *args, **kwargs: original(*args, **{**kwargs, **changes})
        )

    return mutate


def _batch_norm_momentum(patch: pytest.MonkeyPatch) -> None:
    original = layers.initialise

    def mutated(network: nn.Module, seed: int) -> None:
        original(network, seed)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.1001

    patch.setattr("netstab.networks.network.initialise", mutated)


def _labels(patch: pytest.MonkeyPatch) -> None:
    original = nn.functional.cross_entropy

    def smoothed(logits: Tensor, y: Tensor, **kwargs: object) -> Tensor:
        return original(logits, y, label_smoothing=1e-4, **kwargs)  # type: ignore[arg-type]

    patch.setattr(nn.functional, "cross_entropy", smoothed)


def _frozen_mode(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(experiments, "_frozen", lambda params: Frozen.LIVE)


def _branch_epoch(patch: pytest.MonkeyPatch) -> None:
    def late(
        epochs: int,
        batch_size: Callable[[int], int],
        setting: Callable[[str, int], Setting],
        parts: tuple[str, ...],
        sweeps: tuple[Sweep, ...],
    ) -> Schedule:
        def late(part: str, epoch: int) -> Setting:
            return setting(part, max(0, epoch - 1))

        return build(epochs, batch_size, late, parts, sweeps)

    patch.setattr(experiments, "build", late)


def _initialisation(patch: pytest.MonkeyPatch) -> None:
    original = layers.initialise
    patch.setattr("netstab.networks.network.initialise", lambda m, seed: original(m, seed + 1))


def _weight_decay_on_frozen(patch: pytest.MonkeyPatch) -> None:
    original = engine.apply_modes

    def mutated(network: Network, phase: object) -> None:
        # The known trap: a frozen weight with a zero gradient is still decayed.
        original(network, phase)  # type: ignore[arg-type]
        for parameter in network.module.parameters():
            if not parameter.requires_grad:
                parameter.grad = torch.zeros_like(parameter)

    patch.setattr(engine, "apply_modes", mutated)
    patch.setattr(optimizer.SGD, "zero_grad", lambda self, set_to_none: _zero(self))


def _zero(made: torch.optim.SGD) -> None:
    for group in made.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                parameter.grad.zero_()
            if not parameter.requires_grad:
                group["lr"] = 0.01


def _momentum_kept(patch: pytest.MonkeyPatch) -> None:
    def mutated(made: torch.optim.SGD, phase: object) -> None:
        for group in made.param_groups:
            setting = phase.setting(group["part"])  # type: ignore[attr-defined]
            group["lr"] = 0.0 if isinstance(setting, Frozen) else setting

    patch.setattr(engine, "apply_rates", mutated)


def _epoch(**changes: Callable[[int], int]) -> Callable[[pytest.MonkeyPatch], None]:
    """The trajectory hands another seed or epoch to the engine."""

    def mutate(patch: pytest.MonkeyPatch) -> None:
        original = engine.Engine.epoch

        def mutated(
            self: engine.Engine,
            phase: Phase,
            t: Images,
            v: Images,
            seed: int,
            epoch: int,
            *rest: Any,
        ) -> dict[str, int | float]:
            seed = changes.get("seed", int)(seed)
            row = original(self, phase, t, v, seed, changes.get("epoch", int)(epoch), *rest)
            return {**row, "epoch": epoch}

        patch.setattr(engine.Engine, "epoch", mutated)

    return mutate


def _late_phase(patch: pytest.MonkeyPatch) -> None:
    original, phases = engine.Engine.epoch, []

    def mutated(self: engine.Engine, phase: Phase, *args: Any) -> dict[str, int | float]:
        phases.append(phase)
        return original(self, phases[max(0, len(phases) - 2)], *args)

    patch.setattr(engine.Engine, "epoch", mutated)


def _wider_border(patch: pytest.MonkeyPatch) -> None:
    original = batches.to_device

    def mutated(*args: Tensor, padding: int, **kwargs: Any) -> Images:
        return original(*args, padding=padding and padding + 1, **kwargs)

    patch.setattr(batches, "to_device", mutated)


MUTATIONS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "momentum": _sgd(momentum=0.9001),
    "nesterov": _sgd(nesterov=True),
    "weight decay": _sgd(weight_decay=0.00051),
    "weight decay on frozen weights": _weight_decay_on_frozen,
    "momentum kept through a freeze": _momentum_kept,
    "crop padding": _draws(padding=1),
    "no flip": _draws(flip=False),
    "data order": _draws(seed=8),
    "epoch of the draws": _draws(epoch=0),
    "batch-norm momentum": _batch_norm_momentum,
    "label handling": _labels,
    "frozen mode": _frozen_mode,
    "branch epoch off by one": _branch_epoch,
    "initialisation": _initialisation,
    "seed of a trajectory": _epoch(seed=lambda seed: seed + 1),
    "epoch of a trajectory": _epoch(epoch=lambda epoch: epoch + 1),
    "phase of a trajectory": _late_phase,
    "border of the images": _wider_border,
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_change_of_numbers_is_noticed(mutation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    MUTATIONS[mutation](monkeypatch)
    moved = moved_by_mutation("own-thaw", "eval")
    assert moved, f"the golden values do not see a changed {mutation}"


def test_a_raised_version_renews_the_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "numerics.json"
    computed(monkeypatch, copy, {"trajectories": {"x": [0.25]}}, {"trajectories": {"x": [0.5]}})
    numerics.main(raise_version=True)
    assert versions() == (5, dict.fromkeys(MEASURES, 2))
    assert json.loads(copy.read_text())["golden"] == {"trajectories": {"x": [0.5]}}


def computed(
    monkeypatch: pytest.MonkeyPatch, copy: Path, golden: dict[str, Any], found: dict[str, Any]
) -> None:
    """Golden values as committed, and as the code of today would compute them."""
    copy.write_text(
        json.dumps({"version": 4, "measures": dict.fromkeys(MEASURES, 2), "golden": golden})
    )
    monkeypatch.setattr(paths, "NUMERICS", copy)
    monkeypatch.setattr(numerics, "compute", lambda: found)


def test_values_of_new_variants_are_added_under_the_same_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "numerics.json"
    found = {"trajectories": {"x": [0.5], "new": [1.0]}, "measurements": {"m": [2.0]}}
    computed(monkeypatch, copy, {"trajectories": {"x": [0.5]}}, found)
    numerics.main(extend=True)
    assert versions() == (4, dict.fromkeys(MEASURES, 2))
    assert json.loads(copy.read_text())["golden"] == found


@pytest.mark.parametrize("group", ["trajectories", "measurements"])
def test_extending_and_raising_a_measure_refuse_other_numbers_that_moved(
    group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "numerics.json"
    golden = {"trajectories": {"x": [0.5]}, "measurements": {"barrier": [0.5]}}
    found = {**golden, group: {name: [0.6] for name in golden[group]}}
    computed(monkeypatch, copy, golden, found)
    before = copy.read_text()
    with pytest.raises(typer.Exit):
        numerics.main(extend=True)
    with pytest.raises(typer.Exit):
        numerics.main(raised="field")
    assert copy.read_text() == before


def test_moved_measurements_raise_their_own_version_and_no_state_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "numerics.json"
    golden = {"trajectories": {"x": [0.5]}, "measurements": {"field 3 64": [1.0], "barrier": [0.5]}}
    digits = {"trajectories": {"x": [0.5 + 1e-15]}, "measurements": {"barrier": [0.5 + 1e-15]}}
    found = {**digits, "measurements": {"field 3 64": [2.0], **digits["measurements"]}}
    computed(monkeypatch, copy, golden, found)
    numerics.main(raised="field")
    assert versions() == (4, {**dict.fromkeys(MEASURES, 2), "field": 3})
    golden["measurements"]["field 3 64"] = [2.0]
    assert json.loads(copy.read_text())["golden"] == golden
