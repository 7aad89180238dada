"""Measurements that a finished run lacks: the epochs that they need are trained once more.

A changed setting of a measure invalidates no state. What is measured on a state needs the state;
what is measured over an epoch needs that epoch trained anew, from the nearest state before it.
"""

from collections.abc import Callable

from netstab.store.ledger import Ledger
from netstab.store.states import Record
from netstab.study.experiments import Run
from netstab.training import trajectory
from netstab.training.observer import Observer
from netstab.training.trajectory import Workshop


def measure(
    ledger: Ledger, run: Run, workshop: Workshop, observer: Observer, said: Callable[[str], None]
) -> None:
    """Take every measurement that the store lacks of a finished run.

    Args:
        ledger: what is wanted, and what there is.
        run: whose states are measured.
        workshop: engine and images.
        observer: takes the measurements.
        said: told in words what is done.

    Raises:
        StoreError: a measurement cannot be saved; those taken before stay.
    """
    drifts, sharpnesses = ledger.unmeasured(run)
    engine, training, validation, _ = workshop.built
    at: int | None = None  # epoch of the run's state that the engine is in
    for epoch in sorted({*drifts, *(epoch for epoch, _ in sharpnesses)}):
        drifts, sharpnesses = ledger.unmeasured(run)
        if epoch not in drifts and epoch not in (at for at, _ in sharpnesses):
            continue  # another run that shares this state was measured meanwhile
        said(f"measuring at epoch {epoch}")
        at = _go_to(ledger, run, epoch, at, workshop)
        observer.state(run, epoch, engine.model)
        watch = observer.epoch(run, epoch, engine.model) if epoch in drifts else None
        if watch:
            phase = ledger.schedule(run).at(epoch)
            workshop.key = None
            engine.epoch(phase, training, validation, run.seed, epoch, watch.step)
            watch.end()
            at = epoch + 1


def _go_to(ledger: Ledger, run: Run, epoch: int, at: int | None, workshop: Workshop) -> int:
    """Bring the engine into the run's state at an epoch, over the shortest way."""
    engine, training, validation, _ = workshop.built
    while at != epoch:
        near, record = _nearest(ledger, run, epoch)
        if at is None or not at <= epoch or near > at:
            # A damaged state is set aside by this, and the next nearest one looked for.
            at = near if trajectory.enter_state(ledger, run, record, workshop) else None
            continue
        workshop.key = None
        engine.epoch(ledger.schedule(run).at(at), training, validation, run.seed, at)
        at += 1
    return epoch


def _nearest(ledger: Ledger, run: Run, epoch: int) -> tuple[int, Record | None]:
    """The deepest state of a run up to an epoch; 0 and None where there is none."""
    for before in range(epoch, 0, -1):
        record = ledger.store.record(ledger.key(run, before))
        if record is not None:
            return before, record
    return 0, None
