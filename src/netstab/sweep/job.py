"""One run as a job: refuse what cannot be trained or would take days, train it, tell of it."""

import torch

from netstab.data.manifest import Manifest
from netstab.data.tensors import load
from netstab.errors import TrainingError
from netstab.store.ledger import Ledger
from netstab.store.records import Record
from netstab.study.experiments import Run
from netstab.study.plan import Work
from netstab.sweep import estimate
from netstab.sweep.progress import Reporter
from netstab.text import duration
from netstab.training.trainer import Read, Trainer

PATIENCE_S = 6 * 3600.0
STUDY_PATIENCE_S = 24 * 3600.0
"""A run, or what is left of its study, that would take longer than this on a CPU is refused
unless the CPU was asked for."""


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
    seconds, measured = estimate.seconds(ledger, rest, gpu=False, threads=threads)
    study = [w for of_seed in ledger.outstanding().values() for w in of_seed]
    study_seconds, _ = estimate.seconds(ledger, study, gpu=False, threads=threads)
    if seconds <= PATIENCE_S and study_seconds <= STUDY_PATIENCE_S:
        return
    raise TrainingError(
        f"{run.name}: no CUDA device is there, and on this CPU ({threads} threads) the run would "
        f"take {'about' if measured else 'roughly'} {duration(seconds)}, the study "
        f"{duration(study_seconds)}. Ways out: a smaller size (make demo, make mini), "
        "a machine with a CUDA device, or the CPU on purpose: device: cpu under runtime in "
        "params.yaml (dvc exp run -S runtime.device=cpu)"
    )


def _refuse_large_batches(ledger: Ledger, run: Run, manifest: Manifest) -> None:
    largest = max(phase.batch_size for phase in ledger.schedule(run).phases)
    if largest > manifest.train.count:
        usual = largest == ledger.params.train.batch_size
        raise TrainingError(
            f"{'train.batch_size' if usual else 'expE.batch.largest_batch'}: {largest} is more "
            f"than the {manifest.train.count} training images; lower it"
        )
