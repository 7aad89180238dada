"""What the parameters ask for, held against what the store has. No torch here."""

import json
import os
import shutil
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from netstab import paths
from netstab.data.manifest import Manifest
from netstab.errors import NetstabError
from netstab.params import Params
from netstab.study import cost, plan
from netstab.study.experiments import Run, Variant, runs
from netstab.study.schedule import Schedule
from netstab.training.store import Record, Store


@dataclass(frozen=True, slots=True)
class Dataset:
    """What the plan has to know of the data.

    Attributes:
        identity: content hash of the tensors; None while they are not prepared.
        training_images: how many.
        channels: of an image.
        classes: how many.
    """

    identity: str | None
    training_images: int
    channels: int
    classes: int

    @classmethod
    def prepared(cls, manifest: Manifest) -> Self:
        """The data that a manifest describes."""
        return cls(
            manifest.content_sha256,
            manifest.train.count,
            manifest.image_shape[2],
            len(manifest.classes),
        )


OFFICIAL = {
    "cifar10": Dataset(None, 50_000, 3, 10),
    "cifar100": Dataset(None, 50_000, 3, 100),
    "digits": Dataset(None, 1_442, 1, 10),
}
"""What a data set will look like once it is prepared; `data.source` may differ."""


def numerics_version() -> int:
    """Version of the numbers that the trainer computes; part of every state's key."""
    version = json.loads(paths.NUMERICS.read_text(encoding="utf-8"))["version"]
    if not isinstance(version, int):
        raise NetstabError(f"{paths.NUMERICS}: has no version; restore it from git")
    return version


@dataclass(frozen=True)
class Resume:
    """Where a run can go on.

    Attributes:
        kept: epoch of the deepest state that stays; names the segment, 0 for the very start.
        epoch: epoch of the deepest state of any kind; its key and record, None at epoch 0.
        end: epoch at which the segment ends and its state is kept.
    """

    kept: int
    epoch: int
    record: Record | None
    end: int


class Ledger:
    """The study's runs, their keys, and how far the store has them."""

    def __init__(self, params: Params, dataset: Dataset, store: Store, numerics: int) -> None:
        self.params = params
        self.dataset = dataset
        self.store = store
        self.numerics = numerics
        self.tree = plan.tree(params)

    def schedule(self, run: Run) -> Schedule:
        """The schedule of a run."""
        return self.tree.schedules[run.variant]

    def identity(self, seed: int) -> dict[str, Any]:
        """Everything but the schedule that determines the states of a seed."""
        data = self.dataset.identity or "not prepared"
        return plan.identity(self.params, seed, data=data, numerics=self.numerics)

    def key(self, run: Run, epoch: int) -> str:
        """Key of a run's state at the start of an epoch."""
        return plan.state_key(self.identity(run.seed), self.schedule(run), epoch)

    def inputs(self, run: Run, epoch: int) -> dict[str, Any]:
        """What the key is the hash of."""
        return {**self.identity(run.seed), "schedule": self.schedule(run).before(epoch)}

    def finished(self, run: Run) -> Record | None:
        """The record of a run's end, where the store has it."""
        return self.store.record(self.key(run, self.schedule(run).epochs))

    def resume(self, run: Run) -> Resume:
        """The deepest state on the run's way from which it can go on."""
        keys, found, kept = self.store.listing(), None, 0
        last = self.schedule(run).epochs
        for epoch in range(last, 0, -1) if keys else ():
            key = self.key(run, epoch)
            record = self.store.record(key) if key in keys else None
            if record is None:
                continue
            found = found or record
            if not record.interim:
                kept = epoch
                break
        epoch = found.epoch if found else 0
        ends = plan.kept_epochs(self.params, self.tree, run.variant)
        # None is ahead where another process has finished the run in the meantime.
        end = next((e for e in ends if e > kept and e >= epoch), last)
        return Resume(kept, epoch, found, end)

    def outstanding(self) -> dict[int, list[plan.Work]]:
        """By seed, what is still to be trained."""
        keys = self.store.listing()

        def of(seed: int) -> list[plan.Work]:
            def stored(variant: Variant, epoch: int) -> bool:
                return self.key(Run(variant, seed), epoch) in keys

            return plan.outstanding(self.tree, stored if keys else lambda variant, epoch: False)

        return {seed: of(seed) for seed in self.params.seeds}

    def wanted(self) -> dict[str, str]:
        """Key -> name, for every state that the current plan keeps; the first run's, if shared."""
        return {
            self.key(run, epoch): f"{run.name} at {epoch}"
            for run in reversed(runs(self.params))
            for epoch in plan.kept_epochs(self.params, self.tree, run.variant)
        }

    def passed(self) -> set[str]:
        """Keys of every state on the way of any run of the plan."""
        return {
            self.key(run, epoch)
            for run in runs(self.params)
            for epoch in range(1, self.schedule(run).epochs + 1)
        }

    @cached_property
    def _forward(self) -> dict[str, float]:
        return cost.forward_flop(
            self.params.model.width,
            self.params.data.image_size,
            self.dataset.channels,
            self.dataset.classes,
        )

    def flop(self, work: list[plan.Work]) -> float:
        """Floating-point operations of some work."""
        images = self.dataset.training_images
        return sum(w.epochs * images * cost.training_flop(w.phase, self._forward) for w in work)

    def seconds(self, work: list[plan.Work], *, gpu: bool, threads: int) -> tuple[float, bool]:
        """Estimated time of some work, and whether it rests on a measurement.

        Measured: operations and seconds of what the store has of this very setting on such a
        device. Otherwise an order of magnitude; see `cost`.
        """
        flop = self.flop(work)
        measured = self._seconds_per_flop("cuda" if gpu else "cpu")
        if measured is not None:
            return flop * measured, True
        epochs = sum(w.epochs for w in work)
        images = self.dataset.training_images
        return (
            epochs
            * cost.rough_epoch_seconds(
                flop / max(1, epochs * images),
                images,
                self.params.train.batch_size,
                gpu=gpu,
                threads=threads,
            ),
            False,
        )

    def _seconds_per_flop(self, device_type: str) -> float | None:
        """From the newest states of this setting; None where there is none."""
        try:
            newest = sorted(
                (e for e in os.scandir(self.store.states) if e.name.endswith(".json")),
                key=lambda e: e.stat().st_mtime,
            )[-3:]
        except FileNotFoundError:
            return None
        seconds = flop = 0.0
        for entry in newest:
            record = self.store.record(entry.name.removesuffix(".json"))
            if record is None or not self._same_setting(record):
                continue
            for row in record.provenance:
                if row["device_type"] == device_type:
                    seconds, flop = seconds + row["seconds"], flop + row["flop"]
        return seconds / flop if flop else None

    def _same_setting(self, record: Record) -> bool:
        mine = self.identity(0)
        return all(record.inputs.get(k) == v for k, v in mine.items() if k != "seed")


def looks_like_gpu() -> bool:
    """Whether this machine seems to have a CUDA device, without asking torch."""
    return shutil.which("nvidia-smi") is not None


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spoken(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 100:
        return f"{seconds:.2g} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 72 * 3600 else f"{seconds / 86400:.0f} days"
