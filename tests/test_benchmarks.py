"""What benchmarks count, fit and add up; and each of them on a few steps."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.autograd import DeviceType
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode
from typer import Typer
from typer.testing import CliRunner

from benchmarks import (
    epoch,
    epoch_cases,
    epoch_report,
    growth,
    once,
    profiling,
    rates,
    script,
    sizes,
    study,
)
from benchmarks.common import Spread, Took, in_turn
from benchmarks.counted import Amount, Shape, epoch_bytes, epoch_flop, image_flop, outputs, weights
from benchmarks.growth_plan import against_seeds, against_variants
from benchmarks.kinds import TRUNK, Kinds, epochs
from benchmarks.laws import power_law
from netstab.params import PARTS
from netstab.study.plan import tree
from netstab.training.model import ResNet18, apply_modes
from tests import small

MINI = sizes.params("mini")
WHOLE = tree(MINI)
KINDS = Kinds(WHOLE)
SHAPE = Shape(width=8, image_size=16, channels=3, classes=10)


def once_each(values: dict[int, float]) -> dict[int, Spread]:
    return {x: Spread((y,)) for x, y in values.items()}


# Counting


@pytest.mark.parametrize("name", KINDS.phases)
def test_operations_of_a_step_are_those_that_torch_counts(name: str) -> None:
    model = ResNet18(SHAPE.width, SHAPE.channels, SHAPE.classes)
    apply_modes(model, KINDS.phases[name])
    images, labels = torch.zeros(2, 3, 16, 16), torch.zeros(2, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter:
        functional.cross_entropy(model(images), labels).backward()
    assert image_flop(KINDS.phases[name], SHAPE) == counter.get_total_flops() / 2


def test_an_epoch_leaves_its_incomplete_batch_out_and_evaluates_all() -> None:
    phase = KINDS.phases[TRUNK]
    assert epoch_flop(phase, SHAPE, Amount(training=70, validation=5, batch_size=32)) == (
        64 * image_flop(phase, SHAPE) + 5 * sum(SHAPE.forward.values())
    )


def test_weights_and_outputs_are_the_networks() -> None:
    model = ResNet18(SHAPE.width, SHAPE.channels, SHAPE.classes)
    seen = dict.fromkeys(PARTS, 0)
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            part = name.split(".", 1)[0]
            module.register_forward_hook(
                lambda _, __, out, part=part: seen.update({part: seen[part] + out.numel()})
            )
    model(torch.zeros(1, 3, 16, 16))
    assert outputs(SHAPE) == seen
    counts = {
        part: sum(p.numel() for p in model.get_submodule(part).parameters()) for part in PARTS
    }
    assert weights(SHAPE) == counts


def test_fewest_bytes_shrink_with_what_is_frozen_and_with_precision() -> None:
    amount = Amount(training=64, validation=0, batch_size=64)

    def moved(kind: str, precision: str = "fp32") -> float:
        return epoch_bytes(KINDS.phases[kind], SHAPE, amount, precision)

    assert moved("expE-head") < moved("expB-512") < moved("expB-64") < moved(TRUNK)
    values, counts = sum(outputs(SHAPE).values()), sum(weights(SHAPE).values())
    assert moved(TRUNK) == 64 * (4 * 5 * values + 3 * 16 * 16) + 4 * 4 * counts
    assert moved(TRUNK) - moved(TRUNK, "bf16") == 64 * 2 * 5 * values


def test_kinds_are_ways_of_freezing_not_rates() -> None:
    assert list(KINDS.frozen) == [
        *(f"expB-{block}" for block in MINI.blocks),
        *(f"strict-{block}" for block in MINI.blocks),
        "expE-head",
    ]
    assert KINDS.alike["expB-512"] == ["expB-512", "expC-512", "expD-512"]


def test_epochs_of_all_kinds_add_up_to_the_plans() -> None:
    shared, alone = epochs(WHOLE, KINDS)
    assert shared.total() == WHOLE.epochs
    assert alone.total() == WHOLE.epochs_apart


# Laws


def test_a_power_law_is_found_with_its_error() -> None:
    exact = power_law(once_each({x: 3.0 * x**1.5 for x in (16, 32, 64, 128)}))
    assert exact is not None
    assert exact.exponent == pytest.approx(1.5)
    assert exact.factor == pytest.approx(3.0)
    assert exact.exponent_se == pytest.approx(0.0, abs=1e-6)
    noisy = power_law({x: Spread((x * 1.1, x / 1.1)) for x in (1, 10, 100)})
    assert noisy is not None and noisy.exponent_se is not None
    assert noisy.exponent == pytest.approx(1.0)
    assert 0 < noisy.exponent_se < 0.1


def test_a_law_through_two_points_has_no_error_and_one_point_has_no_law() -> None:
    two = power_law(once_each({1: 1.0, 2: 4.0}))
    assert two is not None and two.exponent == pytest.approx(2.0)
    assert two.exponent_se is None
    assert power_law({1: Spread((1.0, 2.0))}) is None
    with pytest.raises(ValueError, match="positive"):
        power_law(once_each({1: 0.0, 2: 1.0}))


def test_epochs_grow_in_proportion_to_seeds_and_slower_with_variants_that_share() -> None:
    by_seeds = power_law(against_seeds("mini", [3, 30, 300])["epochs, shared pasts"])
    assert by_seeds is not None and by_seeds.exponent == pytest.approx(1.0)
    laws = [power_law(values) for values in against_variants("mini").values()]
    assert laws[0] is not None and laws[1] is not None
    assert laws[0].exponent < laws[1].exponent == pytest.approx(1.0)


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
    monkeypatch.delenv("CXX", raising=False)
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
