"""How many processes train side by side: as many as a short trial finds fastest."""

from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from threading import BrokenBarrierError

from netstab.errors import TrainingError
from netstab.machine import available_memory, looks_like_gpu, usable_cores
from netstab.store.ledger import Ledger
from netstab.sweep.display import Display
from netstab.sweep.jobs import Job
from netstab.sweep.local import worker

TRIAL_S = 2.0
"""For how long each number of workers is tried."""
WORTH = 1.05
"""How many times faster more workers have to be, all together."""
MOST = 8
"""Workers on one machine; beyond, memory and disk are what they wait for."""
MEMORY_EACH = 2 * 2**30
"""Bytes that a worker may take."""


@dataclass(frozen=True, slots=True)
class PoolSize:
    """How many workers train side by side, and in how many CPU threads each."""

    workers: int
    threads: int

    def __str__(self) -> str:
        alone = "one process" if self.workers == 1 else f"{self.workers} processes side by side"
        return f"{alone}, {self.threads} CPU thread{'s'[: self.threads > 1]} each"


def possible_sizes(ledger: Ledger, todo: Sequence[Job]) -> list[PoolSize]:
    """The sizes to try, small ones first: 1, 2, 4 ... workers that share the cores."""
    runtime, cores = ledger.params.runtime, usable_cores()
    if runtime.workers:
        return [PoolSize(runtime.workers, runtime.threads or max(1, cores // runtime.workers))]
    # At once there are no more jobs than those that nothing waits for.
    leaves = len(set(range(len(todo))) - {job.after for job in todo})
    memory = max(1, available_memory() // MEMORY_EACH)
    most = min(MOST, memory, leaves)
    if not (looks_like_gpu() and runtime.device != "cpu"):
        most = min(most, cores // (runtime.threads or 1))
    sizes = [size for size in (1, 2, 4, 8) if size <= max(1, most)]
    return [PoolSize(size, runtime.threads or max(1, cores // size)) for size in sizes]


def fastest_size(
    executor: ProcessPoolExecutor, possible: Sequence[PoolSize], display: Display
) -> PoolSize:
    """The size that trains the most images a second; a larger one only where it is worth it.

    Raises:
        TrainingError: not even the smallest can train.
    """
    best, fastest = possible[0], 0.0
    if len(possible) == 1:
        return best
    for size in possible:
        display.print(f"trying {size} ...")
        trials = [
            executor.submit(worker.images_per_second, size.workers, size.threads, TRIAL_S)
            for _ in range(size.workers)
        ]
        if fault := _fault(trials):
            if size == possible[0]:
                raise TrainingError(
                    f"training cannot begin: {fault}. Mend that, or lower train.batch_size or "
                    "model.width if memory is short, and run the same command again"
                )
            display.print(f"{size}: {fault}")
            break
        found = sum(trial.result() for trial in trials)
        display.print(f"{size}: {found:,.0f} images a second")
        if found > fastest * WORTH:
            best, fastest = size, found
    return best


def _fault(trials: "Sequence[Future[float]]") -> str:
    """Why workers cannot train, in words; empty if they can. As a rule memory is too small.

    Raises:
        Exception: a worker failed of something else, or died.
    """
    wait(trials)
    found = [fault for one in trials if (fault := one.exception())]
    # Where one fails, the others only report that they have waited for it in vain.
    causes = [fault for fault in found if not isinstance(fault, BrokenBarrierError)]
    for cause in causes:
        if isinstance(cause, BrokenProcessPool) or not isinstance(cause, RuntimeError):
            raise cause
    if causes:
        return str(causes[0])
    return "not all of them were ready in time" if found else ""
