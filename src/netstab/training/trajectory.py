"""Train a run: from the deepest state that the store has to the run's end, segment by segment.

The property that everything rests on: a run trained without a stop, one cut at any boundary, and
one that shares its past with others give the same bits. Measuring and views only look on.
"""

import sys
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from torch import nn

from netstab.data.batches import Images
from netstab.errors import TrainingError
from netstab.results.schema import Row
from netstab.store.ledger import Ledger, Resume
from netstab.store.states import Record
from netstab.study.experiments import Run
from netstab.study.plan import Work
from netstab.training import state, views
from netstab.training.device import Hardware
from netstab.training.engine import Engine
from netstab.training.model import initialise
from netstab.training.observer import Observer, Watch
from netstab.training.views import Rider

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
        self.key: str | None = None

    @cached_property
    def built(self) -> tuple[Engine, Images, Images, Hardware]:
        """Engine, training images, validation images, hardware."""
        return self._build()

    @cached_property
    def twin(self) -> nn.Module:
        """A network of the same shape for whatever only looks at weights."""
        return deepcopy(self.built[0].model)


def train(
    ledger: Ledger,
    run: Run,
    workshop: Workshop,
    epoch_done: EpochDone,
    observer: Callable[[], Observer] | None = None,
    end: int | None = None,
) -> Record:
    """Train a run to its end, or take what the store has.

    Args:
        ledger: what is wanted, and what the store has.
        run: a run, or a view of one.
        workshop: engine and images.
        epoch_done: told of every epoch.
        observer: makes who takes the measurements of each epoch trained; None for nobody.
        end: a boundary of the run's segments at which to stop; None for its end.

    Returns:
        The record of the state there, with the whole history.

    Raises:
        TrainingError: a loss is not finite; the last good state stays.
        StoreError: a state cannot be saved; nothing is lost but the epochs since the last one.
    """
    if ledger.is_view(run):
        return _train_view(ledger, run, workshop, epoch_done, observer)
    last = end or ledger.schedule(run).epochs
    while (record := ledger.store.record(ledger.key(run, last))) is None or record.interim:
        resume = ledger.resume(run, last)
        if resume.kept == last:
            continue  # another process has finished it just now
        # Whoever starts from the same kept state under the same phase would train the same
        # epochs, whatever the plan says of the segment's end: that is what the lock names.
        with ledger.store.lock(ledger.key(run, resume.kept + 1)):
            again = ledger.resume(run, last)
            if again.kept == resume.kept:
                _Segment(ledger, run, again, workshop, epoch_done, observer).train()
    return record


def _train_view(
    ledger: Ledger,
    run: Run,
    workshop: Workshop,
    epoch_done: EpochDone,
    observer: Callable[[], Observer] | None,
) -> Record:
    """Train the host with the view on board; where the host is done, once more for the view."""
    host = ledger.host(run)
    train(ledger, host, workshop, epoch_done, observer)
    end = ledger.schedule(run).epochs
    while (record := ledger.finished(run)) is None or record.interim:
        # Every view that lacks rides along: one process does it for all of them.
        with ledger.store.lock(ledger.key(host, end)):
            if (again := ledger.finished(run)) is None or again.interim:
                resume = Resume(0, *_boarding(ledger, run), end)
                _Segment(ledger, host, resume, workshop, epoch_done, observer).train()
    return record


def _boarding(ledger: Ledger, run: Run) -> tuple[int, Record | None]:
    """The deepest state of the host that a view can go on from; epoch 0 and None if there is none.

    Up to the view's start any state of the host; behind it one at which the view was saved too.
    """
    host, start = ledger.host(run), ledger.tree.views[run.variant]
    for epoch in range(ledger.schedule(run).epochs - 1, 0, -1):
        if epoch <= start or ledger.store.record(ledger.key(run, epoch)):
            record = ledger.store.record(ledger.key(host, epoch))
            if record is not None:
                return epoch, record
    return 0, None


class _Segment:
    """A stretch of epochs of a run: trained, saved, measured, with its views on board."""

    def __init__(
        self,
        ledger: Ledger,
        run: Run,
        resume: Resume,
        workshop: Workshop,
        epoch_done: EpochDone,
        observer: Callable[[], Observer] | None,
    ) -> None:
        self._ledger, self._run, self._resume = ledger, run, resume
        self._workshop, self._epoch_done = workshop, epoch_done
        self._observer = observer() if observer else None
        self._history = list(resume.record.history) if resume.record else []
        self._past = list(resume.record.provenance) if resume.record else []
        self._done: dict[str, Any] = {
            "from": resume.epoch,
            "to": resume.epoch,
            "seconds": 0.0,
            "flop": 0.0,
        }

    def train(self) -> None:
        """Train from where the run can go on to the segment's end, and save the state there."""
        ledger, run, resume, workshop = self._ledger, self._run, self._resume, self._workshop
        engine = workshop.built[0]
        if not enter_state(ledger, run, resume.record, workshop):
            return
        aboard = views.board(ledger, run, resume.record, engine)
        saved = time.monotonic()
        for epoch in range(resume.epoch, resume.end):
            workshop.key = None
            row, seconds = self._epoch(epoch, aboard)
            self._history.append(row)
            self._done["to"] = epoch + 1
            self._done["seconds"] += seconds
            work = Work(run.variant, ledger.schedule(run).at(epoch), 1)
            self._done["flop"] += ledger.costs.flop([work])
            self._epoch_done(run, row, seconds)
            waited = time.monotonic() - saved
            if epoch + 1 < resume.end and waited >= ledger.params.runtime.save_interval_s:
                self._save(epoch + 1, aboard, interim=True)
                saved = time.monotonic()
        self._save(resume.end, aboard, interim=False)
        # Where another process's state stays, that one is measured, when it is read.
        if self._observer and workshop.key == ledger.key(run, resume.end):
            # Whoever goes on from here finds the state measured, also where several do at once.
            for sharer in ledger.sharers(run, resume.end):
                self._observer.state(sharer, resume.end, engine.model)

    def _epoch(self, epoch: int, aboard: list[Rider]) -> tuple[Row, float]:
        """Train an epoch; its row and the seconds that training alone took."""
        run, engine = self._run, self._workshop.built[0]
        _, training, validation, _ = self._workshop.built
        watch: Watch | None = None
        if self._observer:
            self._observer.state(run, epoch, engine.model)
            watch = self._observer.epoch(run, epoch, engine.model)
        for rider in aboard:
            rider.begin_epoch(epoch, engine.model)
        watched_before = watch.seconds if watch else 0.0

        def after_step() -> None:
            if watch:
                watch.step()
            for rider in aboard:
                rider.step(engine.model)

        started = time.monotonic()
        try:
            phase = self._ledger.schedule(run).at(epoch)
            row = engine.epoch(phase, training, validation, run.seed, epoch, after_step)
        except TrainingError as error:
            raise TrainingError(
                f"{run.name}: {error}. The last good state, of epoch {self._resume.epoch} or "
                "later, stays"
            ) from error
        seconds = time.monotonic() - started
        if watch:
            seconds -= watch.seconds - watched_before
            watch.end()
        for rider in aboard:
            rider.end_epoch(row, engine, self._workshop.twin, training, validation)
        return row, seconds

    def _save(self, epoch: int, aboard: list[Rider], *, interim: bool) -> None:
        ledger, run, resume = self._ledger, self._run, self._resume
        engine, _, _, hardware = self._workshop.built
        done = {"trained_for": run.name, "finished_at": _now(), **asdict(hardware)}
        stretches = [{**self._done, **done}] if self._done["flop"] else []
        record = Record(
            key=ledger.key(run, epoch),
            run=run.name,
            epoch=epoch,
            inputs=ledger.inputs(run, epoch),
            history=list(self._history),
            provenance=[*self._past, *stretches],
            interim=interim,
        )
        there = ledger.store.record(record.key)
        self._workshop.key = None
        # A replay for a view comes past states that are there already, and leaves them alone.
        if there is None or (there.interim and not interim):
            tensors = state.capture(engine)
            saved = ledger.store.save(record, lambda path: state.write(tensors, path))
            if not interim and ledger.imports.contradicts(saved):
                _warn_of_other_bits(run, epoch)
            # Where another process was first, its state is read before anything goes on from it.
            if replace(saved, sha256="", size=0) == record:
                self._workshop.key = record.key
        last = epoch == ledger.schedule(run).epochs
        for rider in aboard:
            rider.save(record, interim=not last)
            _drop_interim(ledger, rider.run, rider.start, epoch)
        _drop_interim(ledger, run, resume.kept, epoch)


def enter_state(ledger: Ledger, run: Run, record: Record | None, workshop: Workshop) -> bool:
    """Bring the engine into a state (None: the very start); False where that is damaged."""
    engine = workshop.built[0]
    if record is None:
        start(engine, run.seed)
        workshop.key = None
    elif workshop.key != record.key:
        tensors = state.read_checked(
            ledger.store, record, lambda found: state.fits(engine.model, found)
        )
        if tensors is None:
            return False
        state.restore(engine, tensors)
        workshop.key = record.key
    return True


def start(engine: Engine, seed: int) -> None:
    """Bring an engine into the state of epoch 0."""
    initialise(engine.model, seed)
    engine.optimizer.state.clear()


def _drop_interim(ledger: Ledger, run: Run, after: int, before: int) -> None:
    """Remove the interim states that a later one has made useless."""
    keys = ledger.store.listing()
    for epoch in range(after + 1, before):
        key = ledger.key(run, epoch)
        if key in keys and (record := ledger.store.record(key)) and record.interim:
            ledger.store.remove(key)


def _warn_of_other_bits(run: Run, epoch: int) -> None:
    print(
        f"warning: {run.name} came to other bits at epoch {epoch} here than the imported runs did; "
        "whatever goes on from here differs from those by more than its intervention",
        file=sys.stderr,
    )


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
