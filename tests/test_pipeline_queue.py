"""DVC's own queue: a grid of experiments, several at a time, and what a kill costs it."""

import csv
from collections.abc import Iterator

import pytest

from tests.checkout import DVC
from tests.pipeline_helpers import BLOCKS, Clone, wait_for

pytestmark = [pytest.mark.xdist_group("pipeline"), pytest.mark.long]

GRID = {"grid-1": 80, "grid-2": 120, "grid-3": 160}
"""Name -> epoch at which all blocks but one are frozen; the baseline keeps its states there."""
SCALE = 0.05


@pytest.fixture
def clone(clone: Clone) -> Iterator[Clone]:
    """A clone with the results of a study in git, whose store is empty."""
    base = clone.states()
    clone.run("rm", "-r", ".netstab/store")
    yield clone
    clone.open_gates()
    clone.dvc("queue", "stop", "--kill")
    ended(clone)
    shared = clone.states().keys() & base.keys()
    assert len(shared) > 2, "one epoch of the grid is in the base's store"
    assert {key: clone.states()[key] for key in shared} == {key: base[key] for key in shared}


def queue(clone: Clone) -> None:
    epochs = ",".join(map(str, GRID.values()))
    clone.dvc("exp", "run", "--queue", "--name", "grid", "-S", f"expB.freeze_epoch={epochs}")


def start(clone: Clone) -> None:
    # Its workers keep its output open: into a pipe, it would not seem to end before they do.
    output = clone.root.parent / "started"
    assert clone.start(*DVC, "queue", "start", "--jobs", "2", output=output).wait() == 0


def status(clone: Clone) -> str:
    """What `dvc queue status` says, asked again where it reads what a worker is still writing."""
    for _ in range(10):
        found = clone.dvc("queue", "status", code=None)
        if "Expecting value: line 1 column 1" not in found.output:
            break
    assert found.code == 0, found.output
    return found.output


def states(clone: Clone) -> dict[str, str]:
    """Name -> what the queue says of it."""
    rows = [line.split() for line in status(clone).splitlines()]
    return {row[1]: row[-1] for row in rows if len(row) == 5 and row[1] in GRID}


def ended(clone: Clone) -> None:
    wait_for(
        lambda: "Worker status: 0 active, 0 idle" in status(clone),
        "the queue's end",
    )


def assert_each_experiment_has_its_results(clone: Clone) -> None:
    for name, epoch in GRID.items():
        for block in BLOCKS:
            text = clone.git("show", f"refs/exps/{experiment(clone, name)}:{history(block)}")
            rows = list(csv.DictReader(text.splitlines()))
            frozen = [any(v == "1" for k, v in row.items() if "frozen" in k) for row in rows]
            start = int(epoch * SCALE + 0.5)
            assert frozen == [False] * start + [True] * (10 - start), (name, block)


def experiment(clone: Clone, name: str) -> str:
    (found,) = clone.git("for-each-ref", "--format=%(refname)", f"refs/exps/*/*/{name}").split()
    return found.removeprefix("refs/exps/")


def history(block: str) -> str:
    return f"metrics/runs/expB-{block}-0/history.csv"


def assert_nothing_is_trained_twice(clone: Clone) -> None:
    begun = [e["key"] for e in clone.events() if e["doing"] == "training" and e["begins"]]
    # The baseline's past up to the latest freeze, and each run from its own freeze on.
    starts = [int(epoch * SCALE + 0.5) for epoch in GRID.values()]
    assert len(begun) == len(set(begun))
    assert len(begun) == max(starts) + len(BLOCKS) * sum(10 - start for start in starts)


def test_a_queued_grid_trains_its_shared_past_once_and_each_experiment_has_its_results(
    clone: Clone,
) -> None:
    queue(clone)
    start(clone)
    wait_for(lambda: set(states(clone).values()) <= {"Success", "Failed"}, "all three")
    assert states(clone) == dict.fromkeys(GRID, "Success")
    assert_each_experiment_has_its_results(clone)
    assert_nothing_is_trained_twice(clone)
    assert clone.git("status", "--short") == "", "the checkout is as it was"


def test_a_queue_that_is_killed_and_filled_again_goes_on_from_the_store(clone: Clone) -> None:
    clone.close_gate(5)
    queue(clone)
    start(clone)
    wait_for(lambda: any(row["epoch"] == 5 for row in clone.trained()), "epoch 5")
    before = clone.states()
    assert before
    clone.dvc("queue", "stop", "--kill")
    ended(clone)
    assert "Success" not in states(clone).values()
    clone.open_gates()
    clone.dvc("queue", "remove", "--all")
    queue(clone)
    start(clone)
    wait_for(lambda: set(states(clone).values()) <= {"Success", "Failed"}, "all three")
    assert states(clone) == dict.fromkeys(GRID, "Success")
    assert before.items() <= clone.states().items()
    assert_each_experiment_has_its_results(clone)
    assert_nothing_is_trained_twice(clone)
