"""What everything rests on: cut, shared or killed, a run comes to the same bits."""

import itertools
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from netstab.params import PARTS, Params
from netstab.store.ledger import Ledger
from netstab.store.records import Record
from netstab.study.experiments import Run, runs, variants
from netstab.training import state, trajectory
from netstab.training.context import EngineContext
from tests import forks, small

KINDS = (
    *("baseline", "outpost", "expA-128", "expB-64", "expC-256", "expD-512"),
    *("own-cycles", "own-thaw"),
)
THAW = {
    "cycles": {
        "network": {"40": {"shape": "warm_restarts", "to": 0.001, "cycles": 2, "until": 140}},
        "128": {"60": {"shape": "exponential", "to": 0.01}},
    },
    "thaw": {
        "128": {"60": "frozen", "120": 0.05},
        "512": {"60": 0.01, "100": "frozen", "140": 0.1},
    },
}


UNFROZEN = ("baseline", "outpost", "expA-128", "own-cycles")
CUT_OFTEN = (
    ("outpost", "live"),
    ("own-cycles", "live"),
    ("own-thaw", "live"),
    ("expC-256", "eval"),
)
"""Those that each run of the tests cuts; the others are long."""


def study(mode: str = "live", **changes: object) -> Params:
    return small.params(freeze={"batch_norm": mode}, own=THAW, **changes)


def train(ledger: Ledger, run: Run) -> Record:
    context = small.context(ledger.params)
    return trajectory.train(ledger, run, context, small.silent)


def assert_same(ledger: Ledger, record: Record, other: Ledger, expected: Record) -> None:
    """Weights, buffers and momentum to the bit, history to the last digit."""
    assert record.key == expected.key
    assert record.history == expected.history
    ours = small.tensors(ledger, record)
    assert state.equal(ours, small.tensors(other, expected))
    momentum = [name for name in ours if name.startswith("momentum.")]
    assert momentum, "a state without momentum would not tell"


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        pytest.param(
            kind,
            mode,
            marks=() if (kind, mode) in CUT_OFTEN else pytest.mark.long,
            id=f"{kind}-{mode}",
        )
        for mode in ("live", "eval")
        for kind in KINDS
        # What freezes nothing has no mode.
        if mode == "live" or kind not in UNFROZEN
    ],
)
def test_a_run_cut_at_every_epoch_is_the_run_without_a_stop(
    kind: str, mode: str, tmp_path: Path
) -> None:
    whole = small.ledger(study(mode), tmp_path / "whole")
    run = small.run(whole.params, kind)
    expected = train(whole, run)
    # Saved after each epoch, and a new process' worth of engine for each one.
    cut = small.ledger(study(mode, runtime={"save_interval_s": 1e-9}), tmp_path / "cut")
    while (record := cut.finished(run)) is None:
        with pytest.raises(_CutError):
            trajectory.train(cut, run, _of_one_epoch(cut.params), small.silent)
        if cut.resume(run).epoch == cut.schedule(run).epochs - 1:
            record = train(cut, run)
            break
    assert_same(cut, record, whole, expected)
    assert len(record.provenance) > 5, "it was cut"


class Drawing(nn.Module):
    """Draws in its forward pass, and has batch norm whose statistics depend on that."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, 4, 3, padding=1),
            nn.Dropout2d(0.3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Dropout(0.5),
        )
        self.tail = nn.Linear(4, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.tail(self.body(x).mean((2, 3)))
        return logits


def test_a_network_with_dropout_comes_to_the_same_bits_cut_or_not_and_so_do_its_views(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("networks.example.made", Drawing, raising=False)
    model = {"name": "networks.example:made", "width": None, "arguments": {}}
    changes = {"model": model, "blocks": {"one": ["body"], "two": ["tail"]}, "own": {}}

    def trained(name: str, **runtime: float) -> Ledger:
        ledger = small.ledger(small.params(**changes, runtime=runtime), tmp_path / name)
        run = small.run(ledger.params, "baseline")
        context = _of_one_epoch if runtime else small.context
        while ledger.finished(run) is None:
            torch.seed()  # as every process begins: anywhere
            with suppress(_CutError):
                trajectory.train(ledger, run, context(ledger.params), small.silent)
        return ledger

    whole, cut = trained("whole"), trained("cut", save_interval_s=1e-9)
    ends: dict[str, list[Record]] = {}
    for name in ("baseline", "expE-ema", "expE-bnrecal"):
        found = [ledger.finished(small.run(ledger.params, name)) for ledger in (cut, whole)]
        ends[name] = [record for record in found if record]
        ours, expected = ends[name]
        assert ours.history == expected.history, name
    ours, expected = ends["baseline"]
    assert_same(cut, ours, whole, expected)


def test_each_epoch_is_trained_at_the_rate_of_its_shape(tmp_path: Path) -> None:
    ledger = small.ledger(study(), tmp_path)
    run = small.run(ledger.params, "own-cycles")
    rows = train(ledger, run).history
    plan = ledger.schedule(run)
    assert len(plan.phases) == 8  # as many as epochs, but for the first three
    for part in PARTS:
        wanted = [plan.at(epoch).setting(part) for epoch in range(plan.epochs)]
        assert [row[f"lr_{part}"] for row in rows] == wanted


class _CutError(Exception):
    pass


def _of_one_epoch(params: Params) -> EngineContext:
    """An engine that stops at the second epoch that it is to train: the first is saved by then."""
    context = small.context(params)
    engine = context.built.engine
    epoch, begun = engine.epoch, itertools.count()

    def first(*arguments: Any) -> Any:
        if next(begun):
            raise _CutError
        return epoch(*arguments)

    engine.epoch = first  # type: ignore[method-assign]
    return context


@pytest.mark.parametrize(
    ("mode", "precision"), [("live", "fp32"), pytest.param("eval", "bf16", marks=pytest.mark.long)]
)
def test_runs_that_share_their_past_are_the_runs_alone(
    mode: str, precision: str, tmp_path: Path
) -> None:
    # Two blocks for four: half the tree, with every kind of run in it.
    blocks = {"128": ("stem", "layer1", "layer2"), "512": ("layer3", "layer4", "head")}
    params = study(mode, train={"precision": precision}).model_copy(update={"blocks": blocks})
    together = small.ledger(params, tmp_path / "together")
    epochs = 0

    def count(*_: object) -> None:
        nonlocal epochs
        epochs += 1

    context = small.context(together.params)
    for run in runs(together.params):
        trajectory.train(together, run, context, count)
    assert epochs == together.tree.epochs < together.tree.epochs_apart
    kinds = {variant.experiment: variant.name for variant in variants(params)}
    assert kinds.keys() == {kind.split("-")[0] for kind in KINDS} | {"strict", "expE"}
    for kind in kinds.values():
        run = small.run(together.params, kind)
        alone = small.ledger(params, tmp_path / kind)
        expected = train(alone, run)
        record = together.finished(run)
        assert record is not None
        assert_same(together, record, alone, expected)


def test_a_longer_run_continues_from_the_end_of_the_shorter(tmp_path: Path) -> None:
    short = small.ledger(study(), tmp_path / "one")
    run = small.run(short.params, "expB-64")
    train(short, run)
    longer = small.ledger(study(train={"epochs": 300}), tmp_path / "one")
    assert longer.resume(run).epoch == 10
    record = train(longer, run)
    alone = small.ledger(study(train={"epochs": 300}), tmp_path / "two")
    assert_same(longer, record, alone, train(alone, run))
    assert record.epoch == 15


def test_a_moved_freeze_shares_the_past_up_to_it(tmp_path: Path) -> None:
    ledger = small.ledger(study(), tmp_path / "one")
    train(ledger, small.run(ledger.params, "baseline"))
    moved = small.ledger(study(expB={"freeze_epoch": 120}), tmp_path / "one")
    run = small.run(moved.params, "expB-64")
    assert moved.resume(run).epoch == 6
    alone = small.ledger(study(expB={"freeze_epoch": 120}), tmp_path / "two")
    assert_same(moved, train(moved, run), alone, train(alone, run))


KILLED = """
import os, signal, sys, threading
from pathlib import Path
sys.path[:0] = [{root!r}, {src!r}]
from netstab.training import engine, trajectory
from tests import small, test_same_bits

study = test_same_bits.study({mode!r}, runtime={{"save_interval_s": 1e-9}})
ledger = small.ledger(study, Path({store!r}))
batches, seen = engine.training_batches, 0

def counting(*args):
    # In the middle of an epoch: after the second of its three batches.
    global seen
    for number, batch in enumerate(batches(*args)):
        seen += 1
        if seen == {steps}:
            os.kill(os.getpid(), signal.SIGKILL)
        yield batch

engine.training_batches = counting
run = small.run(study, {kind!r})
trajectory.train(ledger, run, small.context(study), small.silent)
"""


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("expB-64", "eval"),
        pytest.param("baseline", "live", marks=pytest.mark.long),
        pytest.param("expA-128", "live", marks=pytest.mark.long),
        pytest.param("expC-256", "live", marks=pytest.mark.long),
        pytest.param("own-thaw", "eval", marks=pytest.mark.long),
    ],
)
def test_a_run_killed_in_mid_epoch_goes_on_to_the_same_bits(
    kind: str, mode: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = small.ROOT
    killed = small.ledger(study(mode, runtime={"save_interval_s": 1e-9}), tmp_path / "killed")
    run = small.run(killed.params, kind)
    # Batches until the kill, and the epoch to go on from: in mid-run; for one kind also before
    # the first save, and once more near the end.
    kills = [(2, 0), (14, 4), (14, 8)] if (kind, mode) == ("expC-256", "live") else [(17, 5)]
    for steps, resumed in kills:
        script = KILLED.format(
            root=str(root), src=str(root / "src"), store=str(killed.store.root), steps=steps,
            kind=kind, mode=mode,
        )  # fmt: skip
        done = subprocess.run([forks.folder() / "python", "-c", script])
        assert done.returncode == -signal.SIGKILL
        assert killed.resume(run).epoch == resumed
    record = train(killed, run)
    assert "another process" not in capsys.readouterr().err, "the killed one holds a lock"
    ends = [row["to"] for row in record.provenance]
    assert [row["from"] for row in record.provenance] == [0, *ends[:-1]]
    assert {resumed for _, resumed in kills} <= {0, *ends}
    whole = small.ledger(study(mode), tmp_path / "whole")
    assert_same(killed, record, whole, train(whole, run))
    interim = [r for k in killed.store.listing() if (r := killed.store.record(k)) and r.interim]
    assert interim == []
