"""Train a run: from the deepest state that the store has to the run's end, segment by segment.

The property that everything rests on: a run trained without a stop, one cut at any boundary, and
one that shares its past with others give the same bits.
"""

import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from netstab.data.batches import Images
from netstab.errors import TrainingError
from netstab.study.experiments import Run
from netstab.study.plan import Work
from netstab.training import state
from netstab.training.device import Hardware
from netstab.training.engine import Engine
from netstab.training.ledger import Ledger, Resume
from netstab.training.model import initialise
from netstab.training.store import Record, Row

EpochDone = Callable[[Run, Row, float], None]
"""Told of every epoch trained: the run, its row of the history, and the seconds it took."""


class Workshop:
    """Engine and images, built when the first epoch has to be trained.

    Attributes:
        key: of the state that the engine is in, so that a segment that follows the one before
            needs no reading; None before the first.
    """

    def __init__(self, build: Callable[[], tuple[Engine, Images, Images, Hardware]]) -> None:
        self._build = build
        self._built: tuple[Engine, Images, Images, Hardware] | None = None
        self.key: str | None = None

    @property
    def built(self) -> tuple[Engine, Images, Images, Hardware]:
        """Engine, training images, validation images, hardware."""
        if self._built is None:
            self._built = self._build()
        return self._built


def train(ledger: Ledger, run: Run, workshop: Workshop, epoch_done: EpochDone) -> Record:
    """Train a run to its end, or take what the store has.

    Returns:
        The record of the run's last state, with the whole history.

    Raises:
        TrainingError: a loss is not finite; the last good state stays.
        StoreError: a state cannot be saved; nothing is lost but the epochs since the last one.
    """
    while (record := ledger.finished(run)) is None or record.interim:
        resume = ledger.resume(run)
        if resume.kept == ledger.schedule(run).epochs:
            continue  # another process has finished it just now
        # Whoever starts from the same kept state under the same phase would train the same
        # epochs, whatever the plan says of the segment's end: that is what the lock names.
        with ledger.store.lock(ledger.key(run, resume.kept + 1)):
            again = ledger.resume(run)
            if again.kept == resume.kept:
                _train_segment(ledger, run, again, workshop, epoch_done)
    return record


def _train_segment(
    ledger: Ledger, run: Run, resume: Resume, workshop: Workshop, epoch_done: EpochDone
) -> None:
    engine, training, validation, hardware = workshop.built
    if not _enter_state(ledger, run, resume, workshop):
        return
    schedule, store = ledger.schedule(run), ledger.store
    history = list(resume.record.history) if resume.record else []
    past = list(resume.record.provenance) if resume.record else []
    stretch = {"from": resume.epoch, "to": resume.epoch, "seconds": 0.0, "flop": 0.0}
    saved = time.monotonic()

    def save(epoch: int, *, interim: bool) -> None:
        done = {"trained_for": run.name, "finished_at": _now(), **asdict(hardware)}
        provenance: list[dict[str, Any]] = [*past, {**stretch, **done}] if stretch["flop"] else past
        record = Record(
            key=ledger.key(run, epoch),
            run=run.name,
            epoch=epoch,
            inputs=ledger.inputs(run, epoch),
            history=history,
            provenance=provenance,
            interim=interim,
        )
        tensors = state.capture(engine)
        store.save(record, lambda path: state.write(tensors, path))
        workshop.key = record.key
        _drop_interim(ledger, run, resume.kept, epoch)

    for epoch in range(resume.epoch, resume.end):
        started, phase = time.monotonic(), schedule.at(epoch)
        workshop.key = None
        try:
            row = engine.epoch(phase, training, validation, run.seed, epoch)
        except TrainingError as error:
            raise TrainingError(
                f"{run.name}: {error}. The last good state, of epoch {resume.epoch} or later, stays"
            ) from error
        seconds = time.monotonic() - started
        history.append(row)
        stretch["to"] = epoch + 1
        stretch["seconds"] += seconds
        stretch["flop"] += ledger.flop([Work(run.variant, phase, 1)])
        epoch_done(run, row, seconds)
        waited = time.monotonic() - saved
        if epoch + 1 < resume.end and waited >= ledger.params.runtime.save_interval_s:
            save(epoch + 1, interim=True)
            saved = time.monotonic()
    save(resume.end, interim=False)


def _enter_state(ledger: Ledger, run: Run, resume: Resume, workshop: Workshop) -> bool:
    """Bring the engine into the state to go on from; False where that turned out damaged."""
    engine = workshop.built[0]
    if resume.record is None:
        start(engine, run.seed)
    elif workshop.key != resume.record.key:
        path = ledger.store.tensors_file(resume.record)
        if path is None:
            return False
        state.restore(engine, state.read(path))
    return True


def start(engine: Engine, seed: int) -> None:
    """Bring an engine into the state of epoch 0."""
    initialise(engine.model, seed)
    engine.optimizer.state.clear()
    engine.leave()


def _drop_interim(ledger: Ledger, run: Run, after: int, before: int) -> None:
    """Remove the interim states that a later one has made useless."""
    keys = ledger.store.listing()
    for epoch in range(after + 1, before):
        key = ledger.key(run, epoch)
        if key in keys and (record := ledger.store.record(key)) and record.interim:
            ledger.store.remove(key)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
