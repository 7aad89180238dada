"""How long work will take: from operations counted, and from what the store has measured."""

import os
import shutil
from functools import cached_property
from typing import Any

from netstab.params import Params
from netstab.study import cost
from netstab.study.plan import Work
from netstab.training.dataset import Dataset
from netstab.training.store import Record, Store


class Estimate:
    """Operations and seconds of training under given parameters.

    Args:
        params: the parameters.
        dataset: number and shape of the images.
        store: whose states say how fast this setting was trained so far.
        identity: everything but the schedule that determines a state, of any seed.
    """

    def __init__(
        self, params: Params, dataset: Dataset, store: Store, identity: dict[str, Any]
    ) -> None:
        self._params = params
        self._dataset = dataset
        self._store = store
        self._identity = identity

    @cached_property
    def forward(self) -> dict[str, float]:
        """Operations of a forward pass of one image, by part."""
        return cost.forward_flop(
            self._params.model.width,
            self._params.data.image_size,
            self._dataset.channels,
            self._dataset.classes,
        )

    def flop(self, work: list[Work]) -> float:
        """Floating-point operations of some work."""
        images = self._dataset.training_images
        return sum(w.epochs * images * cost.training_flop(w.phase, self.forward) for w in work)

    def measuring_flop(self, stabilities: int, sharpnesses: int) -> tuple[float, float]:
        """Operations of so many measurements of stability, and of sharpness."""
        settings = self._params.measure
        drift = cost.stability_flop(settings.stability.images, self.forward)
        samples = settings.sharpness.trace_samples
        curvature = cost.sharpness_flop(settings.sharpness.images, samples, self.forward)
        return stabilities * drift, sharpnesses * curvature

    def seconds(self, work: list[Work], *, gpu: bool, threads: int) -> tuple[float, bool]:
        """Estimated time of some work, and whether it rests on a measurement.

        Measured: operations and seconds of what the store has of this very setting on such a
        device. Otherwise an order of magnitude; see `cost`.
        """
        flop = self.flop(work)
        measured = self._seconds_per_flop("cuda" if gpu else "cpu")
        if measured is not None:
            return flop * measured, True
        epochs = sum(w.epochs for w in work)
        images = self._dataset.training_images
        return (
            epochs
            * cost.rough_epoch_seconds(
                flop / max(1, epochs * images),
                images,
                self._params.train.batch_size,
                gpu=gpu,
                threads=threads,
            ),
            False,
        )

    def _seconds_per_flop(self, device_type: str) -> float | None:
        """From the newest states of this setting; None where there is none."""
        try:
            newest = sorted(
                (e for e in os.scandir(self._store.states) if e.name.endswith(".json")),
                key=lambda e: e.stat().st_mtime,
            )[-3:]
        except FileNotFoundError:
            return None
        seconds = flop = 0.0
        for entry in newest:
            record = self._store.record(entry.name.removesuffix(".json"))
            if record is None or not self.same_setting(record):
                continue
            for row in record.provenance:
                if row.get("device_type") == device_type:
                    seconds, flop = seconds + row["seconds"], flop + row.get("flop", 0.0)
        return seconds / flop if flop else None

    def same_setting(self, record: Record) -> bool:
        """Whether a state is of this very setting, of any seed and schedule."""
        mine = self._identity.items()
        return all(record.inputs.get(k) == v for k, v in mine if k != "seed")


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
