"""The engine computes what the naive trainer computes, and frozen parts stand still."""

import platform
from pathlib import Path
from typing import Any

import pytest
import torch

from netstab.data.batches import draw_epoch, training_batches
from netstab.errors import TrainingError
from netstab.networks.resnet import ResNet
from netstab.params import NETWORKS, PARTS, Params
from netstab.study.schedule import Frozen, Phase, Setting
from netstab.training import device, state, trajectory
from netstab.training.engine import Engine
from netstab.training.optimizer import apply_rates
from tests import small
from tests.checkout import python
from tests.reference import NaiveTrainer

PATTERNS = {
    "nothing frozen": (),
    "all but 64": ("layer2", "layer3", "layer4", "head"),
    "all but 128": ("stem", "layer1", "layer3", "layer4", "head"),
    "all but 256": ("stem", "layer1", "layer2", "layer4", "head"),
    "all but 512": ("stem", "layer1", "layer2", "layer3"),
    "all but the head": ("stem", "layer1", "layer2", "layer3", "layer4"),
    "everything": PARTS,
}
MODES = list(Frozen)
FREEZES = [
    (pattern, mode)
    for pattern, frozen in PATTERNS.items()
    for mode in (MODES if frozen else MODES[:1])  # what freezes nothing has no mode
]


FEW = (FREEZES[0], FREEZES[3], FREEZES[-3])
"""One that freezes nothing, and one of each mode."""


def phase(frozen: tuple[str, ...], mode: Frozen, *, start: int = 0, rate: float = 0.1) -> Phase:
    settings: tuple[Setting, ...] = tuple(mode if p in frozen else rate for p in PARTS)
    return Phase(start, start + 1, settings, batch_size=8)


def fresh(study: Params, *, double: bool = True) -> Engine:
    torch.set_num_threads(1)
    engine = small.engine(study, double=double)
    engine.start(5)
    return engine


@pytest.mark.parametrize(
    ("pattern", "mode"),
    # The golden values hold every pattern in each run of the tests.
    [pytest.param(*f, marks=() if f in FEW else pytest.mark.long) for f in FREEZES],
)
def test_engine_matches_the_naive_trainer_over_100_steps(pattern: str, mode: Frozen) -> None:
    study = small.params()
    assert_matches_the_naive_trainer(fresh(study), study, pattern, mode)


def test_the_fused_optimizer_of_a_gpu_matches_the_naive_trainer() -> None:
    study = small.params()
    engine = fresh(study)
    assert all(group["fused"] is None for group in engine.optimizer.param_groups)  # on a CPU
    for group in engine.optimizer.param_groups:
        group["fused"] = True
    assert_matches_the_naive_trainer(engine, study, "all but 256", Frozen.LIVE)


def assert_matches_the_naive_trainer(
    engine: Engine, study: Params, pattern: str, mode: Frozen
) -> None:
    # 34 steps an epoch: one of the trunk, then one frozen (the third thaws, with new momentum).
    naive = NaiveTrainer(ResNet(2, 3, small.CLASSES).double(), study.train)
    naive.model.load_state_dict(engine.model.state_dict())
    training = small.images(2, dtype=torch.float64, count=272)
    validation = small.images(0, dtype=torch.float64)
    phases = [
        phase((), mode),
        phase(PATTERNS[pattern], mode, start=1, rate=0.01),
        phase((), mode, start=2),
    ]
    for epoch, now in enumerate(phases):
        row = engine.epoch(now, training, validation, 9, epoch)
        draws = draw_epoch(272, 8, padding=2, flip=True, seed=9, epoch=epoch)
        steps = list(naive.steps(now, training, draws))
        assert row["train_loss"] == pytest.approx(sum(s[0] for s in steps) / 34, abs=1e-8, rel=1e-8)
        assert row["train_top1_pct"] == pytest.approx(100 * sum(s[1] for s in steps) / 272)
    expected = naive.model.state_dict()
    for name, tensor in engine.model.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-8, rtol=1e-8, msg=name)
    assert len(steps) * len(phases) >= 100


@pytest.mark.parametrize(
    ("name", "norm", "mode"),
    [
        ("resnet34", "batch", Frozen.EVAL),
        ("plain", "none", Frozen.LIVE),
        ("wide_resnet", "group", Frozen.LIVE),
        ("vit", "layer", Frozen.LIVE),
        ("networks.example:Net", "none", Frozen.LIVE),
    ],
)
def test_other_networks_are_trained_and_frozen_part_by_part_as_the_naive_trainer_does(
    name: str, norm: str, mode: Frozen
) -> None:
    parts = NETWORKS.get(name, ("first", "second", "third", "classifier"))
    model: dict[str, Any] = {"name": name, "norm": norm, "width": 4}
    if ":" in name:
        model |= {"width": None, "arguments": {"width": 4}}
    study = small.params(model=model, blocks={"all": list(parts)}, own={})
    engine = fresh(study)
    naive = NaiveTrainer(small.network(study, double=True).module, study.train)
    naive.model.load_state_dict(engine.model.state_dict())
    training, validation = (small.images(padding, dtype=torch.float64) for padding in (2, 0))
    half = len(parts) // 2
    settings: list[tuple[Setting, ...]] = [
        tuple(0.01 * (1 + place) for place in range(len(parts))),
        (*(mode,) * half, *(0.01,) * (len(parts) - half)),
    ]
    for epoch, values in enumerate(settings):
        now = Phase(epoch, epoch + 1, values, 8, parts)
        row = engine.epoch(now, training, validation, 9, epoch)
        draws = draw_epoch(len(training), 8, padding=2, flip=True, seed=9, epoch=epoch)
        losses = [loss for loss, _ in naive.steps(now, training, draws)]
        assert row["train_loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-8)
        assert [row[f"frozen_{part}"] for part in parts] == [
            int(isinstance(value, Frozen)) for value in values
        ]
    expected = naive.model.state_dict()
    for tensor_name, tensor in engine.model.state_dict().items():
        torch.testing.assert_close(tensor, expected[tensor_name], atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("first", range(small.CLASSES - 1))
def test_training_and_validation_count_equal_logits_alike(first: int) -> None:
    engine = fresh(small.params())
    linear = engine.model.head.linear
    with torch.no_grad():
        linear.weight.zero_()
        linear.bias.copy_(torch.arange(small.CLASSES) >= first)
    images = small.images(0, dtype=torch.float64)
    row = engine.epoch(phase(PARTS, Frozen.EVAL), images, images, 9, 0)
    share = float((images.labels == first).double().mean())
    assert row["train_top1_pct"] == pytest.approx(100 * share)
    assert row["val_top1_pct"] == pytest.approx(100 * share)


def test_a_large_batch_is_the_mean_of_its_pieces_gradients() -> None:
    study = small.params(train={"momentum": 0.0})
    engine = fresh(study)
    naive = ResNet(2, 3, small.CLASSES).double()
    naive.load_state_dict(engine.model.state_dict())
    training = small.images(2, dtype=torch.float64, count=56)
    large = Phase(0, 1, (0.1,) * 6, batch_size=24)
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    row = engine.epoch(large, training, training, 9, 0, count)
    draws = draw_epoch(56, 24, padding=2, flip=True, seed=9, epoch=0)
    losses = []
    for start in (0, 24):
        sums = [torch.zeros_like(w) for w in naive.parameters()]
        pieces = list(training_batches(training, draws, 8))[start // 8 : start // 8 + 3]
        for x, y in pieces:  # batch norm sees 8 images, as ever
            naive.zero_grad()
            loss = torch.nn.functional.cross_entropy(naive(x), y)
            loss.backward()
            losses.append(loss.item())
            for total, w in zip(sums, naive.parameters(), strict=True):
                total += w.grad / 3
        with torch.no_grad():
            for total, w in zip(sums, naive.parameters(), strict=True):
                w -= 0.1 * (total + study.train.weight_decay * w)
    assert steps == 2
    assert row["train_loss"] == pytest.approx(sum(losses) / 6, rel=1e-10)
    for name, w in naive.named_parameters():
        torch.testing.assert_close(engine.model.get_parameter(name), w, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("pattern", "mode"), FREEZES)
def test_frozen_parts_do_not_move_by_one_bit(pattern: str, mode: Frozen) -> None:
    study = small.params()
    engine = fresh(study, double=False)
    training = small.images(2)
    engine.epoch(phase((), mode), training, training, 0, 0)
    before = state.capture(engine)
    frozen = PATTERNS[pattern]
    engine.epoch(phase(frozen, mode, start=1), training, training, 0, 1)
    after = state.capture(engine)
    weights = [n for n, _ in engine.model.named_parameters()]
    for name in weights:
        part = name.split(".")[0]
        same = torch.equal(before[f"model.{name}"], after[f"model.{name}"])
        assert same == (part in frozen), name
        assert (f"momentum.{name}" in after) == (part not in frozen), name
    for name in (n for n in before if "running" in n):
        part = name.split(".")[1]
        still = torch.equal(before[name], after[name])
        assert still == (part in frozen and mode is Frozen.EVAL), name


def test_a_gradient_from_before_the_freeze_moves_nothing() -> None:
    engine = fresh(small.params(), double=False)
    x, y = torch.randn(4, 3, 16, 16), torch.tensor([0, 1, 2, 3])
    engine.enter(phase((), Frozen.LIVE))
    torch.nn.functional.cross_entropy(engine.model(x), y).backward()
    engine.optimizer.step()
    engine.enter(phase(PARTS, Frozen.LIVE, start=1))
    before = state.capture(engine)
    engine.optimizer.step()
    assert state.equal(before, state.capture(engine))


def test_a_thawed_part_starts_with_empty_momentum() -> None:
    engine = fresh(small.params(), double=False)
    training = small.images(2)
    engine.epoch(phase((), Frozen.LIVE), training, training, 0, 0)
    apply_rates(engine.optimizer, phase(("layer2",), Frozen.LIVE, start=1))
    assert not any(n.startswith("momentum.layer2") for n in state.capture(engine))
    assert any(n.startswith("momentum.layer1") for n in state.capture(engine))


def one_step(engine: Engine, now: Phase, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    images = small.images(2, dtype=dtype, count=48)
    draws = draw_epoch(len(images), 16, padding=2, flip=True, seed=1, epoch=0)
    loss, _ = engine.enter(now)(*next(training_batches(images, draws, 16)))
    if now.trained:
        loss.backward()
    grads = {n: p.grad.double() for n, p in engine.model.named_parameters() if p.grad is not None}
    return {"loss": loss.detach().double(), **grads}


@pytest.mark.parametrize(("pattern", "mode"), FREEZES)
def test_fp32_matches_float64_over_one_step(pattern: str, mode: Frozen) -> None:
    now = phase(PATTERNS[pattern], mode)
    exact = one_step(fresh(small.params()), now, torch.float64)
    found = one_step(fresh(small.params(), double=False), now, torch.float32)
    assert found.keys() == exact.keys()
    for name, value in exact.items():
        scale = value.norm() + (1.0 if name == "loss" else 1e-3)
        assert (found[name] - value).norm() < 1e-5 * scale, name


@pytest.mark.parametrize(("pattern", "mode"), FREEZES)
def test_bf16_is_as_near_to_float64_as_a_plain_loop_in_bf16(pattern: str, mode: Frozen) -> None:
    # How far rounding to 8 bits grows through twenty layers depends on the network; the plain
    # loop, with the usual memory layout, says how far.
    now = phase(PATTERNS[pattern], mode)
    wide = {"width": 16}
    exact = one_step(fresh(small.params(model=wide)), now, torch.float64)
    study = small.params(train={"precision": "bf16"}, model=wide)
    found = one_step(fresh(study, double=False), now, torch.float32)
    plain = fresh(study, double=False)
    plain.model.to(memory_format=torch.contiguous_format)
    expected = one_step(plain, now, torch.float32)
    assert found.keys() == exact.keys()
    assert abs(found["loss"] - exact["loss"]) < 0.02
    for name, value in exact.items():
        rounding = (expected[name] - value).norm()
        assert (found[name] - value).norm() < 2 * rounding + 0.02 * value.norm() + 0.02, name
        if name != "loss" and value.norm() > 1e-6:
            cosine = torch.nn.functional.cosine_similarity(found[name].ravel(), value.ravel(), 0)
            assert cosine > 0.8, name


def test_a_loss_that_is_not_finite_names_epoch_and_step() -> None:
    study = small.params(train={"learning_rate": 1e30})
    engine = fresh(study, double=False)
    training = small.images(2)
    hot = Phase(0, 1, (1e30,) * 6, batch_size=8)
    with pytest.raises(TrainingError, match=r"not finite at epoch 4, step \d+; lower train"):
        engine.epoch(hot, training, training, 0, 4)


def test_a_run_that_diverges_stops_and_its_last_good_state_stays(tmp_path: Path) -> None:
    study = small.params(own={"hot": {b: {"60": 1e30} for b in small.SHIPPED["blocks"]}})
    ledger = small.ledger(study, tmp_path)
    run = small.run(study, "own-hot")
    with pytest.raises(TrainingError, match=r"own-hot-0: the training loss is not finite"):
        trajectory.train(ledger, run, small.context(study), small.silent)
    assert ledger.resume(run).epoch == 3
    assert ledger.finished(run) is None


@pytest.mark.skipif(platform.machine() != "x86_64", reason="instruction sets of x86")
def test_provenance_names_the_instruction_sets_that_trained() -> None:
    code = (
        "import os, torch\n"
        "from netstab.training.device import hardware, onednn_isa\n"
        "print('earlier', flush=False)\n"
        "found = hardware(torch.device('cpu'), 1)\n"
        "print(found.cpu_capability, found.onednn_isa, sep='|', flush=True)\n"
        "os.close(1)\n"
        "onednn_isa.cache_clear()\n"
        "assert onednn_isa() == '', 'without a standard output it is not known'\n"
    )
    limits = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}
    assert python("-c", code, **limits).stdout.splitlines() == ["earlier", "DEFAULT|Intel SSE4.1"]
    here = device.hardware(torch.device("cpu"), 1)
    assert here.cpu_capability == torch.backends.cpu.get_cpu_capability()


@pytest.mark.parametrize("tf32", [True, False])
def test_compilers_that_read_the_old_setting_of_tf32_are_told_the_same(tf32: bool) -> None:
    study = small.params(train={"tf32": tf32})
    device.configure(study.train, study.runtime)
    # Reading either raises where the settings contradict each other.
    assert torch.get_float32_matmul_precision() == ("high" if tf32 else "highest")
    assert torch.backends.cuda.matmul.allow_tf32 == tf32
    assert torch.backends.cudnn.conv.fp32_precision == ("tf32" if tf32 else "ieee")  # type: ignore[attr-defined]
    assert torch.backends.mkldnn.matmul.fp32_precision == "ieee"  # type: ignore[attr-defined]


COMPILER = """
import sys
from pathlib import Path
from netstab.training import device, trajectory
from tests import small, test_measuring
study = test_measuring.study()
device.configure(study.train, study.runtime)
context = small.context(study)
ledger = small.ledger(study, Path(sys.argv[1]))
run = small.run(study, "baseline")
trajectory.train(ledger, run, context, small.silent, small.observing(ledger, context))
assert ledger.is_measured(run)
print(sorted({"torch._dynamo", "torch._inductor"} & set(sys.modules)))
"""


def test_a_process_that_trains_and_measures_does_not_import_a_compiler(tmp_path: Path) -> None:
    done = python("-c", COMPILER, str(tmp_path / "store"), cwd=small.ROOT)
    assert done.stdout == "[]\n"
