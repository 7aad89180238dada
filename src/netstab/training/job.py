"""One run as a job: refuse what would take days, load the data, train, report."""

import sys
from collections.abc import Callable
from functools import cached_property

import torch

from netstab.data.batches import Images, splits
from netstab.data.manifest import Manifest
from netstab.data.tensors import Tensors, load
from netstab.errors import TrainingError
from netstab.params import Params
from netstab.study.experiments import Run
from netstab.study.plan import Work
from netstab.training import device as devices
from netstab.training import replay, trajectory
from netstab.training.engine import Engine
from netstab.training.estimate import spoken
from netstab.training.ledger import Ledger
from netstab.training.model import ResNet18, block_parameters
from netstab.training.observer import Observer
from netstab.training.progress import Reporter
from netstab.training.store import Record

PATIENCE_S = 6 * 3600.0
STUDY_PATIENCE_S = 24 * 3600.0
"""A run, or what is left of its study, that would take longer than this on a CPU is refused
unless the CPU was asked for."""

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
        workshop: engine and images.
    """

    def __init__(
        self, ledger: Ledger, manifest: Manifest, read: Read = load, host: str | None = None
    ) -> None:
        self.ledger = ledger
        self.manifest = manifest
        self._read, self._host = read, host
        params = ledger.params
        self.device = devices.choose(params.runtime)
        self.threads = devices.configure(params.train, params.runtime)
        self.workshop = trajectory.Workshop(self._build)
        if self.device.type == "cpu" and params.train.precision == "bf16":
            _warn_of_emulation()

    def _build(self) -> tuple[Engine, Images, Images, devices.Hardware]:
        params, manifest = self.ledger.params, self.manifest
        model = ResNet18(params.model.width, manifest.image_shape[2], len(manifest.classes))
        block_parameters(model, params.blocks)
        how = {"compiled": params.runtime.compile, "graphs": params.runtime.cuda_graphs}
        engine = Engine(model, params.train, self.device, **how)
        images = load_images(self.ledger, manifest, self.device, self._read)
        return (engine, *images, devices.hardware(self.device, self.threads, self._host))

    @cached_property
    def _observer(self) -> Observer:
        _, training, _, used = self.workshop.built
        return Observer(self.ledger, self.workshop.twin, training, used)

    def train(
        self,
        run: Run,
        epoch_done: trajectory.EpochDone,
        said: Callable[[str], None],
        end: int | None = None,
    ) -> Record:
        """Train a run and take its measurements.

        Args:
            run: a run or a view.
            epoch_done: told of every epoch.
            said: told in words what is measured.
            end: a boundary of the run's segments at which to stop; None for its end.

        Raises:
            NetstabError: the data is not what the manifest says, a loss is not finite, or a state
                cannot be saved.
        """
        ledger = self.ledger

        def observer() -> Observer:
            self._observer.said = said
            return self._observer

        record = trajectory.train(ledger, run, self.workshop, epoch_done, observer, end)
        if record.epoch == ledger.schedule(run).epochs and any(ledger.unmeasured(run)):
            # One process at a time; and what is in use is not collected as garbage.
            with ledger.store.lock(record.key):
                replay.measure(ledger, run, self.workshop, observer(), said)
        return record

    def rehearse_measures(self) -> None:
        """Measure the engine's network in brief; see `Observer.rehearse`."""
        engine, *_ = self.workshop.built
        self._observer.rehearse(engine.model)


def train(ledger: Ledger, run: Run, manifest: Manifest, read: Read = load) -> Record:
    """Train a run to its end on the device that the parameters ask for, and measure it.

    Raises:
        NetstabError: the run is refused (see `refuse`), the data is not what the manifest says, a
            loss is not finite, or a state cannot be saved.
    """
    trainer = Trainer(ledger, manifest, read)
    refuse(ledger, run, manifest, trainer.device, trainer.threads)
    gpu = trainer.device.type == "cuda"
    with Reporter(ledger, run, gpu=gpu, threads=trainer.threads) as reporter:
        record = trainer.train(run, reporter.epoch_done, reporter.measuring)
    reporter.study()
    return record


def refuse(
    ledger: Ledger, run: Run, manifest: Manifest, device: torch.device, threads: int
) -> None:
    """Refuse a run that cannot be trained, or that would take days unasked.

    Raises:
        TrainingError: its batches are larger than the training set, or see `refuse_days`.
    """
    refuse_days(ledger, run, device, threads)
    _refuse_large_batches(ledger, run, manifest)


def device_of(params: Params) -> tuple[torch.device, int]:
    """The device that the parameters ask for, set up for them, and the number of CPU threads."""
    device = devices.choose(params.runtime)
    return device, devices.configure(params.train, params.runtime)


def refuse_days(ledger: Ledger, run: Run, device: torch.device, threads: int) -> None:
    """Refuse a run that would take days on a CPU, unless `runtime.device` says cpu.

    Raises:
        TrainingError: with an estimate for the run and for the study, and the ways out.
    """
    if device.type != "cpu" or ledger.params.runtime.device != "auto":
        return
    phases = ledger.schedule(run).phases
    found = ledger.resume(run).epoch
    rest = [Work(run.variant, p, p.end - max(p.start, found)) for p in phases if p.end > found]
    seconds, measured = ledger.estimate.seconds(rest, gpu=False, threads=threads)
    study = [w for of_seed in ledger.outstanding().values() for w in of_seed]
    study_seconds, _ = ledger.estimate.seconds(study, gpu=False, threads=threads)
    if seconds <= PATIENCE_S and study_seconds <= STUDY_PATIENCE_S:
        return
    raise TrainingError(
        f"{run.name}: no CUDA device is there, and on this CPU ({threads} threads) the run would "
        f"take {'about' if measured else 'roughly'} {spoken(seconds)}, the study "
        f"{spoken(study_seconds)}. Ways out: a smaller size (make demo, make mini), "
        "a machine with a CUDA device, or the CPU on purpose: device: cpu under runtime in "
        "params.yaml (dvc exp run -S runtime.device=cpu)"
    )


def _warn_of_emulation() -> None:
    if not devices.bf16_units():
        print(
            "warning: this processor has no bf16 units, and emulates them many times slower than "
            "it computes in fp32: set train.precision to fp32 "
            "(dvc exp run -S train.precision=fp32)",
            file=sys.stderr,
        )


def _refuse_large_batches(ledger: Ledger, run: Run, manifest: Manifest) -> None:
    largest = max(phase.batch_size for phase in ledger.schedule(run).phases)
    if largest > manifest.train.count:
        usual = largest == ledger.params.train.batch_size
        raise TrainingError(
            f"{'train.batch_size' if usual else 'expE.batch.largest_batch'}: {largest} is more "
            f"than the {manifest.train.count} training images; lower it"
        )


def load_images(
    ledger: Ledger, manifest: Manifest, device: torch.device, read: Read = load
) -> tuple[Images, Images]:
    """Training and validation images on the device, checked against the manifest.

    Raises:
        DataError: they are not what the manifest says.
    """
    return splits(
        read(manifest),
        mean=manifest.mean,
        std=manifest.std,
        padding=ledger.params.train.crop_padding,
        device=device,
        dtype=torch.float32,
    )
