"""How far apart signals can be: the same variant, trained from two seeds.

No single run can say what a similarity of 0.9 means. Two seeds have nothing in common but data and
task; how alike their signals are at the end is what drift can be held against. Only what does not
depend on which channel is which is compared: CKA, and predictions. What is found is a measurement
like others: it is kept in the store, for the weights of two seeds need not come to the
machine that makes the report.
"""

import time
from functools import partial

from torch import nn

from netstab.data.manifest import Manifest
from netstab.data.tensors import load
from netstab.errors import StoreError
from netstab.measure.probe import probe
from netstab.measure.stability import Row, compare, signals
from netstab.networks.network import build
from netstab.results.schema import CEILING_COLUMNS
from netstab.store.ledger import Ledger
from netstab.study import measuring
from netstab.study.experiments import Run
from netstab.sweep.single import train_run
from netstab.training import device as devices
from netstab.training import state, trainer
from netstab.training.observer import provenance


def compare_seeds(
    ledger: Ledger, manifest: Manifest, read: trainer.Read = load, host: str | None = None
) -> None:
    """Compare the ends of both references between the two seeds of `ceiling.seeds`.

    A run that the store lacks is trained first. What is found goes to the store: for each
    reference a row a block, and one for the network.

    Args:
        ledger: what is wanted, and what the store has.
        manifest: of the images.
        read: brings the images.
        host: what provenance calls this machine; its own name without it.

    Raises:
        StoreError: a run was imported without its weights.
        NetstabError: as for a run.
    """
    for name, key in ledger.ceiling_keys().items():
        if key in ledger.measurements:
            continue
        started = time.monotonic()
        compared = ledger.compared(name)
        networks = [_end_of(ledger, manifest, run, read) for run in compared]
        device, threads = devices.set_up(ledger.params)
        training, _ = trainer.load_images(ledger.params, manifest, device, read)
        x, y = probe(training, ledger.params.measure.stability.images, "stability")
        boundaries = measuring.boundaries(ledger.params)
        used = devices.hardware(device, threads, host)
        with devices.turn(used):
            first, second = (signals(model.to(device), boundaries, x, y) for model in networks)
        end = ledger.schedule(compared[0]).epochs
        rows = [
            {"variant": name, "epoch": end, **_shown(row)}
            for row in compare(first, second, "seeds", None)
        ]
        told = provenance(name, time.monotonic() - started, used)
        entry = {"rows": rows, "provenance": told}
        ledger.measurements.write(key, ledger.ceiling_inputs(name), entry)


def _end_of(ledger: Ledger, manifest: Manifest, run: Run, read: trainer.Read) -> nn.Module:
    """The network at the end of a run, on the CPU."""
    key = ledger.end_key(run)
    tensors = None
    while tensors is None:  # a damaged state is set aside, and trained again
        record = ledger.store.record(key)
        if record is None and key in ledger.imports:
            raise StoreError(
                f"{run.name}: was imported without its weights, and the ceiling compares those of "
                "two seeds. Train the references of both seeds in one piece (netstab sweep --only "
                "reference), which measures the ceiling as well, then export and import that; or "
                "leave it out: seeds: [] under ceiling in params.yaml"
            )
        if record is None or record.interim:
            record = train_run(ledger, run, manifest, read)
        shape = manifest.image_shape[2], len(manifest.classes)
        model = build(ledger.params, *shape).module
        tensors = state.read_checked(ledger.store, record, partial(state.fits, model))
    state.restore_model(model, tensors)
    return model


def _shown(row: Row) -> Row:
    return {column: row[column] for column in CEILING_COLUMNS[2:]}
