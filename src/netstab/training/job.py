"""One run as a job: refuse what would take days, load the data, train, report."""

import sys

import torch

from netstab.data.batches import Images, splits
from netstab.data.manifest import Manifest
from netstab.data.tensors import load
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


def train(ledger: Ledger, run: Run, manifest: Manifest) -> Record:
    """Train a run to its end on the device that the parameters ask for, and measure it.

    Raises:
        NetstabError: the run is refused (see `refuse_days`), the data is not what the manifest
            says, a loss is not finite, or a state cannot be saved.
    """
    runtime = ledger.params.runtime
    device = devices.choose(runtime)
    threads = devices.configure(ledger.params.train, runtime)
    refuse_days(ledger, run, device, threads)
    _refuse_large_batches(ledger, run, manifest)
    if device.type == "cpu" and ledger.params.train.precision == "bf16":
        _warn_of_emulation()

    def build() -> tuple[Engine, Images, Images, devices.Hardware]:
        model = ResNet18(ledger.params.model.width, manifest.image_shape[2], len(manifest.classes))
        block_parameters(model, ledger.params.blocks)
        engine = Engine(model, ledger.params.train, device, compiled=runtime.compile)
        return (engine, *load_images(ledger, manifest, device), devices.hardware(device, threads))

    workshop = trajectory.Workshop(build)

    def observer() -> Observer:
        _, training, _, used = workshop.built
        return Observer(ledger, workshop.twin, training, used)

    with Reporter(ledger, run, gpu=device.type == "cuda", threads=threads) as reporter:
        record = trajectory.train(ledger, run, workshop, reporter.epoch_done, observer)
        if any(ledger.unmeasured(run)):
            # One process at a time; and what is in use is not collected as garbage.
            with ledger.store.lock(record.key):
                replay.measure(ledger, run, workshop, observer(), reporter.measuring)
    reporter.study()
    return record


def device_of(params: Params) -> torch.device:
    """The device that the parameters ask for, with threads and precision set accordingly."""
    device = devices.choose(params.runtime)
    devices.configure(params.train, params.runtime)
    return device


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
        f"{spoken(study_seconds)}. Ways out: a smaller size (make demo, make mini ARCHIVE=...), "
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


def load_images(ledger: Ledger, manifest: Manifest, device: torch.device) -> tuple[Images, Images]:
    """Training and validation images on the device, checked against the manifest.

    Raises:
        DataError: they are not what the manifest says.
    """
    return splits(
        load(manifest),
        mean=manifest.mean,
        std=manifest.std,
        padding=ledger.params.train.crop_padding,
        device=device,
        dtype=torch.float32,
    )
