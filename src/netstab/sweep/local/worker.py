"""A process of a sweep on this machine: it trains jobs, and dies with its parent."""

import gc
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, redirect_stderr
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from multiprocessing.connection import Connection
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from threading import BrokenBarrierError
from typing import TYPE_CHECKING, Any

from netstab import stops
from netstab.data.dataset import Dataset
from netstab.data.manifest import Manifest
from netstab.errors import TrainingError
from netstab.params import Params
from netstab.store.ledger import Ledger
from netstab.store.settings import versions
from netstab.store.states import Store
from netstab.study.experiments import Run, Variant
from netstab.sweep import refusals
from netstab.sweep.events import WorkerEvent, train_job
from netstab.sweep.jobs import Job
from netstab.sweep.output import LineWriter

if TYPE_CHECKING:
    from netstab.training.trainer import Trainer

STEPS = {"cpu": 8, "cuda": 100}
"""Of training at a time, while workers are timed: well over what an epoch costs beside them."""
PATIENCE_S = 300.0
"""For how long a worker waits for the others to be ready."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What parent and workers have in common.

    Attributes:
        params: the parameters.
        manifest: of the images.
        store: the store of states.
        events: to the parent, and lines that it prints.
        parent: ends when the parent closes its end, or is gone: the workers go as well.
        together: number of workers -> the barrier at which so many start to be timed.
    """

    params: Params
    manifest: Manifest
    store: Store
    events: "Queue[WorkerEvent | str]"
    parent: "Connection[Any, Any]"
    together: dict[int, Barrier]


_shared: list[Shared] = []
"""What this process has in common with its parent."""
_told: list[int] = []
"""The signal by which it was told between jobs to begin no other."""


@lru_cache(1)
def _trainer(threads: int) -> "Trainer":
    """The trainer of this process; its states are its own."""
    from netstab.training.trainer import Trainer

    (shared,) = _shared
    runtime = shared.params.runtime.model_copy(update={"threads": threads})
    params = shared.params.model_copy(update={"runtime": runtime})
    dataset = Dataset.prepared(shared.manifest)
    return Trainer(Ledger(params, dataset, shared.store, *versions()), shared.manifest)


def _forget() -> None:
    """Give back the memory of engine and images: not every worker tried is needed."""
    import torch

    _trainer.cache_clear()
    gc.collect()  # trainer and engine are parts of cycles
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()


def start(shared: Shared) -> None:
    """Make this process a worker."""
    # Ctrl-C, and the end of a terminal, reach every process of it; the parent decides, and says so
    # by SIGTERM: in a job to `stoppable`.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: _told.append(number))
    stops.hear()
    threading.Thread(target=_die_with, args=(shared.parent,), daemon=True).start()
    _shared.append(shared)
    # Only here torch, which the parent does without; and before the first job comes.
    import_module("netstab.training.trainer")


def _die_with(parent: "Connection[Any, Any]") -> None:
    """End this process when the parent ends the connection, or itself, however that comes.

    At once and in mid-step: states are written whole or not at all, and locks fall with their
    holder.
    """
    parent.poll(None)
    os._exit(1)


def refuse(chosen: list[Run], threads: int) -> str:
    """Refuse runs as stages of their own would; see `refusals.refuse`.

    Returns:
        The type of the device: `cpu` or `cuda`.
    """
    trainer = _trainer(threads)
    kind = trainer.device.type
    refusals.refuse(trainer.ledger, chosen, trainer.manifest, kind, threads)
    return kind


def images_per_second(workers: int, threads: int, seconds: float) -> float:
    """Images a second in the baseline's first phase, while so many workers do the same.

    Raises:
        RuntimeError: there is too little memory for it, as a rule.
        BrokenBarrierError: another of them failed, or was not ready in time.
    """
    together = _shared[0].together[workers]
    try:
        with ExitStack() as failure:
            failure.callback(together.abort)  # or the others wait in vain
            found = _timed(together, threads, seconds)
            failure.pop_all()
        return found
    # Both errors are raised anew, below: the frames of these hold the engine, and a pool keeps an
    # error for as long as its process has nothing else to do.
    except BrokenBarrierError:
        fault: RuntimeError = BrokenBarrierError()
    except (RuntimeError, MemoryError) as error:
        fault = RuntimeError(str(error) or "memory ran out")
    finally:
        _forget()
    raise fault


def _timed(together: Barrier, threads: int, seconds: float) -> float:
    train_steps = _warmed_up(threads)
    together.wait(PATIENCE_S)
    started, images = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        images += train_steps()
    return images / (time.perf_counter() - started)


def _warmed_up(threads: int) -> Callable[[], int]:
    """What trains some steps of the trunk, and says how many images that were."""
    trainer = _trainer(threads)
    engine, training, validation, _ = trainer.context.built
    run = trainer.ledger.host(Run(Variant("baseline"), 0))
    phase = trainer.ledger.schedule(run).phases[0]
    steps = STEPS[trainer.device.type]
    few = training.first(steps * phase.batch_size), validation.first(1)

    def train_steps() -> int:
        try:
            engine.epoch(phase, *few, 0, 0)
        except TrainingError:
            # It learnt the same few images too long. A start each time would be timed as well: it
            # draws every weight on the CPU.
            engine.start(0)
            engine.epoch(phase, *few, 0, 0)
        return len(few[0]) // phase.batch_size * phase.batch_size

    engine.start(0)
    train_steps()
    if trainer.device.type == "cuda":
        # Measuring takes more memory than training does. Torch keeps what it took, as it will in
        # the sweep: a card that is too small for so many workers says so now, not an hour later.
        trainer.rehearse_measures()
    return train_steps


def measure(what: str, threads: int) -> None:
    """See `run.Workers`."""
    from netstab.sweep import barriers, ceiling

    measures = {"ceiling": ceiling.compare_seeds, "barriers": barriers.measure_barriers}
    with stops.stoppable(notice=b""):
        trainer = _trainer(threads)
        measures[what](trainer.ledger, trainer.manifest)


def train(number: int, job: Job, threads: int) -> None:
    """Train a job, and report it; see `events.train_job`.

    Raises:
        Stopped: the parent asks by SIGTERM to save and end.
    """
    send = _shared[0].events.put
    with stops.stoppable(notice=b""), redirect_stderr(LineWriter(send)):
        if _told:
            raise stops.Stopped(_told[0])
        train_job(_trainer(threads), number, job, send)
