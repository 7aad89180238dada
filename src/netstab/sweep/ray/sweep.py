"""The whole study by Ray: a task for each job, which depends on the task that it starts from.

Ray orders, places and repeats; nothing is scheduled here. Jobs are handed in with the longest
remaining way first, and Ray keeps that order among those that can start.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray import ObjectRef
from ray.exceptions import GetTimeoutError, RayError, RayTaskError

from netstab.data.manifest import Manifest
from netstab.data.tensors import NAMES, load
from netstab.errors import NetstabError
from netstab.machine import usable_cores
from netstab.params import Params
from netstab.store.ledger import Ledger
from netstab.study.experiments import Run, runs
from netstab.sweep.board import Board
from netstab.sweep.jobs import Job, ahead, jobs
from netstab.sweep.local import ceiling_is_missing, tell_of_faults, warn_of_other_bits
from netstab.sweep.ray import start, worker
from netstab.sweep.ray.crew import Crew, alive, crew_of
from netstab.sweep.ray.lines import first_line

LISTEN_S = 0.2


def sweep(
    ledger: Ledger,
    manifest: Manifest,
    board: Board,
    chosen: Sequence[Run] | None = None,
    *,
    address: str | None = None,
    gpus: float | None = None,
) -> None:
    """Train and measure what the plan asks for and the store lacks; see `training.sweep.sweep`.

    Args:
        ledger: of the study.
        manifest: of its images, which are prepared.
        board: shows how far it is.
        chosen: the runs that are wanted; None for all.
        address: of a Ray cluster that this machine is a node of; None to start a Ray here.
        gpus: the share of a GPU that a worker takes; None for a whole one where there are any.

    Raises:
        NetstabError: a run is refused, or one or more could not be trained: those that do not
            hang on them are done, and every fault is named; or there is no such cluster.
        KeyboardInterrupt: after our tasks have ended; the store has what they saved.
    """
    chosen = runs(ledger.params) if chosen is None else chosen
    todo, ceiling = jobs(ledger, chosen), ceiling_is_missing(ledger, chosen)
    if not todo and not ceiling:
        board.nothing()
        return
    images = load(manifest)
    size = sum(getattr(images, name).nbytes for name in NAMES)
    threads = ledger.params.runtime.threads or 1
    cpus = (ledger.params.runtime.workers or max(1, usable_cores() // threads)) * threads
    with start.connected(address, cpus, size):
        share = _share(ledger.params, gpus, address)
        board.say(_nodes(share, threads))
        token = secrets.token_hex(16)
        study = worker.Study(
            _of_worker(ledger.params, threads, gpus),
            share,
            manifest,
            (ledger.numerics, ledger.measures),
            ledger.store.root.resolve(),
            token,
            images,
        )
        with crew_of(study, {"num_cpus": threads, "num_gpus": share}) as crew:
            kind = crew.refuse(list(dict.fromkeys(job.run for job in todo)))
            warn_of_other_bits(ledger, chosen, kind, board)
            if todo:
                board.start(todo, "by Ray", gpu=kind == "cuda")
                _Sweep(ledger, todo, crew, board).run()
            if ceiling:
                board.say("comparing two seeds with each other (ceiling)")
                crew.compare_seeds()


def _share(params: Params, gpus: float | None, address: str | None) -> float:
    """The share of a GPU that a worker takes.

    Raises:
        NetstabError: it is at odds with `runtime.device`, or this machine has no such GPU.
    """
    device = params.runtime.device
    there = sum(node["Resources"].get("GPU", 0.0) for node in alive())
    share = gpus
    if share is None:
        share = 0.0 if device == "cpu" or not there else 1.0
    if share and device == "cpu":
        raise NetstabError(
            f"--gpus-per-worker {share:g}: params.yaml says device: cpu under runtime; leave out "
            "the one, or set the other to auto"
        )
    if not share and device.startswith("cuda"):
        none = "--gpus-per-worker 0" if gpus is not None else "--ray: Ray has no GPU"
        raise NetstabError(
            f"{none}, but params.yaml says device: {device} under runtime; set it to auto or cpu, "
            "or wait for a node with one by --gpus-per-worker 1"
        )
    if address is None and share > there:
        raise NetstabError(
            f"--gpus-per-worker {share:g}: Ray finds {there:g} GPUs on this machine; ask for less, "
            "or name a cluster that has more"
        )
    return share


def _of_worker(params: Params, threads: int, gpus: float | None) -> Params:
    """The parameters, with the threads of a worker; a share of 0 asks for the CPU."""
    device = "cpu" if gpus == 0 else params.runtime.device
    runtime = params.runtime.model_copy(update={"threads": threads, "device": device})
    return params.model_copy(update={"runtime": runtime})


def _room(there: dict[str, float], share: float, threads: int) -> float:
    """How many workers a node has room for; two of them never share a GPU beyond its whole."""
    cpus, gpus = there.get("CPU", 0.0) // threads, there.get("GPU", 0.0)
    if share >= 1:
        return min(cpus, gpus // share)
    # Ray counts in 1/10,000: ten workers with 0.1 have room on a GPU.
    return min(cpus, gpus // 1 * (10_000 // round(share * 10_000))) if share else cpus


def _nodes(share: float, threads: int) -> str:
    """How many nodes there are, and how many workers they have room for."""
    there = [node["Resources"] for node in alive()]
    room = sum(_room(of, share, threads) for of in there)
    plural = "s" if len(there) > 1 else ""
    each = f"{share:g} GPU and " if share else ""
    each += f"{threads} CPU thread{'s'[: threads > 1]} each"
    if not room:
        return f"Ray: {len(there)} node{plural}, none with {each}; waiting for one that has"
    return f"Ray: {len(there)} node{plural}, up to {room:,.0f} side by side, {each}"


@dataclass
class _Sweep:
    """The jobs of a sweep on their way."""

    ledger: Ledger
    todo: list[Job]
    crew: Crew
    board: Board
    begun: set[int] = field(default_factory=set)
    where: dict[int, str] = field(default_factory=dict)
    faults: dict[int, str] = field(default_factory=dict)
    skipped: list[int] = field(default_factory=list)
    noted: set[str] = field(default_factory=set)

    def run(self) -> None:
        """Hand in every job, and wait for the last."""
        way = ahead(self.ledger, self.todo)
        tasks: dict[int, ObjectRef[Any]] = {}
        # A job is never behind what it waits for: that has its own way and the job's ahead.
        for number in sorted(range(len(self.todo)), key=lambda number: -way[number]):
            after = self.todo[number].after
            before = None if after is None else tasks[after]
            tasks[number] = self.crew.submit(number, self.todo[number], before)
        under_way = {task: number for number, task in tasks.items()}
        try:
            with self.board:
                while under_way:
                    over, _ = ray.wait(
                        list(under_way), num_returns=len(under_way), timeout=LISTEN_S
                    )
                    self._listen()
                    for task in over:
                        self._over(under_way.pop(task), task)
        finally:
            for task in under_way:
                ray.cancel(task, force=True)
        tell_of_faults(self.faults.values(), [self.todo[n] for n in sorted(self.skipped)])

    def _listen(self) -> None:
        """Pass on what workers say."""
        try:
            news = ray.get(self.crew.depot.heard.remote(), timeout=60)
        except GetTimeoutError:
            return  # it is busy with states
        for said in news:
            if isinstance(said, str):
                if said not in self.noted:  # many workers have the same to say
                    self.noted.add(said)
                    self.board.say(said)
                continue
            if said.job not in self.begun:
                self.begun.add(said.job)
                self.board.begin(said.job)
            if said.epoch is None and said.figures.startswith(worker.ON):
                # Once is the rule: Ray begins a task again where its node or process was lost.
                if said.job in self.where:
                    lost = f"{said.run}: its node or process was lost"
                    self.board.say(f"{lost}; begun again {said.figures}")
                self.where[said.job] = said.figures
            self.board.hear(said)

    def _over(self, number: int, task: "ObjectRef[Any]") -> None:
        job, after = self.todo[number], self.todo[number].after
        # What is lost, or fails, takes all with it that starts from there.
        idle = after in self.faults or after in self.skipped
        try:
            outcome: worker.Outcome = ray.get(task)
        except RayTaskError as error:
            what = f"{type(error.cause).__name__}: {first_line(error.cause)}"
            outcome = worker.Fault(None if idle else f"{job.name}: {what}")
        except RayError as error:
            lost = f"{job.name}: lost {start.TRIES + 1} times ({first_line(error)})"
            outcome = worker.Fault(None if idle else lost)
        if isinstance(outcome, worker.Fault):
            if outcome.why is None:
                self.skipped.append(number)
            else:
                self.faults[number] = outcome.why
        self.board.end(number)
