"""The GPU programme runs item by item, stops what takes too long, and goes on where it was."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from _pytest.mark.expression import Expression
from typer import Typer
from typer.testing import CliRunner

from benchmarks import gpu_programme
from benchmarks.common import ROOT, child_environment
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


@pytest.mark.long
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


@pytest.mark.long
@pytest.mark.parametrize("name", ["memory", "tests-reference"])
def test_rehearsed_items_work(name: str, tmp_path: Path) -> None:
    assert name in ITEMS
    assert programme(tmp_path, name, "--rehearse")[0] == 0
    results = found(tmp_path, name)["results"]
    if name == "memory":
        assert results["ways"].keys() == {"eager", "compiled"}
    else:
        assert results["tests"] > 0 and not results["failed"]
    assert (tmp_path / f"{name}.json").stat().st_size < 1e6


def counted(tests: int, **junit: int) -> Item:
    found = {"tests": tests, "skipped": 0, "failed": {}, **junit}
    return python(f"import json, sys; json.dump({found!r}, open(sys.argv[1], 'w'))")


def test_an_item_without_tests_is_not_done(items: dict[str, Item], tmp_path: Path) -> None:
    items["one"] = counted(0)
    items["two"] = replace(counted(0), may_be_empty=True)
    assert programme(tmp_path)[0] == 1
    assert not found(tmp_path, "one")["complete"]
    assert found(tmp_path, "two")["complete"]
    items["one"] = counted(1, skipped=1)
    programme(tmp_path, "one")
    assert not found(tmp_path, "one")["complete"]
    items["one"] = counted(1)
    programme(tmp_path, "one")
    assert found(tmp_path, "one")["complete"]


def _is_in(name: str, word: str) -> bool:
    return word.lower() in name


def test_every_gpu_test_is_in_one_item_and_every_item_has_tests(
    request: pytest.FixtureRequest,
) -> None:
    module = pytest.Module.from_parent(request.session, path=ROOT / "tests" / "test_gpu.py")
    tests = (item for item in module.collect() if isinstance(item, pytest.Item))
    names = [item.name for item in tests if item.get_closest_marker("gpu")]
    assert len(names) > 50
    parts = {name: Expression.compile(e) for name, e in gpu_programme.TESTS.items()}
    counts: Counter[str] = Counter()
    for name in names:
        # As -k has it, of names: a word is true of one that it is a part of, in any case.
        of = [part for part, e in parts.items() if e.evaluate(partial(_is_in, name.lower()))]
        assert len(of) <= 1, name
        counts.update(of or ["others"])
    assert counts.keys() >= parts.keys()
    # Compiled tests are the long ones, and an item has nine minutes.
    assert all(counts[part] <= 8 for part in parts if "compiled" in part), counts


def test_a_child_finds_packages_where_its_parent_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "carried_here.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code = "import carried_here, netstab; print(netstab.__file__)"
    environment = child_environment(ROOT / "src", ROOT)
    said = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert Path(said.strip()).is_relative_to(ROOT / "src")
    monkeypatch.delenv("PYTHONPATH")
    assert child_environment(ROOT / "src")["PYTHONPATH"] == str(ROOT / "src")
