"""The schedule that Ray makes, on trees small enough to draw."""

import time

import pytest

from netstab.sweep.makespan import Forecast, Task, critical_path, simulate

CHAIN = [Task(2), Task(3, 0), Task(4, 1)]
FORK = [Task(2), Task(3, 0), Task(5, 0), Task(1, 1)]
"""2 --- 3 - 1
     `-- 5"""


@pytest.mark.parametrize(
    ("tasks", "workers", "makespan"),
    [
        ([], 3, 0),
        (CHAIN, 1, 9),
        (CHAIN, 4, 9),
        (FORK, 1, 11),
        # 5 begins with 3; 1 is behind 3, on the worker that is free then.
        (FORK, 2, 7),
        (FORK, 100, 7),
        ([Task(4), Task(4), Task(4)], 2, 8),
        ([Task(1), Task(1), Task(1), Task(3)], 2, 4),
    ],
)
def test_a_tree_takes_as_long_as_a_drawing_of_it_says(
    tasks: list[Task], workers: int, makespan: float
) -> None:
    found = simulate(tasks, workers)
    assert found.makespan == makespan
    assert found.work == sum(task.seconds for task in tasks)
    assert found.path == critical_path(tasks) <= makespan


def test_what_is_handed_in_first_starts_first() -> None:
    tasks = [Task(1), Task(1), Task(1), Task(3)]
    assert simulate(tasks, 2, order=[3, 0, 1, 2]).makespan == 3


def test_what_could_start_first_starts_first_however_long_its_way_is() -> None:
    # Two short ones wait when the trunk ends: its long child, handed in before them, is behind.
    tasks = [Task(1), Task(9, 0), Task(2), Task(2)]
    assert simulate(tasks, 1, order=[0, 1, 2, 3]).makespan == 14
    assert simulate(tasks, 2, order=[0, 1, 2, 3]).makespan == 11


def test_each_worker_starts_up_once_and_only_if_it_has_something_to_do() -> None:
    assert simulate(CHAIN, 1, start_up=10).makespan == 19
    assert simulate([Task(4), Task(4), Task(4)], 2, start_up=10).makespan == 18
    alone = simulate(CHAIN, 50, start_up=10)
    assert (alone.makespan, alone.used, alone.path) == (19, 1, 19)


def test_utilisation_and_bytes_a_second_are_of_the_whole_makespan() -> None:
    found = simulate([Task(4, None, 100), Task(4, None, 60)], 4, start_up=1)
    assert found == Forecast(4, 2, 5.0, 8.0, 5.0, 160)
    assert found.utilisation == 8 / 20
    assert found.written_per_second == 32


def test_ten_thousand_runs_are_simulated_in_seconds() -> None:
    # 370 seeds: a trunk, from which 26 runs leave.
    tasks: list[Task] = []
    for _ in range(370):
        trunk = len(tasks)
        tasks += [Task(60), *(Task(140, trunk) for _ in range(27))]
    started = time.process_time()
    found = simulate(tasks, 1000)
    assert time.process_time() - started < 5
    assert found.work / 1000 <= found.makespan <= found.work / 1000 + found.path
