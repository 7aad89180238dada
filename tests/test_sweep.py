"""A sweep's jobs: what is missing, in which order, by how many processes, and what is shown."""

import errno
import io
import os
import re
import sys
import weakref
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from pathlib import Path
from queue import Queue
from threading import Barrier, BrokenBarrierError
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from rich.console import Console

from netstab.errors import TrainingError
from netstab.params import Params
from netstab.store.ledger import Ledger
from netstab.study.experiments import Run, Variant
from netstab.sweep import forecast, progress
from netstab.sweep import run as sweep
from netstab.sweep.display import Display
from netstab.sweep.events import WorkerEvent
from netstab.sweep.jobs import Job, by_critical_path, critical_paths, jobs
from netstab.sweep.local import calibration, pool, worker
from netstab.sweep.local.calibration import PoolSize
from netstab.training import state, trajectory
from tests import small


def names(found: list[Job]) -> list[tuple[str, int, int]]:
    return [(job.run.name, job.end, job.epochs) for job in found]


def test_every_epoch_of_the_plan_is_in_one_job_and_parents_come_first(tmp_path: Path) -> None:
    ledger = small.ledger(small.params(seeds=[0, 1]), tmp_path)
    found = jobs(ledger)
    assert sum(job.epochs for job in found) == 2 * ledger.tree.epochs
    for number, job in enumerate(found):
        start = job.end - job.epochs
        if job.after is not None:
            assert job.after < number
            before = found[job.after]
            host = ledger.host(job.run) if ledger.is_view(job.run) else job.run
            at = start if job.work else before.end
            assert ledger.key(host, at) == ledger.key(before.run, before.end)
        else:
            assert start == 0
    ended = {job.run for job in found if job.end == 10}
    assert {Run(v, s) for v in ledger.tree.schedules for s in (0, 1)} == ended


def test_what_is_stored_is_no_job_and_a_view_or_a_measurement_that_lacks_is(tmp_path: Path) -> None:
    ledger = small.ledger(small.params(experiments=["expB"], own={}), tmp_path)
    context = small.context(ledger.params)
    trajectory.train(ledger, small.run(ledger.params, "baseline"), context, lambda *_: None)
    assert ("baseline-0", 10, 0) in names(jobs(ledger)), "its measurements are missing"
    trained = {job.run.name: job for job in jobs(ledger) if job.work}
    assert trained["outpost-0"].after is None and trained["outpost-0"].epochs == 7
    assert not any(job.epochs and job.run.name == "baseline-0" for job in jobs(ledger))


def test_a_critical_path_counts_what_starts_from_a_job(tmp_path: Path) -> None:
    ledger = small.ledger(small.params(), tmp_path)
    found = jobs(ledger)
    costs = critical_paths(ledger, found)
    for number, job in enumerate(found):
        own = ledger.costs.flop(list(job.work))
        behind = [costs[n] for n, other in enumerate(found) if other.after == number]
        assert costs[number] == pytest.approx(own + max(behind, default=0.0))
    assert costs[0] == max(costs)
    order = by_critical_path(ledger, found)
    assert [costs[n] for n in order] == sorted(costs, reverse=True)
    place = {number: at for at, number in enumerate(order)}
    assert all(job.after is None or place[job.after] < place[n] for n, job in enumerate(found))


def test_a_run_stops_at_the_boundary_that_it_is_asked_for(tmp_path: Path) -> None:
    ledger = small.ledger(small.params(), tmp_path)
    context, outpost = small.context(ledger.params), small.run(ledger.params, "outpost")
    first = jobs(ledger)[0]
    record = trajectory.train(ledger, first.run, context, lambda *_: None, end=first.end)
    assert record.epoch == first.end == 3
    assert ledger.store.record(ledger.key(outpost, 3)) is not None
    stored = {
        record.epoch for key in ledger.store.listing() if (record := ledger.store.record(key))
    }
    assert max(stored) == 3


@pytest.mark.parametrize(
    ("cores", "memory_gib", "runtime", "sizes"),
    [
        (2, 24, {}, [(1, 2), (2, 1)]),
        (16, 64, {}, [(1, 16), (2, 8), (4, 4), (8, 2)]),
        (16, 5, {}, [(1, 16), (2, 8)]),
        (1, 1, {}, [(1, 1)]),
        (8, 64, {"threads": 4}, [(1, 4), (2, 4)]),
        (8, 64, {"threads": 3, "workers": 5}, [(5, 3)]),
        (8, 64, {"workers": 4}, [(4, 2)]),
    ],
)
def test_pools_share_the_cores_and_fit_the_memory(
    cores: int,
    memory_gib: float,
    runtime: dict[str, int],
    sizes: list[tuple[int, int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calibration, "usable_cores", lambda: cores)
    monkeypatch.setattr(calibration, "available_memory", lambda: memory_gib * 2**30)
    study = small.params(runtime={"threads": None, **runtime})
    ledger = small.ledger(study, tmp_path)
    found = calibration.possible_sizes(ledger, jobs(ledger))
    assert [(size.workers, size.threads) for size in found] == sizes


def test_some_runs_of_a_seed_are_a_piece_and_whole_seeds_are_none(tmp_path: Path) -> None:
    ledger = small.ledger(small.params(seeds=[0, 1]), tmp_path)
    every = [Run(variant, seed) for seed in (0, 1) for variant in ledger.tree.schedules]
    assert sweep.is_piece(ledger, every[:5])
    assert not sweep.is_piece(ledger, every)
    assert not sweep.is_piece(ledger, [run for run in every if run.seed == 1])


def test_two_seeds_are_compared_where_all_that_is_compared_is_trained(tmp_path: Path) -> None:
    ledger = small.ledger(small.params(seeds=[0, 1]), tmp_path)
    every = [Run(variant, seed) for seed in (0, 1) for variant in ledger.tree.schedules]
    references = [run for run in every if run.variant.block is None]
    assert sweep.ceiling_is_missing(ledger, references)
    assert not sweep.ceiling_is_missing(ledger, references[1:])
    for name, key in ledger.ceiling_keys().items():
        ledger.measurements.write(key, ledger.ceiling_inputs(name), {"rows": []})
    assert not sweep.ceiling_is_missing(ledger, every)
    assert ledger.ceiling_keys().keys() == {"baseline", "outpost"}
    without = small.ledger(small.params(ceiling={"seeds": []}), tmp_path)
    assert not sweep.ceiling_is_missing(without, every)


class Pool:
    """Workers whose pace is known; where it is a fault, the last one has it, the others waited."""

    def __init__(self, paces: dict[int, float | Exception]) -> None:
        self.paces = paces
        self.asked: Counter[int] = Counter()

    def submit(self, what: Callable[..., Any], size: int, *_: Any) -> Future[float]:
        future: Future[float] = Future()
        pace = self.paces[size]
        self.asked[size] += 1
        if isinstance(pace, Exception):
            last = self.asked[size] == size
            future.set_exception(pace if last else BrokenBarrierError())
        else:
            future.set_result(pace / size)
        return future


LITTLE = RuntimeError("CUDA out of memory")


@pytest.mark.parametrize(
    ("paces", "chosen"),
    [
        ({1: 100, 2: 130, 4: 150}, 4),
        ({1: 100, 2: 130, 4: 131}, 2),
        ({1: 100, 2: 103, 4: 90}, 1),
        ({1: 100, 2: 90, 4: 120}, 4),
        ({1: 100, 2: 130, 4: LITTLE, 8: 500}, 2),
    ],
)
def test_more_processes_are_taken_only_where_they_are_worth_it(
    paces: dict[int, float | Exception], chosen: int, tmp_path: Path
) -> None:
    display = Display(small.ledger(small.params(), tmp_path), Console(file=io.StringIO()))
    possible = [PoolSize(size, 1) for size in paces]
    assert calibration.fastest_size(Pool(paces), possible, display).workers == chosen  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (LITTLE, "4 processes side by side, 1 CPU thread each: CUDA out of memory"),
        (BrokenBarrierError(), "1 CPU thread each: not all of them were ready in time"),
    ],
)
def test_a_trial_says_why_more_processes_were_not_taken(
    fault: Exception, told: str, tmp_path: Path
) -> None:
    said = io.StringIO()
    display = Display(small.ledger(small.params(), tmp_path), Console(file=said, width=200))
    possible = [PoolSize(size, 1) for size in (1, 4, 8)]
    size = calibration.fastest_size(Pool({1: 100, 4: fault, 8: 900}), possible, display)  # type: ignore[arg-type]
    assert size.workers == 1
    assert said.getvalue().splitlines()[-1].endswith(told)


def test_a_trial_that_fails_with_one_process_is_refused(tmp_path: Path) -> None:
    display = Display(small.ledger(small.params(), tmp_path), Console(file=io.StringIO()))
    possible = [PoolSize(1, 2), PoolSize(2, 1)]
    with pytest.raises(TrainingError, match="training cannot begin: CUDA out of memory"):
        calibration.fastest_size(Pool({1: LITTLE, 2: 5.0}), possible, display)  # type: ignore[arg-type]


@pytest.mark.parametrize("fault", [TrainingError("not finite"), BrokenProcessPool("died")])
def test_a_trial_that_fails_of_something_else_than_memory_stops_the_sweep(
    fault: Exception, tmp_path: Path
) -> None:
    display = Display(small.ledger(small.params(), tmp_path), Console(file=io.StringIO()))
    possible = [PoolSize(1, 2), PoolSize(2, 1)]
    with pytest.raises(type(fault)):
        calibration.fastest_size(Pool({1: 100.0, 2: fault}), possible, display)  # type: ignore[arg-type]


@pytest.mark.parametrize("why", [errno.ENOSPC, errno.EROFS])
def test_a_container_without_shared_memory_is_told_where_and_what_to_do(
    why: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(why, os.strerror(why))

    monkeypatch.setattr("_multiprocessing.SemLock", refuse)
    monkeypatch.setattr("multiprocessing.synchronize._multiprocessing.SemLock", refuse)
    ledger = small.ledger(small.params(), tmp_path)
    display = Display(ledger, Console(file=io.StringIO()))
    told = rf"^/dev/shm: .*\({os.strerror(why)}\).*--shm-size=64m.*runtime.sweep=false"
    with (
        pytest.raises(TrainingError, match=told),
        pool.worker_pool(ledger, Any, display, [PoolSize(2, 1)]),
    ):
        pytest.fail("it began")


class Tried:
    """A worker with engines of its own at hand, whose measures may fail."""

    def __init__(
        self, params: Params, store: Path, fault: Exception | None, patch: pytest.MonkeyPatch
    ) -> None:
        self.params, self.store, self.fault = params, store, fault
        self.engines: list[weakref.ref[Any]] = []
        self.together = {1: Barrier(1)}
        patch.setattr(worker, "_shared", [self])
        patch.setattr(worker, "_trainer", lru_cache(1)(self._trainer))

    def _trainer(self, threads: int) -> Any:
        def rehearse() -> None:
            if self.fault:
                raise type(self.fault)(*self.fault.args)  # nobody else keeps it

        context = small.context(self.params)
        self.engines.append(weakref.ref(context.built.engine))
        return SimpleNamespace(
            context=context,
            ledger=small.ledger(self.params, self.store),
            device=SimpleNamespace(type="cuda"),
            rehearse_measures=rehearse,
        )


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (None, ""),
        (LITTLE, "CUDA out of memory"),
        (MemoryError(), "memory ran out"),
        (BrokenBarrierError(), ""),
    ],
)
def test_a_worker_that_was_tried_gives_its_memory_back(
    fault: Exception | None, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Tried(small.params(), tmp_path, fault, monkeypatch)
    if fault is None:
        assert worker.images_per_second(1, 1, 0.01) > 0
    else:
        # The error is kept, as a pool keeps it.
        with pytest.raises(RuntimeError, match=rf"^{told}$") as caught:
            worker.images_per_second(1, 1, 0.01)
        waited = isinstance(fault, BrokenBarrierError)
        assert isinstance(caught.value, BrokenBarrierError) == waited
    (engine,) = here.engines
    assert engine() is None


@pytest.mark.parametrize("fault", [LITTLE, MemoryError(), TrainingError("not finite")])
def test_a_worker_that_fails_keeps_nobody_waiting(
    fault: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Tried(small.params(), tmp_path, fault, monkeypatch)
    with pytest.raises(type(fault) if isinstance(fault, TrainingError) else RuntimeError):
        worker.images_per_second(1, 1, 0.01)
    assert here.together[1].broken


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_a_trial_trains_on_and_on_a_gpu_takes_the_memory_of_measuring_too(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = small.ledger(small.params(), tmp_path)
    context, taken = small.context(ledger.params), []
    trainer = SimpleNamespace(
        context=context,
        ledger=ledger,
        device=SimpleNamespace(type=kind),
        rehearse_measures=lambda: taken.append("memory"),
    )
    monkeypatch.setattr(worker, "_trainer", lambda threads: trainer)
    made_ready = worker._warmed_up(1)
    assert taken == (["memory"] if kind == "cuda" else [])
    engine = context.built.engine
    before = state.capture(engine)
    assert made_ready() == min(worker.STEPS[kind] * 8, len(context.built.training))
    assert not state.equal(state.capture(engine), before), "it trained on"
    with torch.no_grad():
        next(engine.model.parameters()).fill_(float("nan"))
    assert made_ready() > 0
    assert all(weight.isfinite().all() for weight in engine.model.parameters()), "from the start"


def test_what_a_worker_prints_is_shown_by_the_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: Queue[Any] = Queue()
    shared = SimpleNamespace(events=events)

    def train(*_: object) -> None:
        print("warning: no field", file=sys.stderr)

    job = Job(Run(Variant("baseline"), 0), 1, (), None)
    monkeypatch.setattr(worker, "_shared", [shared])
    monkeypatch.setattr(worker, "_trainer", lambda threads: SimpleNamespace(train=train))
    worker.train(0, job, 1)
    said = io.StringIO()
    display = Display(small.ledger(small.params(), tmp_path), Console(file=said))
    workers = pool.WorkerPool(Any, shared, [PoolSize(1, 1)], display)  # type: ignore[arg-type]
    workers.train([], sweep.Outcomes([job], display))
    assert said.getvalue() == "warning: no field\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_what_others_say_is_shown_as_it_is(terminal: bool, tmp_path: Path) -> None:
    ledger, said = small.ledger(small.params(), tmp_path), io.StringIO()
    display = Display(ledger, Console(file=said, width=60, force_terminal=terminal))
    told = "expected [3, 64] and not [/x], :cat: " + "and so on " * 9
    display.start([Job(Run(Variant("baseline"), 0), 1, (), None)], "alone", gpu=False)
    with display:
        display.begin(0)
        display.update(WorkerEvent(0, "baseline-0", None, "[/x]"))
        display.warn("warning: once")
        display.warn("warning: once")
        display.print(told)
    assert said.getvalue().count("warning: once\n") == 1
    assert told in said.getvalue() and "[/x]\n" in said.getvalue().replace(")", "")


def watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Ledger, Display, io.StringIO, list[float]]:
    """A study's ledger, a display of it, what that says, and its clock, which stands still."""
    ledger = small.ledger(small.params(), tmp_path)
    said, now = io.StringIO(), [0.0]
    monkeypatch.setattr("netstab.sweep.display.time.monotonic", lambda: now[0])
    return ledger, Display(ledger, Console(file=said, width=200)), said, now


def test_progress_is_told_in_lines_where_there_is_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, display, said, now = watched(tmp_path, monkeypatch)
    todo = jobs(ledger)
    display.start(todo, "2 processes side by side, 1 CPU thread each", gpu=False)
    with display:
        display.begin(0)
        for epoch in range(3):
            now[0] += 10
            display.update(WorkerEvent(0, "baseline-0", epoch, "val top-1 12.3 %, 10 s an epoch"))
        display.update(WorkerEvent(0, "baseline-0", None, "measuring at epoch 3"))
        display.end(0)
    lines = said.getvalue().splitlines()
    total = ledger.tree.epochs
    assert lines[0] == (
        f"{total} epochs in {len(todo)} jobs on the CPU, 2 processes side by side, 1 CPU "
        "thread each"
    )
    assert lines[1].startswith(f"study: 2 of {total} epochs, 0 of {len(todo)} jobs, about ")
    assert lines[1].endswith("left (baseline-0 epoch 2: val top-1 12.3 %, 10 s an epoch)")
    assert lines[-1] == f"3 of {total} epochs done in 30 s"


def test_the_time_left_has_what_is_still_to_be_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, display, said, now = watched(tmp_path, monkeypatch)
    todo = jobs(ledger)
    display.start(todo, "one process, 1 CPU thread", gpu=False)
    lacking = [key for of in forecast.unmeasured(ledger, todo) for key in of]
    assert len(lacking) > 2, "nothing is measured here"
    entry = {"rows": [], "provenance": {}}
    with display:
        for number, job in enumerate(todo):
            for epoch in range(job.end - job.epochs, job.end):
                display.update(WorkerEvent(number, job.run.name, epoch, "trained"))
        for key in lacking[:-1]:
            ledger.measurements.write(key, {}, entry)
        now[0] = 1000.0
        display.update(
            WorkerEvent(0, "baseline-0", None, "measuring sharpness at epoch 3, block 64")
        )
        ledger.measurements.write(lacking[-1], {}, entry)
        now[0] = 2000.0
        display.update(WorkerEvent(0, "baseline-0", None, "measured"))
    total = f"study: {ledger.tree.epochs} of {ledger.tree.epochs} epochs, 0 of {len(todo)} jobs, "
    told = [line for line in said.getvalue().splitlines() if line.startswith(total)]
    assert len(told) == 2
    left = re.fullmatch(
        r"about (.+) s left \(baseline-0: measuring .+\)", told[0].removeprefix(total)
    )
    assert left and 0 < float(left[1]) < 100, "one measurement of many is left"
    assert told[1].removeprefix(total) == "about 0 s left (baseline-0: measured)"


@pytest.mark.long
def test_workers_get_huge_pages_unless_glibc_is_tuned_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = small.ledger(small.params(), tmp_path)
    manifest: Any = None
    display: Any = None
    monkeypatch.setattr(pool, "looks_like_gpu", lambda: False)
    monkeypatch.setattr(worker, "start", small.silent)  # nothing is made ready
    for before, seen in ((None, "glibc.malloc.hugetlb=1"), ("glibc.malloc.check=1",) * 2):
        monkeypatch.delenv(pool.TUNABLES, raising=False)
        if before:
            monkeypatch.setenv(pool.TUNABLES, before)
        with pool.worker_pool(ledger, manifest, display, [PoolSize(1, 1)]) as workers:
            assert workers.executor.submit(os.getenv, pool.TUNABLES).result() == seen
        assert os.environ.get(pool.TUNABLES) == before


def test_a_view_waits_for_the_run_that_it_looks_at(tmp_path: Path) -> None:
    ledger = small.ledger(small.params(), tmp_path)
    found = jobs(ledger)
    (view,) = [job for job in found if job.run.variant == Variant("expE", "ema")]
    assert view.after is not None and not view.work
    assert (found[view.after].run.name, found[view.after].end) == ("baseline-0", 10)


# A run by itself


def test_a_run_by_itself_is_told_four_times_a_minute_and_at_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("netstab.sweep.progress.time.monotonic", lambda: now)
    ledger = small.ledger(small.params(), tmp_path)
    run = small.run(ledger.params, "expB-64")
    with progress.Reporter(ledger, run, gpu=False, threads=1) as reporter:
        for seconds, epoch in ((0, 0), (5, 1), (15, 2), (1, 3), (1, 9)):
            now += seconds
            reporter.epoch_done(run, {"epoch": epoch, "val_top1_pct": 10 + epoch}, 2.0)
            reporter.measuring("measuring sharpness")
        now += 15
        reporter.measuring("measuring sharpness")
        reporter.study()
    said = capsys.readouterr()
    assert said.out == ""
    *told, last = said.err.splitlines()
    assert told == [
        "expB-64-0: epoch 1/10, val top-1 10.0 %, 2 s an epoch, run 18 s left",
        "expB-64-0: epoch 3/10, val top-1 12.0 %, 2 s an epoch, run 14 s left",
        "expB-64-0: epoch 10/10, val top-1 19.0 %, 2 s an epoch, run 0 s left",
        "expB-64-0: measuring sharpness",
    ]
    assert re.fullmatch(
        r"study: 0 of 27 runs, 0 of \d+ epochs done; roughly .* of training left", last
    )


def test_a_run_by_itself_has_a_bar_in_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    ledger = small.ledger(small.params(), tmp_path)
    run = small.run(ledger.params, "expB-64")
    with progress.Reporter(ledger, run, gpu=False, threads=1) as reporter:
        reporter.epoch_done(run, {"epoch": 4, "val_top1_pct": 43.21}, 2.0)
    said = capsys.readouterr().err
    assert "expB-64-0" in said and "epoch 5/10" in said and "val top-1 43.2 %" in said
