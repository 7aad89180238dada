"""Ray's nodes and workers, as far as one command uses them."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import ray
from ray import ObjectRef
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from netstab.study.experiments import Run
from netstab.sweep.jobs import Job
from netstab.sweep.ray import store_server as depots
from netstab.sweep.ray import worker
from netstab.sweep.ray.remote_store import Handle, asked
from netstab.sweep.ray.start import TRIES

LEAVE_S = 60.0
"""How long nodes may take to remove what was left there; a busy one starts a process."""


def alive() -> list[dict[str, Any]]:
    """Ray's nodes, as it describes them."""
    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


class Crew:
    """Ray's workers, as far as this command uses them."""

    def __init__(self, study: worker.Study, resources: dict[str, float]) -> None:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        served = ray.remote(depots.Depot).options(
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=-1,
            max_concurrency=16,
            scheduling_strategy=here,
        )
        self.depot: Handle = served.remote(study.store, study.token)
        self._token = study.token
        self._study = ray.put(study)
        self._options: dict[str, Any] = {**resources, "max_retries": TRIES}

    def refuse(self, todo: list[Run]) -> str:
        """See `worker.refuse`."""
        task = ray.remote(worker.refuse).options(**self._options)
        kind: str = asked(task.remote(self._study, self.depot, todo))
        return kind

    def submit(self, number: int, job: Job, before: "ObjectRef[Any] | None") -> "ObjectRef[Any]":
        """Hand in a job; see `worker.do`."""
        task = ray.remote(worker.do).options(name=job.name, **self._options)
        found: ObjectRef[Any] = task.remote(self._study, self.depot, number, job, before)
        return found

    def compare_seeds(self) -> None:
        """See `worker.compare_seeds`."""
        task = ray.remote(worker.compare_seeds).options(**self._options)
        asked(task.remote(self._study, self.depot))

    def leave(self) -> None:
        """Have what far workers keep on their nodes removed.

        Raises:
            RayError: Ray is gone, or does not answer in time.
        """
        if not ray.get(self.depot.was_used.remote(), timeout=LEAVE_S):
            return
        gone = []
        for node in alive():
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task = ray.remote(worker.leave).options(num_cpus=0, scheduling_strategy=there)
            gone.append(task.remote(self._token))
        ray.wait(gone, num_returns=len(gone), timeout=LEAVE_S)


@contextmanager
def crew_of(study: worker.Study, resources: dict[str, float]) -> Iterator[Crew]:
    """Workers for a command, whose mark is in the store for that long.

    Args:
        study: what they have to know.
        resources: of Ray's, that each takes.

    Raises:
        StoreError: the store cannot be written.
    """
    with depots.marked(study.store, study.token):
        crew = Crew(study, resources)
        try:
            yield crew
        finally:
            with suppress(RayError):  # where Ray is gone, nobody can be sent
                crew.leave()
