"""Two `dvc` at once, and trainers that outlive theirs: no epoch is trained twice, none is spoilt.

The trainers of the clones stop at a gate before an epoch (see `pipeline_helpers`), so that the
second process always comes while the first one is at work.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.checkout import DVC
from tests.pipeline_helpers import Clone, wait_for

pytestmark = pytest.mark.xdist_group("sweeps")

WAITS = "another process trains this segment"


class Background:
    """A command under way in a clone, and what it has said so far."""

    def __init__(self, clone: Clone, *arguments: str) -> None:
        self._clone = clone
        self._said = clone.root.parent / f"said-{len(list(clone.root.parent.glob('said-*')))}"
        self.process = clone.start("python", *DVC[1:], *arguments, output=self._said)

    def said(self) -> str:
        return self._said.read_text()

    def waits(self) -> None:
        """Wait until it says that it waits for the first trainer; fail if it does anything else."""

        def settled() -> bool:
            trainers = {row["pid"] for row in self._clone.trained()}
            ended = self.process.poll() is not None
            return WAITS in self.said() or ended or len(trainers) > 1

        wait_for(settled, WAITS)
        assert WAITS in self.said(), "it did not wait:\n" + self.said()

    def ends(self) -> None:
        """Wait for its end, and insist on success."""
        wait_for(lambda: self.process.poll() is not None, "the end")
        assert self.process.returncode == 0, self.said()


@pytest.fixture
def clone(clone: Clone) -> Iterator[Clone]:
    """A clone whose store is empty, so that every stage has to train."""
    base = clone.states()
    clone.run("rm", "-r", ".netstab/store")
    yield clone
    # Whatever was trained came to the bits of the base, which nothing disturbed.
    assert clone.states().items() <= base.items()
    rows = [json.dumps({**row, "pid": 0}, sort_keys=True) for row in clone.trained()]
    assert len(rows) == len(set(rows)), "an epoch was trained twice"


def forced(stage: str) -> list[str]:
    """To run a stage, though its results are there, and no other."""
    return ["repro", "--force", "--single-item", stage]


def assert_runs_unchanged(clone: Clone) -> None:
    changed = {Path(line).name for line in clone.git("diff", "--name-only").split()}
    assert changed <= {"provenance.json", "dvc.lock"}, "the same numbers, trained another time"
    # dvc.lock was not spoilt either: the report alone has new provenance to tell of.
    assert set(json.loads(clone.dvc("status", "--json").output)) <= {"report"}


@pytest.mark.long
def test_two_stages_at_once_train_their_shared_past_once(clone: Clone) -> None:
    clone.close_gate(2)
    first = Background(clone, *forced("reference@baseline-0"))
    wait_for(lambda: [row["epoch"] for row in clone.trained()] == [0, 1, 2], "epoch 2")
    second = Background(clone, *forced("train@expB-64-0"))
    second.waits()
    # A third that would look at all stages is turned away by dvc while these two run.
    assert "is busy" in clone.dvc("repro", "train@expB-512-0", code=255).output
    clone.open_gates()
    first.ends()
    second.ends()
    # Epochs 0 to 2 once, and then both runs' own seven.
    epochs = sorted(row["epoch"] for row in clone.trained())
    assert epochs == sorted([*range(3), *range(3, 10), *range(3, 10)])
    assert_runs_unchanged(clone)


@pytest.mark.long
def test_a_trainer_that_outlives_its_dvc_is_waited_for(clone: Clone) -> None:
    clone.close_gate(5)
    killed = Background(clone, *forced("reference@baseline-0"))
    wait_for(lambda: len(clone.trained()) == 6, "epoch 5")
    orphan = psutil.Process(clone.trained()[-1]["pid"])
    killed.process.kill()
    killed.process.wait()
    assert orphan.is_running()
    second = Background(clone, *forced("reference@baseline-0"))
    second.waits()
    clone.open_gates()
    second.ends()
    assert [row["epoch"] for row in clone.trained()] == list(range(10))
    # From the next kept state on, whichever of the two is there first goes on.
    assert {row["pid"] for row in clone.trained()[:6]} == {orphan.pid}
    wait_for(lambda: not running(orphan), "the orphan's end")
    assert_runs_unchanged(clone)


@pytest.mark.long
def test_a_killed_trainer_loses_what_it_had_not_saved_and_no_more(clone: Clone) -> None:
    # Killed before epoch 5; the last state kept is that of epoch 4.
    clone.close_gate(5)
    killed = Background(clone, *forced("reference@baseline-0"))
    wait_for(lambda: len(clone.trained()) == 6, "epoch 5")
    os.kill(clone.trained()[-1]["pid"], 9)
    wait_for(lambda: killed.process.poll() is not None, "dvc's end")
    assert killed.process.returncode != 0
    assert clone.git("status", "--short") == "", "the results of before are still there"
    clone.open_gates()
    first = clone.trained()
    clone.log.write_text("")
    clone.dvc(*forced("reference@baseline-0"))
    again = clone.trained()
    assert [row["epoch"] for row in first] == [0, 1, 2, 3, 4, 5]
    assert [row["epoch"] for row in again] == list(range(4, 10))
    assert [row["start"] for row in again[:2]] == [row["start"] for row in first[4:]]
    assert_runs_unchanged(clone)


def running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
