"""On CUDA as on the CPU: `pytest -m gpu` on a machine with a GPU; the CPU rows run everywhere."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from netstab.data.batches import Images, draw_epoch, to_device, training_batches
from netstab.measure import sharpness
from netstab.measure.probe import probe
from netstab.measure.stability import compare, signals
from netstab.networks.layers import initialise
from netstab.networks.resnet import ResNet
from netstab.params import Params
from netstab.study.experiments import runs
from netstab.study.measuring import boundaries
from netstab.study.schedule import Frozen, Phase
from netstab.training import device, state, trajectory
from netstab.training.context import Built, EngineContext
from netstab.training.engine import Engine
from tests import small
from tests.reference import NaiveTrainer
from tests.test_engine import PATTERNS, phase
from tests.test_measuring import SHARPNESS

DEVICES = [
    pytest.param("cpu", marks=pytest.mark.long),
    pytest.param("cuda", marks=pytest.mark.gpu),
]
# tests/test_engine.py has the CPU's patterns; one here shows that these tests hold water.
CASES = [("cpu", "all but 256")]
CASES += [pytest.param("cuda", pattern, marks=pytest.mark.gpu) for pattern in PATTERNS]  # type: ignore[misc]
COMPILED = pytest.param("cuda", marks=pytest.mark.gpu)
KINDS = ("baseline", "outpost", "expB-64", "expB-512", "expE-batch")


def study(**changes: Any) -> Params:
    train = {"deterministic": True, "tf32": False, **changes.pop("train", {})}
    return small.params(train=train, **changes)


def engine(params: Params, where: str, *, double: bool = False, compiled: bool = False) -> Engine:
    device.configure(params.train, params.runtime)
    made = Engine(
        small.network(params, double=double), params.train, torch.device(where), compiled=compiled
    )
    made.start(5)
    return made


def images(where: str, padding: int, dtype: torch.dtype = torch.float32) -> Images:
    on_cpu = small.images(padding, dtype=dtype, count=80)
    inner = slice(padding, padding + small.SIZE)
    return to_device(
        on_cpu.pixels[:, inner, inner],
        on_cpu.labels,
        mean=on_cpu.mean.tolist(),
        std=on_cpu.std.tolist(),
        padding=padding,
        device=torch.device(where),
        dtype=dtype,
    )


def context(params: Params, where: str, compiled: bool = False) -> EngineContext:
    """Engine and images for the study."""

    def build() -> Built:
        hardware = device.hardware(torch.device(where), 1)
        made = engine(params, where, compiled=compiled)
        return Built(made, images(where, 2), images(where, 0), hardware)

    return EngineContext(build)


@pytest.fixture(autouse=True)
def _usual_settings() -> Any:
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(1)


@pytest.mark.parametrize(("where", "pattern"), CASES)
@pytest.mark.parametrize("mode", list(Frozen))
def test_engine_matches_the_naive_cpu_trainer(where: str, pattern: str, mode: Frozen) -> None:
    params = study()
    fast = engine(params, where, double=True)
    naive = NaiveTrainer(ResNet(2, 3, small.CLASSES).double(), params.train)
    initialise(naive.model, 5)
    training, on_cpu = images(where, 2, torch.float64), images("cpu", 2, torch.float64)
    for epoch, frozen in enumerate(((), PATTERNS[pattern])):
        now = phase(frozen, mode, start=epoch)
        row = fast.epoch(now, training, images(where, 0, torch.float64), 9, epoch)
        draws = draw_epoch(80, 8, padding=2, flip=True, seed=9, epoch=epoch)
        losses = [loss for loss, _ in naive.steps(now, on_cpu, draws)]
        assert row["train_loss"] == pytest.approx(sum(losses) / 10, rel=1e-8, abs=1e-8)
    expected = naive.model.state_dict()
    for name, tensor in fast.model.state_dict().items():
        torch.testing.assert_close(tensor.cpu(), expected[name], rtol=1e-8, atol=1e-8, msg=name)


RUNS = 4
"""Of a graph: torch warms up, records, and replays twice."""


@pytest.mark.parametrize("where", [COMPILED])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("mode", list(Frozen))
@pytest.mark.parametrize("pattern", PATTERNS)
def test_compiled_matches_eager(where: str, precision: str, mode: Frozen, pattern: str) -> None:
    params = study(train={"precision": precision}, model={"width": 16})
    now = phase(PATTERNS[pattern], mode)
    found, expected = (
        passes(engine(params, where, compiled=compiled), where, now) for compiled in (True, False)
    )
    double = engine(study(model={"width": 16}), where, double=True)
    exact = passes(double, where, now, torch.float64)
    # Compiled code rounds at other places than eager code, in bf16 at fewer: how much that makes
    # after twenty layers depends on the network, and eager code's distance from float64 says it.
    share = 1e-4 if precision == "fp32" else 0.02
    for one, eager, of_double in zip(found, expected, exact, strict=True):
        assert one.keys() == eager.keys() == of_double.keys()
        for name, value in of_double.items():
            scale = value.norm() + (1.0 if name == "loss" else 1e-2)
            rounding = (eager[name] - value).norm()
            # Eager code in bf16 is up to half a gradient off; one of zeros would be a whole one.
            allowed = min(2 * rounding + share * scale, 0.8 * scale)
            assert (one[name] - value).norm() < allowed, name


def passes(
    made: Engine, where: str, now: Phase, dtype: torch.dtype = torch.float32
) -> list[dict[str, torch.Tensor]]:
    """Loss, gradients and running statistics of some batches, with the same weights."""
    found = []
    draws = draw_epoch(80, 16, padding=2, flip=True, seed=1, epoch=0)
    batches = list(training_batches(images(where, 2, dtype), draws, 16))
    forward = made.enter(now)
    for x, y in batches[:RUNS]:
        made.model.zero_grad(set_to_none=True)
        loss, _ = forward(x, y)
        if now.trained:
            loss.backward()
        tensors = {n: p.grad for n, p in made.model.named_parameters() if p.grad is not None}
        tensors |= {"loss": loss.detach(), **dict(made.model.named_buffers())}
        found.append({name: tensor.double().cpu() for name, tensor in tensors.items()})
    return found


@pytest.mark.parametrize("where", [COMPILED])
@pytest.mark.parametrize("mode", list(Frozen))
@pytest.mark.parametrize("pattern", PATTERNS)
def test_compiled_epochs_match_eager_in_float64(where: str, mode: Frozen, pattern: str) -> None:
    # Ten steps an epoch; the third epoch has another rate, and the last comes back to a graph.
    ends = []
    for compiled in (False, True):
        made = engine(study(model={"width": 4}), where, double=True, compiled=compiled)
        rows, seen = [], []
        for epoch, frozen in enumerate(((), PATTERNS[pattern], PATTERNS[pattern], ())):
            now = phase(frozen, mode, start=epoch, rate=0.1 / (epoch + 1))
            told = partial(_norm, made, seen)
            rows.append(made.epoch(now, *on(where, torch.float64), 9, epoch, told))
        ends.append((rows, state.capture(made), torch.stack(seen).cpu()))
    (rows, expected, norms), (found_rows, found, found_norms) = ends
    for row, expected_row in zip(found_rows, rows, strict=True):
        assert row == pytest.approx(expected_row, rel=1e-8)
    torch.testing.assert_close(found_norms, norms, rtol=1e-8, atol=1e-8)
    assert_close(found, expected)


def on(where: str, dtype: torch.dtype) -> tuple[Images, Images]:
    """Training and validation images."""
    return images(where, 2, dtype), images(where, 0, dtype)


def assert_close(found: state.Tensors, expected: state.Tensors) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-8, atol=1e-8, msg=name)


def _norm(made: Engine, seen: list[torch.Tensor]) -> None:
    weights = [w.detach() for w in made.model.parameters()]
    seen.append(torch.stack(torch._foreach_norm(weights)))


@pytest.mark.parametrize("where", [COMPILED])
@pytest.mark.parametrize("batch_size", [8, 16, 24])
def test_compiled_batches_in_pieces_and_restored_states(where: str, batch_size: int) -> None:
    params = study(model={"width": 4})
    now = Phase(0, 9, (0.1,) * 6, batch_size)
    ends = []
    for compiled in (False, True):
        made = engine(params, where, double=True, compiled=compiled)
        for epoch in range(6):
            if epoch == 2:
                before = state.capture(made)
            if epoch == 4:
                state.restore(made, before)
            made.epoch(now, *on(where, torch.float64), 9, epoch)
        ends.append(state.capture(made))
    assert_close(ends[1], ends[0])


@pytest.mark.parametrize(
    ("where", "precision", "compiled"),
    [
        # tests/test_same_bits.py has the CPU's precisions.
        pytest.param("cpu", "fp32", False, marks=pytest.mark.long),
        *(
            pytest.param("cuda", precision, compiled, marks=pytest.mark.gpu)
            for precision in ("fp32", "bf16")
            for compiled in (False, True)
        ),
    ],
)
def test_resumed_runs_come_to_the_same_bits(
    where: str, precision: str, compiled: bool, tmp_path: Path
) -> None:
    params = study(train={"precision": precision}, experiments=["expB"], model={"width": 4})
    # Of a CPU tests/test_same_bits.py has more kinds.
    names = ("baseline", "expB-512") if where == "cpu" else KINDS
    chosen = [small.run(params, name) for name in names]
    assert set(chosen) <= set(runs(params))
    shared = small.ledger(params, tmp_path / "shared")
    for run in chosen:
        # A new engine for each run: what is shared goes through the store.
        trajectory.train(shared, run, context(params, where, compiled), small.silent)
        alone = small.ledger(params, tmp_path / run.name)
        expected = trajectory.train(alone, run, context(params, where, compiled), small.silent)
        record = shared.finished(run)
        assert record is not None and record.history == expected.history
        ours, theirs = small.tensors(shared, record), small.tensors(alone, expected)
        assert state.equal(ours, theirs), run.name


@pytest.mark.parametrize("where", DEVICES)
def test_measuring_leaves_the_bits_of_a_run_alone(where: str, tmp_path: Path) -> None:
    few = {"stability": {"every_epochs": 20, "images": 12}, "sharpness": SHARPNESS}
    params = study(experiments=["expB"], measure=few)
    run = small.run(params, "expB-128")
    records = {}
    for name in ("measured", "unmeasured"):
        ledger = small.ledger(params, tmp_path / name)
        made = context(params, where)
        observer = small.observing(ledger, made) if name == "measured" else None
        record = trajectory.train(ledger, run, made, small.silent, observer)
        found = len(ledger.measurements.listing())
        records[name] = record.history, small.tensors(ledger, record), found
    measured, unmeasured = records.values()
    assert measured[0] == unmeasured[0]
    assert state.equal(measured[1], unmeasured[1])
    assert measured[2] > 10 and unmeasured[2] == 0


@pytest.mark.parametrize("where", [COMPILED])
def test_measures_come_to_the_cpus_numbers(where: str) -> None:
    params = study(model={"width": 4})
    settings = params.measure.sharpness.model_copy(update={"tolerance": 1e-6})
    found = {}
    for place in ("cpu", where):
        model = engine(params, place, double=True).model
        x, y = probe(images(place, 0, torch.float64), 24, "stability")
        names = [name for name, _ in model.named_parameters()]
        (curve,) = sharpness.measure(
            model, sharpness.Subset(x, y), {"network": names}, settings, seed=0
        )
        before = signals(model, boundaries(params), x, y)
        with torch.no_grad():
            model.layer2[0].conv1.weight.mul_(1.1)
        rows = compare(before, signals(model, boundaries(params), x, y), "step", None)
        found[place] = curve, rows
    (on_cpu, drift), (curve, rows) = found.values()
    assert curve.eigenvalue == pytest.approx(on_cpu.eigenvalue, rel=1e-6)
    assert curve.trace == pytest.approx(on_cpu.trace, rel=1e-6)
    assert curve.adaptive_eigenvalue == pytest.approx(on_cpu.adaptive_eigenvalue, rel=1e-6)
    for row, expected in zip(rows, drift, strict=True):
        numbers = {name: value for name, value in row.items() if isinstance(value, float)}
        assert numbers == pytest.approx({n: expected[n] for n in numbers}, rel=1e-6, abs=1e-9)
