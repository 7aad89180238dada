"""Measurements that a finished run lacks: the epochs that they need are trained once more.

A changed setting of a measure invalidates no state. What is measured on a state needs the state;
what is measured over an epoch needs that epoch trained anew, from the nearest state before it.
"""

from collections.abc import Callable

from netstab.store.ledger import Ledger
from netstab.study.experiments import Run
from netstab.training.context import EngineContext
from netstab.training.observer import Observer


def measure(
    ledger: Ledger,
    run: Run,
    context: EngineContext,
    observer: Observer,
    report: Callable[[str], None],
) -> None:
    """Take every measurement that the store lacks of a finished run.

    Args:
        ledger: what is wanted, and what there is.
        run: whose states are measured.
        context: engine and images.
        observer: takes the measurements.
        report: told in words what is done.

    Raises:
        StoreError: a measurement cannot be saved; those taken before stay.
    """
    model = context.built.engine.model
    at: int | None = None  # epoch of the run's state that the engine is in
    for epoch in sorted({lacking.epoch for lacking in ledger.unmeasured(run)}):
        if epoch not in {lacking.epoch for lacking in ledger.unmeasured(run)}:
            continue  # another run that shares this state was measured meanwhile
        report(f"measuring at epoch {epoch}")
        at = _go_to(ledger, run, epoch, at, context)
        with context.turn():
            observer.state(run, epoch, model)
            watch = observer.epoch(run, epoch, model)
            if watch:
                context.epoch(ledger, run, epoch, watch.step)
                watch.end()
                at = epoch + 1


def _go_to(ledger: Ledger, run: Run, epoch: int, at: int | None, context: EngineContext) -> int:
    """Bring the engine into the run's state at an epoch, over the shortest way."""
    while at != epoch:
        near = ledger.resume(run, epoch)
        if at is None or not at <= epoch or near.epoch > at:
            # A damaged state is set aside by this, and the next nearest one looked for.
            at = near.epoch if context.enter(ledger, run, near.record) else None
            continue
        with context.turn():
            context.epoch(ledger, run, at)
        at += 1
    return epoch
