"""Train a run: from the deepest state that the store has to the run's end, segment by segment.

The property that everything rests on: a run trained without a stop, one cut at any boundary, and
one that shares its past with others give the same bits. Measuring and views change nothing.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from typing import Any

from netstab import stops
from netstab.errors import DivergedError, TrainingError
from netstab.results.schema import Row
from netstab.store.ledger import Ledger, Resume
from netstab.store.records import Record
from netstab.study.differences import settings
from netstab.study.experiments import Run
from netstab.study.plan import Work
from netstab.training import state
from netstab.training.context import EngineContext
from netstab.training.device import timestamp
from netstab.training.observer import Observer
from netstab.training.views import ViewRecorder, view_recorders
from netstab.training.watch import Watch

EpochDone = Callable[[Run, Row, float], None]
"""Told of every epoch trained: the run, its row of the history, and the seconds it took."""


def train(
    ledger: Ledger,
    run: Run,
    context: EngineContext,
    epoch_done: EpochDone,
    observer: Callable[[], Observer] | None = None,
    end: int | None = None,
) -> Record:
    """Train a run to its end, or take what the store has.

    Args:
        ledger: what is wanted, and what the store has.
        run: a run, or a view of one.
        context: engine and images.
        epoch_done: told of every epoch.
        observer: makes the observer that measures each epoch trained; None for no measurements.
        end: a boundary of the run's segments at which to stop; None for its end.

    Returns:
        The record of the state there, with the whole history.

    Raises:
        DivergedError: a loss is not finite; the last good state stays.
        StoreError: a state cannot be saved; nothing is lost but the epochs since the last one.
    """
    if ledger.is_view(run):
        return _train_view(ledger, run, context, epoch_done, observer)
    last = end or ledger.schedule(run).epochs
    while (record := ledger.store.record(ledger.key(run, last))) is None or record.interim:
        resume = ledger.resume(run, last)
        if resume.kept == last:
            continue  # another process has finished it just now
        # Every run that starts from the same kept state under the same phase trains the same
        # epochs, wherever its segment ends: that is what the lock names.
        with ledger.store.lock(ledger.key(run, resume.kept + 1)):
            again = ledger.resume(run, last)
            if again.kept == resume.kept:
                _Segment(ledger, run, again, context, epoch_done, observer).train()
    return record


def _train_view(
    ledger: Ledger,
    run: Run,
    context: EngineContext,
    epoch_done: EpochDone,
    observer: Callable[[], Observer] | None,
) -> Record:
    """Train the host and record the view on the way; where the host is done, train it once more."""
    host = ledger.host(run)
    train(ledger, host, context, epoch_done, observer)
    end = ledger.schedule(run).epochs
    while (record := ledger.finished(run)) is None:
        # Every view that is incomplete is recorded: one process does it for all of them.
        with ledger.store.lock(ledger.key(host, end)):
            if ledger.finished(run) is None:
                resume = ledger.resume_view(run)
                _Segment(ledger, host, resume, context, epoch_done, observer, run).train()
    return record


class _Segment:
    """Epochs of a run up to the next state that is kept: trained, measured, viewed and saved."""

    def __init__(
        self,
        ledger: Ledger,
        run: Run,
        resume: Resume,
        context: EngineContext,
        epoch_done: EpochDone,
        observer: Callable[[], Observer] | None,
        wanted: Run | None = None,
    ) -> None:
        self._ledger, self._run, self._resume = ledger, run, resume
        self._wanted = wanted or run
        self._context, self._epoch_done = context, epoch_done
        self._observer = observer() if observer else None
        self._views: list[ViewRecorder] = []
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
        ledger, run, resume, context = self._ledger, self._run, self._resume, self._context
        engine = context.built.engine
        if not context.enter(ledger, run, resume.record):
            return
        self._views = view_recorders(ledger, run, resume.record, engine)
        saved, saved_at = resume.epoch, time.monotonic()
        for epoch in range(resume.epoch, resume.end):
            # Epochs that wait to be saved would be lost, were the one under way not trained to its
            # end; where none do, it is too long to be waited for.
            with self._measured(epoch, unsaved=epoch > saved), stops.put_off(epoch > saved):
                row, seconds = self._epoch(epoch)
                self._history.append(row)
                self._done["to"] = epoch + 1
                self._done["seconds"] += seconds
                work = Work(run.variant, ledger.schedule(run).at(epoch), 1)
                self._done["flop"] += ledger.costs.flop([work])
                self._epoch_done(run, row, seconds)
            with stops.put_off():
                if epoch + 1 == resume.end:
                    break
                waited = time.monotonic() - saved_at
                if waited >= ledger.params.runtime.save_interval_s or stops.pending():
                    self._save(epoch + 1, interim=True)
                    saved, saved_at = epoch + 1, time.monotonic()
            stops.check()
        with stops.put_off():
            self._save(resume.end, interim=False)
        stops.check()
        # Where another process's state stays, that one is measured, when it is read.
        if self._observer and context.key == ledger.key(run, resume.end):
            # Every run that goes on from here finds the state measured, also where several do at
            # once.
            with context.turn():
                for sharer in ledger.sharers(run, resume.end):
                    self._observer.state(sharer, resume.end, engine.model)

    @contextmanager
    def _measured(self, epoch: int, *, unsaved: bool) -> Iterator[None]:
        """Take a turn for an epoch, and measure the state at its start first.

        Raises:
            Stopped: this process is asked to end meanwhile; a state that is unsaved is saved.
        """
        with ExitStack() as turn:
            try:
                turn.enter_context(self._context.turn())
                if self._observer:
                    model = self._context.built.engine.model
                    self._observer.state(self._run, epoch, model)
            except stops.Stopped:
                if unsaved:
                    self._save(epoch, interim=True)
                raise
            yield

    def _epoch(self, epoch: int) -> tuple[Row, float]:
        """Train an epoch; its row and the seconds that training alone took."""
        run, context = self._run, self._context
        engine, training, validation, _ = context.built
        watch: Watch | None = None
        if self._observer:
            watch = self._observer.epoch(run, epoch, engine.model)
        for view in self._views:
            view.begin_epoch(epoch, engine.model)
        watched_before = watch.seconds if watch else 0.0

        def after_step() -> None:
            if watch:
                watch.step()
            for view in self._views:
                view.step(engine.model)

        started = time.monotonic()
        try:
            row = context.epoch(self._ledger, run, epoch, after_step)
        except TrainingError as error:
            raise self._diverged(error, epoch, self._history) from error
        seconds = time.monotonic() - started
        if watch:
            seconds -= watch.seconds - watched_before
            watch.end()
        for view in tuple(self._views):
            try:
                view.end_epoch(row, engine, context.twin, training, validation)
            except TrainingError as error:
                if view.run == self._wanted:
                    raise self._diverged(error, epoch, view.history) from error
                self._views.remove(view)  # its own stage comes to the same
        return row, seconds

    def _diverged(self, error: TrainingError, epoch: int, history: list[Row]) -> DivergedError:
        return DivergedError(
            f"{self._wanted.name}: {error}. The last good state, of epoch {self._resume.epoch} or "
            "later, stays",
            str(error),
            list(history),
            self._record(epoch, interim=True).provenance,
        )

    def _save(self, epoch: int, *, interim: bool) -> None:
        ledger, run, context = self._ledger, self._run, self._context
        record = self._record(epoch, interim=interim)
        there = ledger.store.record(record.key)
        context.key = None
        # A replay for a view comes past states that are there already, and leaves them alone.
        if there is None or (there.interim and not interim):
            tensors = state.capture(context.built.engine)
            saved = ledger.store.save(record, lambda path: state.write(tensors, path))
            if not interim and ledger.imports.contradicts(saved):
                _warn_of_other_bits(run, epoch)
            # Where another process was first, its state is read before anything goes on from it.
            if replace(saved, sha256="", size=0) == record:
                context.key = record.key
        last = epoch == ledger.schedule(run).epochs
        for view in self._views:
            view.save(record, interim=not last)
            _drop_interim(ledger, view.run, view.start, epoch)
        _drop_interim(ledger, run, self._resume.kept, epoch)

    def _record(self, epoch: int, *, interim: bool) -> Record:
        ledger, run = self._ledger, self._run
        told = {"trained_for": run.name, "finished_at": timestamp()}
        done = {**self._done, **told, **asdict(self._context.built.hardware)}
        return Record(
            key=ledger.key(run, epoch),
            run=run.name,
            epoch=epoch,
            inputs=ledger.inputs(run, epoch),
            history=list(self._history),
            provenance=[*self._past, done] if done["flop"] else self._past,
            interim=interim,
            settings=settings(ledger.params, run.variant),
        )


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
