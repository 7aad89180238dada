"""The whole study in one go: every job of the plan, several processes side by side where it pays.

The tree of shared pasts is walked parents first, the longest remaining way before shorter ones.
The parent hands out jobs and needs no torch; workers train them as a stage would, through the same
store, so a sweep may be stopped, killed, started twice, or left to `dvc repro` at any time.
"""

import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import SpawnContext
from queue import Empty
from threading import BrokenBarrierError

import psutil

from netstab.data.manifest import Manifest
from netstab.errors import NetstabError, TrainingError
from netstab.machine import looks_like_gpu, usable_cores
from netstab.store.ledger import Ledger
from netstab.study.experiments import Run, runs
from netstab.sweep import worker
from netstab.sweep.board import Board
from netstab.sweep.jobs import Job, ahead, jobs

TRIAL_S = 2.0
"""For how long each number of workers is tried."""
WORTH = 1.05
"""How many times faster more workers have to be, all together."""
MOST = 8
"""Workers on one machine; beyond, memory and disk are what they wait for."""
MEMORY_EACH = 2 * 2**30
"""Bytes that a worker may take."""
TUNABLES = "GLIBC_TUNABLES"
OTHER_BITS = (
    "warning: on CUDA a past that is trained twice comes to other bits each time, and runs from "
    "different stores cannot be joined. If these are a piece of a study, set deterministic: true "
    "under train in params.yaml, for every piece"
)
OTHER_THREADS = (
    "warning: another number of CPU threads comes to other bits, and runs from different stores "
    "cannot be joined then. If these are a piece of a study, set threads under runtime in "
    "params.yaml (threads: 1, say), the same for every piece"
)


@dataclass(frozen=True, slots=True)
class Crew:
    """How many workers train side by side, and in how many CPU threads each."""

    workers: int
    threads: int

    @property
    def spoken(self) -> str:
        """For people."""
        alone = "one process" if self.workers == 1 else f"{self.workers} processes side by side"
        return f"{alone}, {self.threads} CPU thread{'s'[: self.threads > 1]} each"


def sweep(
    ledger: Ledger, manifest: Manifest, board: Board, chosen: Sequence[Run] | None = None
) -> None:
    """Train and measure what the plan asks for and the store lacks.

    Args:
        ledger: of the study.
        manifest: of its images, which are prepared.
        board: shows how far it is.
        chosen: the runs that are wanted; None for all.

    Raises:
        NetstabError: a run is refused, or one or more could not be trained: those that do not
            hang on them are done, and every fault is named.
        KeyboardInterrupt: after the workers have gone; the store has what they saved.
    """
    chosen = runs(ledger.params) if chosen is None else chosen
    todo, ceiling = jobs(ledger, chosen), ceiling_is_missing(ledger, chosen)
    if not todo and not ceiling:
        board.nothing()
        return
    possible = _possible(ledger, todo)
    with _pool(ledger, manifest, possible) as crewed:
        pool, shared = crewed
        trained = list(dict.fromkeys(job.run for job in todo))
        kind = pool.submit(worker.refuse, trained, possible[0].threads).result()
        crew = _calibrated(pool, possible, board)
        warn_of_other_bits(ledger, chosen, kind, board)
        if todo:
            board.start(todo, crew.spoken, gpu=kind == "cuda")
            _Sweep(ledger, todo, crew, pool, shared, board).run()
        if ceiling:
            board.say("comparing two seeds with each other (ceiling)")
            pool.submit(worker.compare_seeds, crew.threads).result()


def warn_of_other_bits(ledger: Ledger, chosen: Sequence[Run], kind: str, board: Board) -> None:
    """Say so where pieces of a study that are trained like this could not be joined.

    Args:
        ledger: of the study.
        chosen: the runs that are wanted.
        kind: of device that trains, `cpu` or `cuda`.
        board: to say it on.
    """
    if not _is_piece(ledger, chosen):
        return
    if kind == "cuda" and not ledger.params.train.deterministic:
        board.say(OTHER_BITS)
    if kind == "cpu" and ledger.params.runtime.threads is None:
        board.say(OTHER_THREADS)


def _is_piece(ledger: Ledger, chosen: Sequence[Run]) -> bool:
    """Whether some runs of a seed are left out, whose past others will train once more."""
    seeds = {run.seed for run in chosen}
    return any(run not in chosen for run in runs(ledger.params) if run.seed in seeds)


def ceiling_is_missing(ledger: Ledger, chosen: Sequence[Run]) -> bool:
    """Whether two seeds are to be compared, and all that is compared is or will be here."""
    keys = ledger.ceiling_keys()
    compared = [run for name in keys for run in ledger.compared(name)]
    ends = {ledger.key(run, ledger.schedule(run).epochs) for run in compared}
    return (
        any(key not in ledger.measurements for key in keys.values())
        and all(run in chosen for run in compared)
        and not ends & ledger.imports.listing() - ledger.store.listing()
    )


def _possible(ledger: Ledger, todo: list[Job]) -> list[Crew]:
    """The crews to try, small ones first: 1, 2, 4 ... workers that share the cores."""
    runtime, cores = ledger.params.runtime, usable_cores()
    if runtime.workers:
        return [Crew(runtime.workers, runtime.threads or max(1, cores // runtime.workers))]
    room = max(1, int(psutil.virtual_memory().available / MEMORY_EACH))
    most = min(MOST, room, cores // (runtime.threads or 1), _side_by_side(todo))
    if looks_like_gpu() and runtime.device != "cpu":
        most = min(MOST, room, _side_by_side(todo))
    sizes = [size for size in (1, 2, 4, 8) if size <= max(1, most)]
    return [Crew(size, runtime.threads or max(1, cores // size)) for size in sizes]


def _side_by_side(todo: list[Job]) -> int:
    """How many jobs there can be at once, at most: those that nothing waits for."""
    return len(set(range(len(todo))) - {job.after for job in todo})


@contextmanager
def _pool(
    ledger: Ledger, manifest: Manifest, possible: list[Crew]
) -> Iterator[tuple[ProcessPoolExecutor, worker.Shared]]:
    """As many workers as the largest crew has; gone at the end, however that comes."""
    context: SpawnContext = multiprocessing.get_context("spawn")
    # The workers hold the end that reads: it ends when this process closes its own, or dies.
    reader, writer = context.Pipe(duplex=False)
    shared = worker.Shared(
        ledger.params,
        manifest,
        ledger.store,
        context.Queue(),
        reader,
        {crew.workers: context.Barrier(crew.workers) for crew in possible},
    )
    most = max(crew.workers for crew in possible)
    pool = ProcessPoolExecutor(most, context, worker.join, (shared,))
    try:
        with _huge_pages():
            yield pool, shared
    except BrokenProcessPool:
        raise TrainingError(
            "a training process died: it was killed, or memory ran out. What was saved stays; the "
            "same command goes on. Fewer side by side need less: workers: 1 under runtime in "
            "params.yaml (-S runtime.workers=1)"
        ) from None
    finally:
        writer.close()
        pool.shutdown(wait=True, cancel_futures=True)


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


def _calibrated(pool: ProcessPoolExecutor, possible: list[Crew], board: Board) -> Crew:
    """The crew that trains the most images a second; a larger one only where it is worth it."""
    best, pace = possible[0], 0.0
    if len(possible) == 1:
        return best
    for crew in possible:
        board.say(f"trying {crew.spoken} ...")
        paces = [
            pool.submit(worker.pace, crew.workers, crew.threads, TRIAL_S)
            for _ in range(crew.workers)
        ]
        if fault := _fault(paces):
            if crew == possible[0]:
                raise TrainingError(
                    f"training cannot begin: {fault}. Mend that, or lower train.batch_size or "
                    "model.width if memory is short, and run the same command again"
                )
            board.say(f"{crew.spoken}: {fault}")
            break
        found = sum(one.result() for one in paces)
        board.say(f"{crew.spoken}: {found:,.0f} images a second")
        if found > pace * WORTH:
            best, pace = crew, found
    return best


def _fault(paces: "list[Future[float]]") -> str:
    """Why a crew cannot train, in words; empty if it can. As a rule memory is too small.

    Raises:
        Exception: a worker failed of something else, or died.
    """
    wait(paces)
    found = [fault for one in paces if (fault := one.exception())]
    # Where one fails, the others have waited for it in vain, and tell of that alone.
    causes = [fault for fault in found if not isinstance(fault, BrokenBarrierError)]
    for cause in causes:
        if isinstance(cause, BrokenProcessPool) or not isinstance(cause, RuntimeError):
            raise cause
    if causes:
        return str(causes[0])
    return "not all of them were ready in time" if found else ""


@dataclass
class _Sweep:
    """The jobs of a sweep on their way."""

    ledger: Ledger
    todo: list[Job]
    crew: Crew
    pool: ProcessPoolExecutor
    shared: worker.Shared
    board: Board
    done: set[int] = field(default_factory=set)
    faults: dict[int, str] = field(default_factory=dict)

    def run(self) -> None:
        """Hand out jobs until none is left."""
        way = ahead(self.ledger, self.todo)
        waiting = sorted(range(len(self.todo)), key=lambda number: -way[number])
        under_way: dict[Future[None], int] = {}
        with self.board:
            while waiting or under_way:
                for number in self._ready(waiting)[: self.crew.workers - len(under_way)]:
                    waiting.remove(number)
                    job = self.todo[number]
                    self.board.begin(number)
                    future = self.pool.submit(worker.do, number, job, self.crew.threads)
                    under_way[future] = number
                if not under_way:
                    break  # what is left hangs on what failed
                self._listen(under_way)
        tell_of_faults(self.faults.values(), [self.todo[number] for number in waiting])

    def _ready(self, waiting: list[int]) -> list[int]:
        return [n for n in waiting if (after := self.todo[n].after) is None or after in self.done]

    def _listen(self, under_way: dict[Future[None], int]) -> None:
        """Pass on what workers say, until one is done."""
        over, _ = wait(under_way, timeout=0.2, return_when=FIRST_COMPLETED)
        while True:
            try:
                self.board.hear(self.shared.said.get_nowait())
            except Empty:
                break
        for future in over:
            number = under_way.pop(future)
            try:
                future.result()
                self.done.add(number)
            except NetstabError as error:
                self.faults[number] = str(error)
            except BrokenProcessPool:
                raise
            except RuntimeError as error:
                hint = "too little memory? Fewer side by side need less: runtime.workers=1"
                self.faults[number] = f"{self.todo[number].run.name}: {error} ({hint})"
            self.board.end(number)


def tell_of_faults(faults: Iterable[str], left: Sequence[Job]) -> None:
    """End a sweep: well, or with every fault named.

    Args:
        faults: what jobs failed of.
        left: jobs that hang on those.

    Raises:
        TrainingError: there were faults.
    """
    lines = list(dict.fromkeys(faults))
    if not lines:
        return
    if left:
        names = ", ".join(job.name for job in left)
        lines.append(f"not trained, since they start from there: {names}")
    raise TrainingError("\n".join(lines))
