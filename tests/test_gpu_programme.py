"""The GPU programme runs item by item, stops what takes too long, and goes on where it was."""

import json
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer import Typer
from typer.testing import CliRunner

from benchmarks import gpu_programme
from benchmarks.gpu_programme import ITEMS, Item

WRITES = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text('{\"found\": 1}')"


def python(code: str) -> Item:
    return Item("a sentence", lambda rehearse, path: ["-c", code, str(path)])


def programme(out: Path, *arguments: str) -> tuple[int, str]:
    app = Typer()
    app.command()(gpu_programme.main)
    result = CliRunner().invoke(app, [*arguments, "--out", str(out)])
    return result.exit_code, result.output


def found(out: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / f"{name}.json").read_text())
    return content


@pytest.fixture
def items(monkeypatch: pytest.MonkeyPatch) -> dict[str, Item]:
    known = {"one": python(WRITES), "two": python(WRITES)}
    monkeypatch.setattr(gpu_programme, "ITEMS", known)
    return known


def test_each_item_leaves_a_file_and_is_passed_over_from_then_on(
    items: dict[str, Item], tmp_path: Path
) -> None:
    assert programme(tmp_path)[0] == 0
    assert found(tmp_path, "one")["results"] == {"found": 1}
    assert found(tmp_path, "two")["complete"]
    before = (tmp_path / "one.json").read_bytes()
    assert programme(tmp_path)[0] == 0
    assert (tmp_path / "one.json").read_bytes() == before
    programme(tmp_path, "one", "--again")
    assert (tmp_path / "one.json").read_bytes() != before


def test_an_item_that_fails_says_why_stops_no_other_and_is_tried_again(
    items: dict[str, Item], tmp_path: Path
) -> None:
    items["one"] = python("raise SystemExit('no such card')")
    assert programme(tmp_path)[0] == 1
    assert not found(tmp_path, "one")["complete"]
    assert "no such card" in found(tmp_path, "one")["output"]
    assert found(tmp_path, "two")["complete"]
    items["one"] = python(WRITES)
    assert programme(tmp_path)[0] == 0
    assert found(tmp_path, "one")["complete"]


def test_an_item_that_takes_too_long_is_ended_with_what_it_started(
    items: dict[str, Item], tmp_path: Path
) -> None:
    child = "import os, time; open(r'{}', 'w').write(str(os.getpid())); time.sleep(600)"
    pid = tmp_path / "pid"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child.format(pid)!r}])"
    items["one"] = python(code)
    assert programme(tmp_path, "one", "--limit-s", "3")[0] == 1
    assert found(tmp_path, "one")["exit_status"] == "stopped after 3 s"
    gone = psutil.NoSuchProcess(int(pid.read_text()))
    with pytest.raises(psutil.NoSuchProcess):  # a kill takes a moment
        while (child_process := psutil.Process(gone.pid)).is_running():
            if child_process.status() == psutil.STATUS_ZOMBIE:
                raise gone


def test_tests_passed_over_for_want_of_a_gpu_are_no_result(
    items: dict[str, Item], tmp_path: Path
) -> None:
    items["one"] = python(WRITES.replace('"found": 1', '"skipped": 7'))
    assert programme(tmp_path, "one")[0] == 1
    assert programme(tmp_path, "one", "--rehearse")[0] == 0


def test_a_rehearsal_is_no_result(items: dict[str, Item], tmp_path: Path) -> None:
    programme(tmp_path, "one", "--rehearse")
    assert found(tmp_path, "one")["rehearsal"]
    programme(tmp_path, "one")
    assert not found(tmp_path, "one")["rehearsal"]


def test_an_unknown_item_is_refused_with_those_known(tmp_path: Path) -> None:
    status, said = programme(tmp_path, "wayz")
    assert status == 2
    assert "wayz" in said and "deterministic" in said


@pytest.mark.slow
@pytest.mark.parametrize("name", ["memory", "tests-reference"])
def test_rehearsed_items_work(name: str, tmp_path: Path) -> None:
    assert name in ITEMS
    assert programme(tmp_path, name, "--rehearse")[0] == 0
    results = found(tmp_path, name)["results"]
    if name == "memory":
        assert results["ways"].keys() == {"eager", "compiled", "graphs", "compiled graphs"}
    else:
        assert results["tests"] > 0 and not results["failed"]
    assert (tmp_path / f"{name}.json").stat().st_size < 1e6
