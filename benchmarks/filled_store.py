"""A store as it is after a study, made up: every state of the plan, and none of them trained."""

import random
from pathlib import Path
from typing import Any

from netstab import params, paths
from netstab.data.manifest import read_manifest
from netstab.params import PARTS
from netstab.study.experiments import Run, runs
from netstab.study.plan import kept_epochs
from netstab.study.schedule import Frozen, Schedule
from netstab.training.dataset import Dataset
from netstab.training.ledger import Ledger, versions
from netstab.training.store import Record, Row, Store

TENSORS = b"no tensors: nothing in a benchmark restores this state"


def fill(checkout: Path) -> int:
    """Fill the store of a checkout whose data is prepared; returns the number of states."""
    study = params.read(checkout / paths.PARAMS)
    dataset = Dataset.prepared(read_manifest(checkout))
    store = Store(checkout / ".netstab" / "store")
    ledger = Ledger(study, dataset, store, *versions())
    for run in runs(study):
        for epoch in kept_epochs(study, ledger.tree, run.variant):
            if ledger.key(run, epoch) not in store:
                store.save(_record(ledger, run, epoch), _write)
    return len(store.listing())


def _write(path: Path) -> None:
    path.write_bytes(TENSORS)


def _record(ledger: Ledger, run: Run, epoch: int) -> Record:
    schedule = ledger.schedule(run)
    stretch: dict[str, Any] = {
        "from": 0,
        "to": epoch,
        "seconds": 1.0 * epoch,
        "flop": 1e12 * epoch,
        "trained_for": run.name,
        "finished_at": "2026-01-01T00:00:00Z",
        "device": "made up",
        "device_type": "cpu",
        "torch": "made up",
        "threads": 1,
        "host": "made up",
    }
    return Record(
        key=ledger.key(run, epoch),
        run=run.name,
        epoch=epoch,
        inputs=ledger.inputs(run, epoch),
        history=[_row(run, schedule, past) for past in range(epoch)],
        provenance=[stretch],
        interim=False,
    )


def _row(run: Run, schedule: Schedule, epoch: int) -> Row:
    """A plausible row that depends on the seed and the schedule so far, as a trained one does."""
    noise = random.Random(f"{run.seed} {schedule.before(epoch + 1)}").gauss(0, 1)
    progress = (epoch + 1) / schedule.epochs
    row: Row = {
        "epoch": epoch,
        "train_loss": 2.3 * (1 - 0.8 * progress) * (1 + 0.02 * noise),
        "train_top1_pct": 10 + 70 * progress + noise,
        "val_loss": 2.3 * (1 - 0.7 * progress) * (1 + 0.05 * noise),
        "val_top1_pct": 10 + 60 * progress + 2 * noise,
        "val_top5_pct": 50 + 40 * progress + noise,
    }
    settings = {part: schedule.at(epoch).setting(part) for part in PARTS}
    for part, setting in settings.items():
        row[f"lr_{part}"] = 0.0 if isinstance(setting, Frozen) else setting
    for part, setting in settings.items():
        row[f"frozen_{part}"] = int(isinstance(setting, Frozen))
    return row
