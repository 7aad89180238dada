"""What benchmarks time and add up; and each of them on a few steps."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch.autograd import DeviceType
from typer import Typer
from typer.testing import CliRunner

from benchmarks import (
    epoch,
    epoch_cases,
    epoch_report,
    growth,
    ideas,
    once,
    profiling,
    rates,
    script,
    sizes,
    study,
)
from benchmarks.common import Spread, Took, in_turn
from benchmarks.counted import Amount
from benchmarks.kinds import TRUNK, Kinds
from netstab.study.plan import tree
from tests import small

MINI = sizes.params("mini")
WHOLE = tree(MINI)
KINDS = Kinds(WHOLE)


# Timing


def test_a_case_that_times_itself_is_believed() -> None:
    assert in_turn({"told": lambda: Took(7.0)}, 2)["told"].values == (7.0, 7.0)


def test_rates_are_amounts_over_time() -> None:
    rate = rates.matrix_product(small.CPU, "fp32")
    assert rate.amount == 2 * rates.MATRIX["cpu"] ** 3
    assert rates.Rate(rate.case, 10.0).of(Spread((2.0, 5.0))).values == (5.0, 2.0)


def test_a_part_of_an_epoch_is_scaled_up_but_for_what_is_paid_once() -> None:
    part = Spread((3.0, 5.0))
    assert study.whole_epoch(part, 0.5, None).values == (6.0, 10.0)
    assert study.whole_epoch(part, 0.5, Spread((1.0, 3.0))).values == (5.0, 7.0)
    assert study.whole_epoch(part, 1.0, Spread((1.0, 3.0))).values == part.values


def test_compilation_is_tried_only_where_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    for name in ("CC", "CXX"):
        monkeypatch.delenv(name, raising=False)
    assert not once.can_compile("cuda")
    assert not once.can_compile("cpu")
    monkeypatch.setenv("CC", sys.executable)
    assert once.can_compile("cuda")
    assert not once.can_compile("cpu")


def test_hours_of_a_study_are_epochs_processes_and_states() -> None:
    names = [f"{what}: {kind}" for what in (study.OURS, study.PLAIN) for kind in KINDS.phases]
    measured = dict.fromkeys([*names, once.TRAINS, once.SAVE], Spread((3600.0,)))
    total = study.Sum(MINI, WHOLE, KINDS, measured)
    ours, by_run, theirs = (spread.median for spread in total.all_hours.values())
    assert ours == WHOLE.epochs + total.runs + total.states
    assert by_run == WHOLE.epochs_apart + 2 * total.runs
    assert theirs == WHOLE.epochs_apart + total.runs


def test_kernels_alone_are_counted_on_a_gpu_and_operators_on_a_cpu() -> None:
    def average(key: str, where: DeviceType, cpu_us: float, device_us: float) -> SimpleNamespace:
        return SimpleNamespace(
            key=key,
            count=2,
            device_type=where,
            self_cpu_time_total=cpu_us,
            self_device_time_total=device_us,
        )

    averages = [
        average("aten::conv2d", DeviceType.CPU, 500.0, 3000.0),
        average("small_kernel", DeviceType.CUDA, 0.0, 1000.0),
        average("conv_kernel", DeviceType.CUDA, 0.0, 3000.0),
    ]
    kernels = profiling.costliest(averages, "cuda")
    assert [cost.name for cost in kernels] == ["conv_kernel", "small_kernel"]
    assert [cost.share for cost in kernels] == [0.75, 0.25]
    assert [cost.total_ms for cost in profiling.costliest(averages, "cpu")] == [0.5]


# A script from elsewhere

SCRIPT = """
import os, pathlib, signal, sys
pathlib.Path("pid").write_text(str(os.getpid()))
for epoch in range(3):
    print("Epoch", epoch, "of batches of", sys.argv[1])
    sys.stdout.write("\\r 10 % \\r 100 %\\n")
signal.pause()
"""


def test_a_script_is_timed_by_what_it_prints_and_stopped(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(SCRIPT)
    theirs = script.Script(tmp_path, "python main.py {batch_size} {x}", "^Epoch", 100)
    filled = theirs.filled(batch_size=64)
    assert filled.command == "python main.py 64 {x}"
    assert filled.epoch().seconds > 0
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_scripts_epoch_is_scaled_to_as_many_images() -> None:
    course = SimpleNamespace(amount=Amount(training=500, validation=0, batch_size=50))
    cases = {
        name: epoch_cases.Case(lambda: None, KINDS.phases[TRUNK], "fp32", images)
        for name, images in (("script", 50_000), ("netstab fp32", None))
    }
    measured = dict.fromkeys(cases, Spread((200.0,)))
    outcome = epoch_report.Outcome(course, cases, {}, measured, {}, None)  # type: ignore[arg-type]
    assert outcome.seconds("script").values == (2.0,)
    assert outcome.seconds("netstab fp32").values == (200.0,)


def test_a_script_that_says_nothing_is_refused_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("print('no data here')")
    with pytest.raises(SystemExit, match=r"(?s)0 of 3 lines.*no data here"):
        script.Script(tmp_path, "python main.py", "^Epoch", 100).epoch()


# Each on a few steps


@pytest.fixture
def tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs a benchmark on little; returns what it prints, and its JSON."""
    monkeypatch.setattr(once, "starts", lambda: {once.TRAINS: lambda: Took(1.0)})
    monkeypatch.setitem(rates.MATRIX, "cpu", 64)
    monkeypatch.setitem(rates.COPIED_MIB, "cpu", 1)

    def run(main: Callable[..., None], *options: str) -> tuple[str, dict[str, Any]]:
        app, target = Typer(), tmp_path / "result.json"
        app.command()(main)
        usual = ["--size", "demo", "--rounds", "1", "--threads", "1", "--json", str(target)]
        monkeypatch.setattr(sys, "argv", ["benchmark", *usual, *options])
        done = CliRunner().invoke(app, [*usual, *options], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output, json.loads(target.read_text())

    return run


LITTLE = ("--steps", "1", "--workers", "0")


def test_epoch_tells_speed_shares_ratios_and_costs(
    tried: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "main.py").write_text(SCRIPT)
    theirs = ("--script", str(tmp_path), "--script-command", "python main.py {batch_size}")
    theirs += ("--script-images", "640")
    folder = tmp_path / "profile"
    _, told = tried(epoch.main, *LITTLE, "--compile", "0", *theirs, "--profile", str(folder))
    results = told["results"]
    assert {"netstab fp32", "plain loop", "script", "expB-64", "strict-512"} <= results.keys()
    trunk = results["netstab fp32"]
    assert {"tflop_per_s", "images_per_s", "of_fp32_matrix_rate"} <= trunk.keys()
    assert "computed_fewest_bytes_of_copy_rate" in trunk
    assert results["expB-64"]["this_per_netstab_fp32"]["n"] == 1
    assert results["script"]["epoch_s"]["median"] > 0
    assert results["save a state"]["s"]["median"] > 0
    assert (folder / profiling.TRACE).stat().st_size > 0
    assert len(results["profile"]["costliest"]) == profiling.COSTLIEST
    assert any("Compilation was not timed" in note for note in told["notes"])


@pytest.mark.slow
def test_study_says_what_is_measured_and_what_is_computed(tried: Callable[..., Any]) -> None:
    printed, told = tried(study.main, *LITTLE)
    assert "computed:" in printed
    assert told["results"]["epochs_alone_per_shared"] > 1
    assert set(told["results"]["computed_hours"]) == {
        "netstab, shared pasts",
        "netstab, each run alone",
        "plain loop, each run alone",
    }


def test_growth_says_what_was_not_tried(tried: Callable[..., Any]) -> None:
    printed, told = tried(growth.main, "--widths", "", "--images", "", "--seeds", "")
    assert "Not tried: the pipeline with 3, 30, 300 seeds" in " ".join(printed.split())
    assert told["results"]["seeds, counted from the plan"]["epochs, shared pasts"]["law"]


def test_ideas_are_told_beside_a_step_of_their_own_process(
    tried: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter((2.0, 1.0))
    monkeypatch.setattr(ideas, "BATCHES", (32,))
    monkeypatch.setattr(ideas, "ENVIRONMENTS", {ideas.ALONE: {}, "other memory": {}})
    monkeypatch.setattr(
        ideas, "measured_child", lambda *_: (0.0, json.dumps({"step_s": next(seconds)}))
    )
    _, told = tried(ideas.main, "--steps", "1")
    results = told["results"]
    assert {"batches of 32", "two seeds stacked in one network", "of it: SGD, fused"} < set(results)
    assert all(result["s"]["median"] > 0 for result in results.values())
    assert results["other memory"]["of_a_step"]["median"] == 0.5
    assert results[ideas.AS_IT_IS]["of_a_step"]["median"] == 1
