"""How long a tree of tasks takes on a number of workers: the schedule that Ray makes, simulated.

Ray starts a task when the one that it depends on has ended and a worker is free: of several, the
one that could start first, and of those, the one that was handed in first. Nothing here knows what
the tasks are.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush


@dataclass(frozen=True, slots=True)
class Task:
    """A piece of work for one worker.

    Attributes:
        seconds: that it takes.
        after: number of the task that has to end first.
        written: bytes that it leaves in the store.
    """

    seconds: float
    after: int | None = None
    written: float = 0.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """How a schedule comes out.

    Attributes:
        workers: that there are.
        used: workers that had a task at all.
        makespan: seconds from the first start to the last end.
        work: seconds of all tasks together.
        path: seconds of the longest chain of tasks, with one start-up: no number of workers
            makes the study shorter than that.
        written: bytes that go to the store.
    """

    workers: int
    used: int
    makespan: float
    work: float
    path: float
    written: float

    @property
    def utilisation(self) -> float:
        """The share of all workers' time in which they do a task."""
        return self.work / (self.makespan * self.workers) if self.makespan else 0.0

    @property
    def written_per_second(self) -> float:
        """Bytes a second that the store has to take, on average."""
        return self.written / self.makespan if self.makespan else 0.0


def simulate(
    tasks: Sequence[Task],
    workers: int,
    *,
    start_up: float = 0.0,
    order: Sequence[int] | None = None,
) -> Forecast:
    """The schedule of some tasks on some workers.

    Args:
        tasks: each behind the one that it waits for.
        workers: that take one task at a time.
        start_up: seconds that a worker takes before its first task.
        order: in which the tasks are handed in; as they come without it.
    """
    order = range(len(tasks)) if order is None else order
    behind: dict[int | None, list[int]] = {}
    for number in order:
        behind.setdefault(tasks[number].after, []).append(number)
    ready = deque(behind.get(None, ()))
    running: list[tuple[float, int]] = []
    now, warm, cold = 0.0, 0, workers
    while ready or running:
        while ready and (warm or cold):
            number = ready.popleft()
            wait = 0.0 if warm else start_up
            warm, cold = (warm - 1, cold) if warm else (warm, cold - 1)
            heappush(running, (now + wait + tasks[number].seconds, number))
        now, ended = heappop(running)
        warm += 1
        ready.extend(behind.get(ended, ()))
    return Forecast(
        workers,
        workers - cold,
        now,
        sum(task.seconds for task in tasks),
        critical_path(tasks) + start_up if tasks else 0.0,
        sum(task.written for task in tasks),
    )


def critical_path(tasks: Sequence[Task]) -> float:
    """Seconds of the longest chain of tasks that wait for each other."""
    ends: list[float] = []
    for task in tasks:
        ends.append(task.seconds + (0.0 if task.after is None else ends[task.after]))
    return max(ends, default=0.0)
