"""How many seconds work takes: from what the store has measured, otherwise a rough guess."""

from collections.abc import Sequence
from dataclasses import dataclass

from netstab.store.ledger import Ledger
from netstab.store.records import Record
from netstab.study import cost
from netstab.study.plan import Work

NEWEST = 3
"""Number of newest states that say how fast this setting was trained so far."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Epochs of all seeds of a study, and how long what is left takes.

    Attributes:
        shared: epochs when every segment is trained once.
        apart: epochs that separate runs would train.
        left: epochs still to be trained.
        seconds: that these take; None where nothing is left.
        measured: whether that rests on what the store has measured.
    """

    shared: int
    apart: int
    left: int
    seconds: float | None
    measured: bool

    @classmethod
    def of(cls, ledger: Ledger, *, gpu: bool, threads: int) -> "Totals":
        """Of a study as the store has it, on such a device."""
        seeds, tree = len(ledger.params.seeds), ledger.tree
        work = [w for of_seed in ledger.outstanding().values() for w in of_seed]
        left, spent, measured = sum(w.epochs for w in work), None, False
        if work:
            spent, measured = seconds(ledger, work, gpu=gpu, threads=threads)
        return cls(tree.epochs * seeds, tree.epochs_apart * seeds, left, spent, measured)


def seconds(ledger: Ledger, work: Sequence[Work], *, gpu: bool, threads: int) -> tuple[float, bool]:
    """Estimated time of some work, and whether it rests on a measurement.

    Measured: operations and seconds of what the store has of this very setting on such a device.
    Otherwise an order of magnitude, of a network of one's own a lower bound; see `cost`.
    """
    flop = ledger.costs.flop(work)
    measured = _seconds_per_flop(ledger, "cuda" if gpu else "cpu")
    if measured is not None:
        return flop * measured, True
    epochs = sum(w.epochs for w in work)
    images = ledger.dataset.training_images
    # Of one's own network operations are not known: what steps take however small they are.
    an_image = 0.0 if ledger.params.model.is_own else flop / max(1, epochs * images)
    batch = ledger.params.train.batch_size
    one = cost.rough_epoch_seconds(an_image, images, batch, gpu=gpu, threads=threads)
    return epochs * one, False


def same_setting(ledger: Ledger, record: Record) -> bool:
    """Whether a state is of this very setting, of any seed and schedule."""
    mine = ledger.identity(0).items()
    return all(record.inputs.get(k) == v for k, v in mine if k != "seed")


def _seconds_per_flop(ledger: Ledger, device_type: str) -> float | None:
    """From the newest states of this setting; None where there is none."""
    spent = flop = 0.0
    for key in ledger.store.newest(NEWEST):
        record = ledger.store.record(key)
        if record is None or not same_setting(ledger, record):
            continue
        for row in record.provenance:
            if row["device_type"] == device_type:
                spent, flop = spent + row["seconds"], flop + row["flop"]
    return spent / flop if flop else None
