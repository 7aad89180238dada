"""What benchmarks time and count; and each of them on a few steps."""

import inspect
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from dvc.utils.serialize import dumps_yaml
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode
from typer import Typer
from typer.testing import CliRunner

from benchmarks import epoch, epoch_cases, measuring, sizes, trainer
from benchmarks.common import ROOT, Goal, Spread, child_environment, in_turn
from netstab.networks.network import build
from netstab.study.cost import forward_flop, training_flop
from netstab.training.modes import apply_modes
from tests import small

MINI = sizes.params("mini")
FROZEN = epoch_cases.ways_of_freezing(MINI)
PHASES = {"trunk": trainer.trunk(MINI), **FROZEN}


def test_a_size_is_measured_where_interventions_were_removed_from_the_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "sizes.yaml", tmp_path)
    (tmp_path / "params.yaml").write_text(dumps_yaml(small.content(expE={}, own={})))
    monkeypatch.setattr(sizes, "ROOT", tmp_path)
    found = sizes.params("demo", threads=1)
    assert (found.expE.rivals, found.runtime.threads) == ({}, 1)
    assert found.train.time_scale == 0.1


# Counting and comparing


@pytest.mark.parametrize("name", PHASES)
def test_operations_of_a_step_are_those_that_torch_counts(name: str) -> None:
    study = small.params(model={"width": 8})
    network = build(study, 3, 10)
    apply_modes(network, PHASES[name])
    images, labels = torch.zeros(2, 3, 16, 16), torch.zeros(2, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter:
        functional.cross_entropy(network.module(images), labels).backward()
    counted = training_flop(PHASES[name], forward_flop(study.model, 16, 3, 10))
    assert counted == counter.get_total_flops() / 2


def test_an_epoch_leaves_its_incomplete_batch_out_and_evaluates_all(tmp_path: Path) -> None:
    study = sizes.params("mini", device="cpu", threads=1, train={"batch_size": 32})
    size = study.data.image_size
    workload = trainer.workload_on(study, sizes.random_images(tmp_path, 70, 10, size), tmp_path)
    forward, phase = forward_flop(study.model, size, 3, 10), trainer.trunk(study)
    assert workload.trained_images == 64
    assert workload.flop(phase) == 64 * training_flop(phase, forward) + 10 * sum(forward.values())


def test_ways_of_freezing_are_what_is_frozen_and_how_not_rates() -> None:
    assert list(FROZEN) == [
        *(f"expB-{block}" for block in MINI.blocks),
        *(f"strict-{block}" for block in MINI.blocks),
        "expE-head",
    ]


def test_cases_are_timed_in_turn_and_ratios_are_taken_round_by_round() -> None:
    called: list[str] = []
    measured = in_turn({name: lambda name=name: called.append(name) for name in "ab"}, 2)
    assert "".join(called) == "abab"
    assert all(len(spread.values) == 2 for spread in measured.values())
    assert Spread.of_ratios(Spread((6.0, 9.0)), Spread((2.0, 1.0))).values == (3.0, 9.0)
    assert Spread((2.0, 5.0)).per_second(10.0).values == (5.0, 2.0)
    assert str(Spread((1.0, 4.0, 2.5))) == "2.50 [1.00, 4.00]"


def test_a_goal_is_met_on_its_own_side_of_the_limit() -> None:
    assert Goal("faster,", 4.0, 4.0, at_least=True).met
    assert not Goal("memory,", 4.0, 4.0).met
    assert str(Goal("memory,", 5.0, 4.0)) == "memory, below 4: missed (5.00)"


def test_matrix_products_are_of_the_device() -> None:
    assert epoch_cases.product_flop(small.CPU) == 2 * (2 * 2048**3)


# Each on a few steps


@pytest.fixture
def tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs a benchmark on little; returns what it prints, and its JSON."""
    monkeypatch.setitem(epoch_cases.MATRIX, "cpu", 64)

    def run(main: Callable[..., None], *options: str) -> tuple[str, dict[str, Any]]:
        app, target = Typer(), tmp_path / "result.json"
        app.command()(main)
        usual = ["--size", "demo", "--rounds", "1", "--threads", "1", "--json", str(target)]
        monkeypatch.setattr(sys, "argv", ["benchmark", *usual, *options])
        done = CliRunner().invoke(app, [*usual, *options], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output, json.loads(target.read_text())

    return run


def test_epoch_tells_speed_shares_ratios_and_costs(
    tried: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "profile"
    printed, told = tried(epoch.main, "--steps", "1", "--workers", "0", "--profile", str(folder))
    results = told["results"]
    assert {"netstab fp32", "plain loop", "expB-64", "strict-512"} <= results.keys()
    trunk = results["netstab fp32"]
    assert {"flop_per_s", "images_per_s", "of_fp32_matrix_rate"} <= trunk.keys()
    assert results["expB-64"]["this_per_trunk"]["n"] == 1
    assert results["save a state"]["s"]["median"] > 0
    assert (folder / "trace.json").stat().st_size > 0
    assert "aten::convolution_backward" in printed
    assert any("strict-512: trains layer4 head, batch norm" in note for note in told["notes"])


def test_measuring_adds_up_what_a_seed_takes(tried: Callable[..., Any]) -> None:
    printed, told = tried(measuring.main, "--epochs", "0")
    results, shares = told["results"], told["results"]["share_of_training"]
    epochs = results["an epoch of training"]
    for what in ("stability", "field"):
        measured = results[f"{what} of an epoch"]
        expected = measured["a_seed"] * measured["s"]["median"]
        expected /= epochs["a_seed"] * epochs["s"]["median"]
        assert shares[what]["median"] == pytest.approx(expected)
        assert f"{what} {Spread((expected,))}" in " ".join(printed.split())


@pytest.mark.long
def test_memory_is_that_of_a_trainer_part_by_part(tmp_path: Path) -> None:
    told = run_alone("memory", tmp_path, "--size", "mini", "--rounds", "1", "--steps", "1")
    after = told["results"]["mini"]["peak_mib_after"]
    assert list(after.values()) == sorted(after.values())
    assert told["results"]["mini"]["peak_mib"]["median"] == after["save"] > after["imports"]


@pytest.mark.long
def test_trainers_at_once_are_timed_beside_one_alone(tmp_path: Path) -> None:
    few = ("--rounds", "1", "--epochs", "1", "--threads", "1")
    results = run_alone("side_by_side", tmp_path, *few)["results"]
    alone, two = results["one alone"], results["two at once"]
    ratio = two["wall_s"]["median"] / alone["wall_s"]["median"]
    assert results["two at once / one alone"]["ratio"]["median"] == pytest.approx(ratio)
    assert two["processor_s"]["median"] > 1.2 * alone["processor_s"]["median"] > 0


@pytest.mark.long
def test_the_pipeline_is_timed_with_every_run_stored(tmp_path: Path) -> None:
    told = run_alone("pipeline", tmp_path, "--seeds", "1", "--rounds", "1")
    assert told["settings"]["runs"] == 27
    assert {"dvc repro, no-op", "netstab plan", "netstab collect"} < told["results"].keys()


def run_alone(name: str, folder: Path, *options: str) -> dict[str, Any]:
    target = folder / "result.json"
    command = [sys.executable, "-m", f"benchmarks.{name}", *options, "--json", str(target)]
    subprocess.run(command, cwd=ROOT, env=child_environment(ROOT / "src"), check=True)
    content: dict[str, Any] = json.loads(target.read_text())
    return content


@pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra: cluster")
def test_a_cluster_on_paper_is_faster_with_more_gpus_up_to_the_longest_run() -> None:
    from benchmarks import cluster, cluster_paper

    assert "paper_seeds" in inspect.signature(cluster.main).parameters
    paper = cluster_paper.on_paper(2)
    spans = [found.makespan for found in paper.forecasts]
    assert paper.runs == 2 * 27 and spans == sorted(spans, reverse=True)
    assert spans[0] > 10 * spans[-1] >= 10 * paper.forecasts[-1].path
