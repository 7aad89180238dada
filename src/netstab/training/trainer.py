"""Runs trained and measured in this process: engine and images are built once."""

import sys
from collections.abc import Callable
from functools import cached_property

import torch

from netstab.data.batches import Images, splits
from netstab.data.manifest import Manifest
from netstab.data.tensors import Tensors, load
from netstab.networks.network import build
from netstab.params import Params
from netstab.store.ledger import Ledger
from netstab.store.records import Record
from netstab.study.experiments import Run
from netstab.training import device as devices
from netstab.training import replay, trajectory
from netstab.training.context import Built, EngineContext
from netstab.training.engine import Engine
from netstab.training.observer import Observer

Read = Callable[[Manifest], Tensors]
"""Brings the images that a manifest describes, checked."""


class Trainer:
    """Trains and measures runs of a study in this process; engine and images are built once.

    Args:
        ledger: what is wanted, and what the store has.
        manifest: of the images.
        read: brings the images.
        host: what provenance calls this machine; its own name without it.

    Attributes:
        ledger: what is wanted, and what the store has.
        manifest: of the images.
        device: that the parameters ask for.
        threads: of the CPU.
        context: engine and images.
    """

    def __init__(
        self, ledger: Ledger, manifest: Manifest, read: Read = load, host: str | None = None
    ) -> None:
        self.ledger = ledger
        self.manifest = manifest
        self._read, self._host = read, host
        params = ledger.params
        self.device, self.threads = devices.set_up(params)
        self.context = EngineContext(self._build)
        if self.device.type == "cpu" and params.train.precision == "bf16":
            _warn_of_emulation()

    def _build(self) -> Built:
        params, manifest = self.ledger.params, self.manifest
        network = build(params, manifest.image_shape[2], len(manifest.classes))
        engine = Engine(network, params.train, self.device, compiled=params.runtime.compile)
        images = load_images(params, manifest, self.device, self._read)
        return Built(engine, *images, devices.hardware(self.device, self.threads, self._host))

    @cached_property
    def _observer(self) -> Observer:
        built = self.context.built
        return Observer(self.ledger, self.context.twin, built.training, built.hardware)

    def train(
        self,
        run: Run,
        epoch_done: trajectory.EpochDone,
        report: Callable[[str], None],
        end: int | None = None,
    ) -> Record:
        """Train a run and take its measurements.

        Args:
            run: a run or a view.
            epoch_done: told of every epoch.
            report: told in words what is measured.
            end: a boundary of the run's segments at which to stop; None for its end.

        Raises:
            NetstabError: the data is not what the manifest says, a loss is not finite, or a state
                cannot be saved.
        """
        ledger = self.ledger

        def observer() -> Observer:
            self._observer.report = report
            return self._observer

        record = trajectory.train(ledger, run, self.context, epoch_done, observer, end)
        if record.epoch == ledger.schedule(run).epochs and not ledger.is_measured(run):
            # One process at a time; and what is in use is not collected as garbage.
            with ledger.store.lock(record.key):
                replay.measure(ledger, run, self.context, observer(), report)
        return record

    def rehearse_measures(self) -> None:
        """Measure the engine's network in brief; see `Observer.rehearse`."""
        self._observer.rehearse(self.context.built.engine.model)


def _warn_of_emulation() -> None:
    if not devices.bf16_units():
        print(
            "warning: this processor has no bf16 units, and emulates them many times slower than "
            "it computes in fp32: set train.precision to fp32 "
            "(dvc exp run -S train.precision=fp32)",
            file=sys.stderr,
        )


def load_images(
    params: Params, manifest: Manifest, device: torch.device, read: Read = load
) -> tuple[Images, Images]:
    """Training and validation images on the device, checked against the manifest.

    Raises:
        DataError: they are not what the manifest says.
    """
    return splits(
        read(manifest),
        mean=manifest.mean,
        std=manifest.std,
        padding=params.train.crop_padding,
        device=device,
        dtype=torch.float32,
    )
