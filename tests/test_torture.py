"""What is tried at length by `make torture`, in brief; and that its judgement can fail."""

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.checkout import ROOT
from torture import flat, log
from torture.damage import damages
from torture.outcome import Outcome


@pytest.mark.long
def test_kills_limits_hosts_and_damage_leave_the_same_bits(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "torture", "brief", "--work", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("as it should") == 8


def event(t: float, pid: int, doing: str, begins: bool, key: str = "") -> dict[str, Any]:
    return {"t": t, "pid": pid, "doing": doing, "begins": begins, "key": key}


# One process trains a, saves, trains b and c, and is killed at 9 in mid-save of c.
KILLED = [
    event(0, 1, "loading", True),
    event(1, 1, "training", True, "a"),
    event(2, 1, "training", False, "a"),
    event(2, 1, "saving", True, "a"),
    event(3, 1, "saving", False, "a"),
    event(3, 1, "training", True, "b"),
    event(5, 1, "training", False, "b"),
    event(5, 1, "training", True, "c"),
    event(8, 1, "training", False, "c"),
    event(8, 1, "saving", True, "c"),
]
AFTER = [event(12, 2, "training", True, "b"), event(14, 2, "training", True, "c")]


def test_what_a_kill_cost_is_what_was_trained_twice() -> None:
    assert log.doing(KILLED, {1}, 9) == "saving"
    assert log.doing(KILLED, {1}, 3.5) == "training"
    assert log.doing(KILLED, {1}, 0.5) == "loading"
    assert log.doing(KILLED, {2}, 9) == "starting"
    assert log.lost([*KILLED, *AFTER], {1}, 9) == log.Lost(2, 6.0, 2.0)
    assert log.lost([*KILLED, *AFTER[1:]], {1}, 9) == log.Lost(1, 4.0, 0.0)
    assert log.lost(KILLED, {1}, 9) == log.Lost(0, 0.0, 0.0)


def test_other_bits_missing_and_additional_results_are_told() -> None:
    expected = Outcome({"k": "1", "l": "2"}, {"m": "3"}, {"f": "4"})
    assert expected.differences(expected) == []
    found = Outcome({"k": "9"}, {"m": "3", "n": "5"}, {"f": "4"}).differences(expected)
    assert found == ["states: k differs", "states: l is missing", "measurements: n is too much"]


def test_a_small_file_is_cut_at_every_byte_and_no_damage_leaves_it_as_it_was() -> None:
    content = bytes(range(100))
    ways = list(damages(content, random.Random(1), 20))
    assert {len(damaged) for way, damaged in ways if way == "cut"} == set(range(1, 100))
    assert all(damaged != content for _, damaged in ways)
    flipped = [damaged for way, damaged in ways if way == "bit flipped"]
    assert {next(i for i in range(100) if d[i] != content[i]) for d in flipped} >= set(range(64))


@pytest.mark.parametrize(
    ("rss", "files", "problem"),
    [
        (lambda n: 300 + 3 * (n % 2), lambda n: 9, ""),
        (lambda n: 300 + n, lambda n: 9, "memory grew"),
        (lambda n: 300, lambda n: 9 + n // 30, "open files grew"),
    ],
)
def test_memory_or_open_files_that_grow_are_found(rss: Any, files: Any, problem: str) -> None:
    samples = [{"rss": rss(n) * 2**20, "files": files(n), "segments": n} for n in range(60)]
    problems = flat.judged(samples).problems
    assert ("".join(problems) or "flat").startswith(problem or "flat")
