"""Views of a run, recorded while it trains: averaged weights, recomputed statistics.

A view takes weights from its host's training and gives nothing back, so the host's bits do not
depend on its views. It has records of its own, under its own keys; before its start its past is the
host's.
"""

from math import isfinite

from torch import nn

from netstab.data.batches import Images
from netstab.errors import TrainingError
from netstab.measure.evaluate import evaluate
from netstab.measure.views import (
    Average,
    copy_into,
    laid_out,
    move_average,
    put,
    recompute_batch_norm,
    start_average,
)
from netstab.params import Ema
from netstab.results.schema import Row
from netstab.store.ledger import Ledger
from netstab.store.records import Record
from netstab.study.differences import settings
from netstab.study.experiments import Run, view
from netstab.training import state
from netstab.training.engine import Engine


class ViewRecorder:
    """Records one view, from an epoch of its host on."""

    def __init__(
        self, ledger: Ledger, run: Run, history: list[Row], average: Average | None
    ) -> None:
        how = view(ledger.params, run.variant)
        assert how is not None
        self.run = run
        self.start = ledger.tree.views[run.variant]
        self._how = how
        self._ledger = ledger
        self.history = history
        self._average = average

    def begin_epoch(self, epoch: int, model: nn.Module) -> None:
        """Before an epoch of the host: an average starts with the weights at its start."""
        if epoch == self.start and isinstance(self._how, Ema):
            self._average = start_average(model)

    def step(self, model: nn.Module) -> None:
        """After a step of the host."""
        if self._average is not None and isinstance(self._how, Ema):
            move_average(self._average, model, self._how.decay)

    def end_epoch(
        self, row: Row, engine: Engine, twin: nn.Module, training: Images, validation: Images
    ) -> None:
        """After an epoch of the host, whose row this is: evaluate the view's network instead.

        Raises:
            TrainingError: its loss is not finite.
        """
        if row["epoch"] >= self.start:
            copy_into(twin, engine.model.state_dict())
            if self._average is not None:
                put(self._average, twin)
            recompute_batch_norm(
                twin,
                training,
                self._how.batch_norm_images,
                engine.train.batch_size,
                engine.autocast,
            )
            result = evaluate(twin, validation, engine.autocast)
            if not isfinite(float(result.loss)):
                raise TrainingError(
                    f"the validation loss is not finite after epoch {row['epoch']}; change the "
                    f"settings of {self.run.variant.name}"
                )
            row = {
                **row,
                "val_loss": float(result.loss),
                "val_top1_pct": float(result.top1_pct),
                "val_top5_pct": float(result.top5_pct),
            }
        self.history.append(row)

    def save(self, host: Record, *, interim: bool) -> None:
        """Store how far the view has come, beside the host's state."""
        if host.epoch <= self.start:
            return
        record = Record(
            key=self._ledger.key(self.run, host.epoch),
            run=self.run.name,
            epoch=host.epoch,
            inputs=self._ledger.inputs(self.run, host.epoch),
            history=list(self.history),
            provenance=host.provenance,
            interim=interim,
            settings=settings(self._ledger.params, self.run.variant),
        )
        average = self._average or {}
        tensors = {f"average.{n}": t.to("cpu", copy=True).contiguous() for n, t in average.items()}
        self._ledger.store.save(record, lambda path: state.write(tensors, path))


def view_recorders(
    ledger: Ledger, host: Run, record: Record | None, engine: Engine
) -> list[ViewRecorder]:
    """Recorders of the host's views that are not complete and can go on from a state of it.

    Args:
        ledger: knows the views and what the store has of them.
        host: the run that is trained.
        record: of the state that it goes on from; None for the start.
        engine: for device and memory layout of averages.
    """
    epoch = record.epoch if record else 0
    history = list(record.history) if record else []
    found = []
    for run in ledger.views_of(host):
        if ledger.finished(run):
            continue
        start = ledger.tree.views[run.variant]
        if epoch <= start:
            found.append(ViewRecorder(ledger, run, list(history), None))
        elif (own := ledger.store.record(ledger.key(run, epoch))) is not None:
            tensors = state.read_checked(
                ledger.store, own, lambda held: state.fits_average(engine.model, held)
            )
            if tensors is not None:
                stored = {name.removeprefix("average."): t for name, t in tensors.items()}
                average = laid_out(stored, engine.model) if stored else None
                found.append(ViewRecorder(ledger, run, list(own.history), average))
    return found
