"""Workers on this machine, as processes of a pool.

The parent hands out jobs and needs no torch.
"""

import multiprocessing
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.context import SpawnContext
from queue import Empty
from typing import ParamSpec, TypeVar

from netstab import stops
from netstab.data.manifest import Manifest
from netstab.errors import NetstabError, TrainingError
from netstab.machine import looks_like_gpu
from netstab.store.ledger import Ledger
from netstab.study.experiments import Run
from netstab.sweep import run
from netstab.sweep.display import Display
from netstab.sweep.events import WorkerEvent
from netstab.sweep.local import worker
from netstab.sweep.local.calibration import PoolSize, fastest_size, possible_sizes
from netstab.sweep.run import Outcomes

P = ParamSpec("P")
T = TypeVar("T")

LISTEN_S = 0.2
TUNABLES = "GLIBC_TUNABLES"


def sweep(
    ledger: Ledger, manifest: Manifest, display: Display, chosen: Sequence[Run] | None = None
) -> None:
    """Train and measure what the plan asks for and the store lacks, on this machine.

    Args:
        ledger: of the study.
        manifest: of its images, which are prepared.
        display: shows progress.
        chosen: the runs that are wanted; None for all.

    Raises:
        NetstabError: see `run.sweep`.
    """
    run.sweep(
        ledger,
        display,
        chosen,
        lambda todo: worker_pool(ledger, manifest, display, possible_sizes(ledger, todo)),
    )


class _Executor(ProcessPoolExecutor):
    """Its processes are deaf to signals until they have handlers: one that dies ends the others."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        with stops.masked():
            return super().submit(fn, *args, **kwargs)


class WorkerPool:
    """See `run.Workers`.

    Args:
        executor: has as many processes as the largest size.
        shared: what they know.
        possible: sizes, of which one is taken.
        display: shows progress.
    """

    def __init__(
        self,
        executor: ProcessPoolExecutor,
        shared: worker.Shared,
        possible: list[PoolSize],
        display: Display,
    ) -> None:
        self.executor = executor
        self._shared = shared
        self._possible = possible
        self._display = display
        self._size = possible[0]

    def __str__(self) -> str:
        return str(self._size)

    def prepare(self, chosen: list[Run]) -> str:
        """See `run.Workers`."""
        kind = self.executor.submit(worker.refuse, chosen, self._size.threads).result()
        self._size = fastest_size(self.executor, self._possible, self._display)
        return kind

    def train(self, order: list[int], outcomes: Outcomes) -> None:
        """See `run.Workers`."""
        under_way: dict[Future[None], int] = {}
        try:
            self._train(list(order), under_way, outcomes)
        except KeyboardInterrupt:
            self._let_save(under_way)
            raise

    def _train(
        self, waiting: list[int], under_way: dict[Future[None], int], outcomes: Outcomes
    ) -> None:
        done = set[int]()
        while waiting or under_way:
            parents = {number: outcomes.todo[number].after for number in waiting}
            ready = [n for n in waiting if parents[n] is None or parents[n] in done]
            for number in ready[: self._size.workers - len(under_way)]:
                waiting.remove(number)
                self._display.begin(number)
                under_way[self._submit(number, outcomes)] = number
            if not under_way:
                break  # what is left starts from what failed
            over, _ = wait(under_way, timeout=LISTEN_S, return_when=FIRST_COMPLETED)
            self._show_events()
            for future in over:
                number = under_way.pop(future)
                if fault := self._fault(future, outcomes.todo[number].run):
                    outcomes.faults[number] = fault
                else:
                    done.add(number)
                self._display.end(number)
        self._show_events()
        outcomes.skipped += waiting

    def _let_save(self, under_way: Collection[Future[None]]) -> None:
        """Wait until workers that train have saved what waits to be, and ended their jobs.

        Raises:
            Stopped: this process is asked again to end.
        """
        self._display.print("stopping once the epochs under way are saved; once more stops at once")
        for process in multiprocessing.active_children():
            process.terminate()
        wait(under_way)

    def measure(self, what: str) -> None:
        """See `run.Workers`."""
        self.executor.submit(worker.measure, what, self._size.threads).result()

    def _submit(self, number: int, outcomes: Outcomes) -> Future[None]:
        job = outcomes.todo[number]
        return self.executor.submit(worker.train, number, job, self._size.threads)

    def _show_events(self) -> None:
        while True:
            try:
                event = self._shared.events.get_nowait()
            except Empty:
                return
            if isinstance(event, WorkerEvent):
                self._display.update(event)
            else:
                self._display.warn(event)

    def _fault(self, future: Future[None], of: Run) -> TrainingError | None:
        """What a job failed of; None where it is done."""
        try:
            future.result()
        except TrainingError as error:
            return error
        except NetstabError as error:
            return TrainingError(str(error))
        except BrokenProcessPool:
            raise
        except RuntimeError as error:
            hint = "too little memory? Fewer side by side need less: runtime.workers=1"
            return TrainingError(f"{of.name}: {error} ({hint})")
        return None


@contextmanager
def worker_pool(
    ledger: Ledger, manifest: Manifest, display: Display, possible: list[PoolSize]
) -> Iterator[WorkerPool]:
    """As many workers as the largest size has; gone at the end, however that comes.

    Raises:
        TrainingError: a worker died, or there is no room for semaphores.
    """
    context: SpawnContext = multiprocessing.get_context("spawn")
    # The workers hold the end that reads: it ends when this process closes its own, or dies.
    reader, writer = context.Pipe(duplex=False)
    most = max(size.workers for size in possible)
    try:
        # Python's tracker of semaphores starts with the first: a terminal that closes does not
        # end it.
        with stops.masked():
            shared = worker.Shared(
                ledger.params,
                manifest,
                ledger.store,
                context.Queue(),
                reader,
                {size.workers: context.Barrier(size.workers) for size in possible},
            )
            executor = _Executor(most, context, worker.start, (shared,))
    except OSError as error:
        raise TrainingError(
            f"/dev/shm: has to take the semaphores of processes that train side by side, a few "
            f"KiB, and cannot ({error.strerror}). Make room there, or have it writable (docker run "
            "--shm-size=64m); or train without them, run by run: dvc repro with sweep: false under "
            "runtime in params.yaml (netstab study SIZE -S runtime.sweep=false)"
        ) from error
    try:
        with _huge_pages():
            yield WorkerPool(executor, shared, possible, display)
    except BrokenProcessPool:
        raise TrainingError(
            "a training process died: it was killed, or memory ran out. What was saved stays; the "
            "same command goes on. Fewer side by side need less: workers: 1 under runtime in "
            "params.yaml (-S runtime.workers=1)"
        ) from None
    finally:
        writer.close()
        executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _huge_pages() -> Iterator[None]:
    """Let processes that start meanwhile have their heap in huge pages, where glibc knows how.

    Activations come from the heap and go back to it at every step. Where training is the CPU's,
    fewer and larger pages save some of its time (docs/PERFORMANCE.md); who has tuned glibc
    already is left alone.
    """
    if TUNABLES in os.environ or looks_like_gpu():
        yield
        return
    os.environ[TUNABLES] = "glibc.malloc.hugetlb=1"
    try:
        yield
    finally:
        del os.environ[TUNABLES]
