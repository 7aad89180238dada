"""A store as it is after a study, made up: every state of the plan, and none of them trained."""

import random
from pathlib import Path
from typing import Any

from netstab import params, paths
from netstab.data.dataset import Dataset
from netstab.data.manifest import read_manifest
from netstab.params import PARTS
from netstab.results.schema import Row
from netstab.store.ledger import Ledger, versions
from netstab.store.records import Record
from netstab.store.states import Store
from netstab.study.experiments import Run, runs
from netstab.study.measuring import NETWORK
from netstab.study.plan import kept_epochs
from netstab.study.schedule import Frozen, Schedule

TENSORS = b"no tensors: nothing in a benchmark restores this state"
MEASURED = {
    "measured_for": "made up",
    "finished_at": "2026-01-01T00:00:00Z",
    "seconds": 1.0,
    "device": "made up",
    "device_type": "cpu",
    "torch": "made up",
    "threads": 1,
    "host": "made up",
}
CURVATURE = {
    f"{kind}{name}": value
    for kind in ("", "adaptive_")
    for name, value in {
        "eigenvalue": 10.0,
        "lower_bound": 10.0,
        "residual": 0.001,
        "products": 8,
        "trace": 100.0,
        "trace_se": 10.0,
    }.items()
}
PROTOCOL = {"images": 256, "batch_norm": "eval", "dtype": "float32", "method": "made up"}


def fill(checkout: Path) -> int:
    """Fill the store of a checkout whose data is prepared: with states and measurements.

    Returns:
        The number of states.
    """
    study = params.read(checkout / paths.PARAMS)
    dataset = Dataset.prepared(read_manifest(checkout))
    store = Store(checkout / ".netstab" / "store")
    ledger = Ledger(study, dataset, store, *versions())
    for run in runs(study):
        for epoch in kept_epochs(study, ledger.tree, run.variant):
            if ledger.key(run, epoch) not in store:
                store.save(_record(ledger, run, epoch), _write)
        for epoch, key in ledger.stability_keys(run).items():
            if key not in ledger.measurements:
                rows = _shifts(ledger, run, epoch)
                inputs = ledger.stability_inputs(run, epoch)
                ledger.measurements.write(key, inputs, {"rows": rows, "provenance": MEASURED})
        for (epoch, scope), key in ledger.sharpness_keys(run).items():
            if key not in ledger.measurements:
                entry = {"rows": [{"scope": scope, **CURVATURE}], "protocol": PROTOCOL}
                inputs = ledger.sharpness_inputs(run, epoch, scope)
                ledger.measurements.write(key, inputs, {**entry, "provenance": MEASURED})
    return len(store.listing())


def _shifts(ledger: Ledger, run: Run, epoch: int) -> list[dict[str, Any]]:
    """Rows of `stability.csv` for an epoch, all of one made-up size."""
    ends = list(ledger.stability_keys(run))
    distances = ["step", "epoch"] + ["floor"] * (epoch in (ends[0], ends[-1]))
    return [
        {
            "distance": distance,
            "block": block,
            "forward_change": 0.1,
            "forward_cosine": 0.9,
            "forward_cka": 0.9,
            "backward_change": None if block == NETWORK else 0.2,
            "backward_cosine": None if block == NETWORK else 0.8,
            "backward_cka": None if block == NETWORK else 0.8,
            "path": 0.0 if distance == "floor" else 1.0,
            "changed_pct": 5.0 if block == NETWORK else None,
            "kl_nats": 0.01 if block == NETWORK else None,
        }
        for distance in distances
        for block in (*ledger.params.blocks, NETWORK)
    ]


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
