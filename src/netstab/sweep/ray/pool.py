"""Workers on a Ray cluster: a task for each job, which depends on the task that it starts from.

Ray orders, places and repeats; nothing is scheduled here. Jobs are handed in by their critical
paths, and Ray keeps that order among those that can start.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import ray
from ray import ObjectRef
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from netstab.data.manifest import Manifest
from netstab.data.tensors import NAMES, load
from netstab.errors import TrainingError
from netstab.machine import usable_cores
from netstab.store.ledger import Ledger
from netstab.study.experiments import Run
from netstab.sweep import run
from netstab.sweep.display import Display
from netstab.sweep.events import WorkerEvent
from netstab.sweep.jobs import Job
from netstab.sweep.output import first_line
from netstab.sweep.ray import resources, start, worker
from netstab.sweep.ray.marks import marked
from netstab.sweep.ray.remote_store import Handle, asked
from netstab.sweep.ray.store_server import StoreServer
from netstab.sweep.run import Outcomes

LISTEN_S = 0.2
CLEAN_S = 60.0
"""How long nodes may take to remove what was left there; a busy one starts a process."""


def sweep(
    ledger: Ledger,
    manifest: Manifest,
    display: Display,
    chosen: Sequence[Run] | None = None,
    *,
    address: str | None = None,
    gpus: float | None = None,
) -> None:
    """Train and measure what the plan asks for and the store lacks, by Ray.

    Args:
        ledger: of the study.
        manifest: of its images, which are prepared.
        display: shows progress.
        chosen: the runs that are wanted; None for all.
        address: of a Ray cluster that this machine is a node of; None to start a Ray here.
        gpus: the share of a GPU that a worker takes; None for a whole one where there are any.

    Raises:
        NetstabError: see `run.sweep`; or there is no such cluster.
    """
    run.sweep(ledger, display, chosen, lambda todo: _pool(ledger, manifest, display, address, gpus))


@contextmanager
def _pool(
    ledger: Ledger, manifest: Manifest, display: Display, address: str | None, gpus: float | None
) -> Iterator["RayPool"]:
    """Workers for a command, whose mark is in the store for that long."""
    images = load(manifest)
    size = sum(getattr(images, name).nbytes for name in NAMES)
    threads = ledger.params.runtime.threads or 1
    cpus = (ledger.params.runtime.workers or max(1, usable_cores() // threads)) * threads
    with start.connected(address, cpus, size):
        share = resources.share_of(ledger.params, gpus, address)
        display.print(resources.describe(share, threads))
        config = worker.WorkerConfig(
            resources.params_of(ledger.params, threads, gpus),
            share,
            int(resources.gpus_there()) if address is None else 0,
            manifest,
            (ledger.numerics, ledger.measures),
            ledger.store.root.resolve(),
            secrets.token_hex(16),
            images,
        )
        with marked(config.store, config.token):
            pool = RayPool(config, {"num_cpus": threads, "num_gpus": share}, display)
            try:
                yield pool
            finally:
                with suppress(RayError):  # where Ray is gone, no node can be reached
                    pool.clean_up()


class RayPool:
    """See `run.Workers`.

    Args:
        config: what every worker has to know.
        taken: resources of Ray's that each takes.
        display: shows progress.
    """

    def __init__(
        self, config: worker.WorkerConfig, taken: dict[str, float], display: Display
    ) -> None:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        served = ray.remote(StoreServer).options(
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=-1,
            max_concurrency=16,
            scheduling_strategy=here,
        )
        self._server: Handle = served.remote(config.store, config.token)
        self._token = config.token
        self._config = ray.put(config)
        self._options: dict[str, Any] = {**taken, "max_retries": start.TRIES}
        self._display = display
        self._shown: set[int] = set()
        self._begun: set[int] = set()

    def __str__(self) -> str:
        return "by Ray"

    def prepare(self, chosen: list[Run]) -> str:
        """See `run.Workers`."""
        task = ray.remote(worker.refuse).options(**self._options)
        kind: str = asked(task.remote(self._config, self._server, chosen))
        return kind

    def train(self, order: list[int], outcomes: Outcomes) -> None:
        """See `run.Workers`."""
        tasks: dict[int, ObjectRef[Any]] = {}
        for number in order:
            job = outcomes.todo[number]
            before = None if job.after is None else tasks[job.after]
            tasks[number] = self._submit(number, job, before)
        under_way = {task: number for number, task in tasks.items()}
        try:
            while under_way:
                over, _ = ray.wait(list(under_way), num_returns=len(under_way), timeout=LISTEN_S)
                self._show_reports()
                for task in over:
                    self._end(under_way.pop(task), task, outcomes)
        except KeyboardInterrupt:
            self._let_save(list(under_way))
            # To cancel a task that is just being completed ends this process: a fault of Ray's.
            under_way.clear()
            raise
        finally:
            for task in under_way:
                ray.cancel(task, force=True)

    def _let_save(self, tasks: "list[ObjectRef[Any]]") -> None:
        """Wait until tasks that train have saved what waits to be, and ended.

        Raises:
            Stopped: this process is asked again to end.
        """
        self._display.print("stopping once the epochs under way are saved; once more stops at once")
        with suppress(RayError):  # where Ray is gone, nothing can be waited for
            self._server.stop.remote()
            ray.wait(tasks, num_returns=len(tasks))

    def measure(self, what: str) -> None:
        """See `run.Workers`."""
        task = ray.remote(worker.measure).options(**self._options)
        asked(task.remote(self._config, self._server, what))

    def clean_up(self) -> None:
        """Have what workers keep on nodes that do not see the store removed.

        Raises:
            RayError: Ray is gone, or does not answer in time.
        """
        if not ray.get(self._server.was_used.remote(), timeout=CLEAN_S):
            return
        gone = []
        for node in resources.alive():
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task = ray.remote(worker.remove_copies).options(num_cpus=0, scheduling_strategy=there)
            gone.append(task.remote(self._token))
        ray.wait(gone, num_returns=len(gone), timeout=CLEAN_S)

    def _submit(self, number: int, job: Job, before: "ObjectRef[Any] | None") -> "ObjectRef[Any]":
        task = ray.remote(worker.train).options(name=job.name, **self._options)
        found: ObjectRef[Any] = task.remote(self._config, self._server, number, job, before)
        return found

    def _show_reports(self) -> None:
        try:
            reports = ray.get(self._server.take_reports.remote(), timeout=60)
        except GetTimeoutError:
            return  # it is busy with states
        for report in reports:
            if isinstance(report, WorkerEvent):
                self._show(report)
            else:
                self._display.warn(report)

    def _show(self, event: WorkerEvent) -> None:
        if event.job not in self._shown:
            self._shown.add(event.job)
            self._display.begin(event.job)
        if event.begins:
            # Once is the rule: Ray begins a task again where its node or process was lost.
            if event.job in self._begun:
                lost = f"{event.run}: its node or process was lost"
                self._display.print(f"{lost}; begun again {event.text}")
            self._begun.add(event.job)
        self._display.update(event)

    def _end(self, number: int, task: "ObjectRef[Any]", outcomes: Outcomes) -> None:
        job = outcomes.todo[number]
        try:
            outcome: worker.Outcome = ray.get(task)
        except RayTaskError as error:
            what = f"{type(error.cause).__name__}: {first_line(error.cause)}"
            outcome = worker.Fault(f"{job.name}: {what}")
        except RayError as error:
            lost = f"{job.name}: lost {start.TRIES + 1} times ({first_line(error)})"
            outcome = worker.Fault(lost)
        if isinstance(outcome, worker.Fault):
            # A job that starts from one that failed has not failed itself.
            if outcome.why is None or job.after in {*outcomes.faults, *outcomes.skipped}:
                outcomes.skipped.append(number)
            else:
                outcomes.faults[number] = TrainingError(outcome.why)
        self._display.end(number)
