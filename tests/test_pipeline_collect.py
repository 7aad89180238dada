"""`netstab collect` in a real pipeline: what `dvc repro` would record, and no more."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from netstab import paths
from netstab.commands import collect
from netstab.errors import NetstabError
from tests.pipeline_helpers import RUNS, Clone, lent_clone

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("pipeline")]

COLLECT = ("-c", "from netstab.cli import app; app(['collect'])")


@pytest.fixture
def clone(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    yield from lent_clone(tmp_path_factory, tmp_path)


def rows(clone: Clone) -> dict[str, Any]:
    """Stage -> what `dvc.lock` has of it."""
    found: dict[str, Any] = YAML(typ="safe").load(clone.read("dvc.lock"))["stages"]
    return found


def forget(clone: Clone) -> None:
    """As after a sweep in a fresh clone: data alone is recorded, and no run has its files."""
    kept = {name: row for name, row in rows(clone).items() if name == "data"}
    with (clone.root / "dvc.lock").open("w") as file:
        YAML().dump({"schema": "2.0", "stages": kept}, file)
    shutil.rmtree(clone.root / "metrics")


def test_collecting_records_what_dvc_would_and_leaves_it_the_report(clone: Clone) -> None:
    recorded, files = rows(clone), clone.files("metrics/runs")
    forget(clone)
    said = clone.python(*COLLECT).text
    assert (
        said
        == f"{len(RUNS)} of {len(RUNS)} runs are recorded in dvc.lock dvc repro makes the report"
    )
    assert clone.files("metrics/runs") == files
    assert clone.dvc("repro").stages == ["report"]
    assert rows(clone) == recorded
    assert not clone.trained()


def test_a_group_with_a_run_that_lacks_is_left_to_dvc_and_the_run_named(clone: Clone) -> None:
    forget(clone)
    clone.change(expB={"freeze_epoch": 70})
    said = clone.python(*COLLECT).text
    assert said == (
        f"{len(RUNS) - 2} of {len(RUNS)} runs are recorded in dvc.lock not trained, or not "
        "measured: expB-64-0, expB-512-0 dvc repro does the rest: netstab sweep is faster"
    )
    assert not (clone.root / "metrics/runs/expB-64-0").exists()
    assert clone.dvc("repro", "--dry").stages == ["train@expB-64-0", "train@expB-512-0", "report"]


@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[str]]]:
    """A folder in which `dvc commit` is only told of; parameters change while it is at work."""
    told: list[list[str]] = []

    def commit(root: Path, arguments: list[str], **others: object) -> int:
        told.append(arguments)
        paths.PARAMS.write_bytes(b"seeds: [1]\n")
        collect.LOCK.write_bytes(b"new")
        return 255 if "own" in arguments else 0

    monkeypatch.setattr(collect, "run_dvc", commit)
    before = Path.cwd()
    os.chdir(tmp_path)
    yield told
    os.chdir(before)


def test_parameters_that_change_meanwhile_are_not_recorded_with_the_old_ones_files(
    recorder: list[list[str]],
) -> None:
    for rows in (b"old", None):
        paths.PARAMS.write_bytes(b"seeds: [0]\n")
        collect.LOCK.unlink(missing_ok=True)
        if rows:
            collect.LOCK.write_bytes(rows)
        with pytest.raises(NetstabError, match="has changed meanwhile: nothing is recorded"):
            collect._record(["train"], b"seeds: [0]\n")
        assert (collect.LOCK.read_bytes() if collect.LOCK.exists() else None) == rows


def test_where_dvc_cannot_record_it_is_said_that_the_files_are_there(
    recorder: list[list[str]],
) -> None:
    with pytest.raises(NetstabError, match="are written, but could not be recorded"):
        collect._record(["reference", "own"], b"")
    assert recorder == [["commit", "--force", "--quiet", "reference", "own"]]
