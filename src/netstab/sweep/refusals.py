"""What is refused before anything is trained. No torch here."""

from collections.abc import Sequence

from netstab.data.manifest import Manifest
from netstab.errors import NetstabError, TrainingError
from netstab.store.ledger import Ledger
from netstab.study.experiments import Run
from netstab.study.plan import Work
from netstab.sweep import estimate
from netstab.text import duration

PATIENCE_S = 6 * 3600.0
STUDY_PATIENCE_S = 24 * 3600.0
"""A run, or what is left of its study, that would take longer than this on a CPU is refused
unless the CPU was asked for."""


def refuse(
    ledger: Ledger, chosen: Sequence[Run], manifest: Manifest, kind: str, threads: int
) -> None:
    """Refuse runs that cannot be trained, or that would take days unasked.

    Args:
        ledger: of the study.
        chosen: the runs.
        manifest: of the images.
        kind: of device that trains, `cpu` or `cuda`.
        threads: of the CPU.

    Raises:
        TrainingError: batches are larger than the training set, or see `refuse_days`.
    """
    for run in chosen:
        refuse_days(ledger, run, kind, threads)
        _refuse_large_batches(ledger, run, manifest)


def refuse_days(ledger: Ledger, run: Run, kind: str, threads: int) -> None:
    """Refuse a run that would take days on a CPU, unless `runtime.device` says cpu.

    Raises:
        TrainingError: with an estimate for the run and for the study, and the ways out.
    """
    if kind != "cpu" or ledger.params.runtime.device != "auto":
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


def refuse_share(gpus: float | None) -> None:
    """Refuse what is no share of a GPU that a worker on a cluster can have.

    Raises:
        NetstabError: it is no number, or below 0.01 or above 1 and no whole number.
    """
    if gpus is None or 0.01 <= gpus <= 1 or (gpus >= 0 and gpus.is_integer()):
        return
    raise NetstabError(
        f"--gpus-per-worker {gpus:g}: a worker takes a whole number of GPUs, or a share of one "
        "from 0.01: 0, 0.5, 1, 2"
    )
