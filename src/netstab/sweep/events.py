"""What a worker reports of the job that it trains."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netstab.results.schema import Row
from netstab.store.records import Record
from netstab.study.experiments import Run
from netstab.sweep.jobs import Job

if TYPE_CHECKING:
    from netstab.training.trainer import Trainer


@dataclass(frozen=True, slots=True)
class WorkerEvent:
    """An epoch is trained, a measurement begins, or the job itself.

    Attributes:
        job: number of the job.
        run: name of the run.
        epoch: that was trained; None for all else.
        text: figures of the epoch, or what begins.
        begins: whether the job begins.
    """

    job: int
    run: str
    epoch: int | None
    text: str
    begins: bool = False


def train_job(
    trainer: "Trainer", number: int, job: Job, send: Callable[[WorkerEvent], object]
) -> Record:
    """Train a job by a process's trainer, with an event for each epoch and each measurement.

    Raises:
        NetstabError: as `Trainer.train`.
    """

    def epoch_done(run: Run, row: Row, seconds: float) -> None:
        text = f"val top-1 {row['val_top1_pct']:.1f} %, {seconds:.2g} s an epoch"
        send(WorkerEvent(number, run.name, int(row["epoch"]), text))

    def measuring(text: str) -> None:
        send(WorkerEvent(number, job.run.name, None, text))

    return trainer.train(job.run, epoch_done, measuring, job.end)
