"""`netstab collect` in a real pipeline: what `dvc repro` would record, and no more."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from netstab import paths
from netstab.commands import collect
from netstab.errors import NetstabError
from tests import small
from tests.pipeline_helpers import RUNS, Clone

pytestmark = pytest.mark.xdist_group("pipeline")


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
    said = clone.netstab("collect").text
    assert said.endswith(
        f"recorded now: {len(RUNS)} of {len(RUNS)} runs dvc repro makes the report"
    )
    assert clone.files("metrics/runs") == files
    assert clone.dvc("repro").stages == ["report"]
    assert rows(clone) == recorded
    assert not clone.trained()


def test_a_group_with_a_run_that_lacks_is_left_to_dvc_and_the_run_named(clone: Clone) -> None:
    forget(clone)
    clone.change(expB={"freeze_epoch": 70})
    said = clone.netstab("collect").text
    assert said.endswith(
        f"recorded now: {len(RUNS) - 2} of {len(RUNS)} runs left to dvc repro: train; the store "
        "lacks expB-64-0, expB-512-0 dvc repro does the rest"
    )
    assert not (clone.root / "metrics/runs/expB-64-0").exists()
    assert clone.dvc("repro", "--dry").stages == ["train@expB-64-0", "train@expB-512-0", "report"]


def test_the_code_of_another_checkout_collects_nothing_here(clone: Clone) -> None:
    forget(clone)
    before = clone.read("dvc.lock")
    said = clone.netstab("collect", code=1, PYTHONPATH=str(small.ROOT / "src")).text
    assert f"netstab runs from {small.ROOT / 'src'}, which is not this checkout's" in said
    assert clone.read("dvc.lock") == before and not (clone.root / "metrics").exists()


@dataclass
class Dvc:
    """Stands in for `dvc commit`: writes rows, and whatever a test lets happen meanwhile."""

    code: int = 0
    meanwhile: Callable[[], object] = list
    told: list[list[str]] = field(default_factory=list)

    def __call__(self, root: Path, arguments: list[str], **others: object) -> int:
        self.told.append(arguments)
        paths.DVC_LOCK.write_bytes(b"new")
        self.meanwhile()
        return self.code


@pytest.fixture
def dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dvc:
    monkeypatch.chdir(tmp_path)
    for path in collect.INPUTS:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"as it was")
    made = Dvc()
    monkeypatch.setattr(collect, "run_dvc", made)
    return made


@pytest.mark.parametrize("rows", [b"old", None])
@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize("path", collect.INPUTS, ids=str)
def test_inputs_that_change_meanwhile_are_not_recorded_with_the_old_ones_files(
    dvc: Dvc, path: Path, code: int, rows: bytes | None
) -> None:
    if rows:
        paths.DVC_LOCK.write_bytes(rows)
    before = collect._inputs()
    dvc.code, dvc.meanwhile = code, partial(path.write_bytes, b"changed")
    with pytest.raises(NetstabError, match="has changed meanwhile, so nothing is recorded"):
        collect._record(["train"], before)
    assert (paths.DVC_LOCK.read_bytes() if paths.DVC_LOCK.exists() else None) == rows


def test_nor_are_they_where_the_command_is_stopped(dvc: Dvc) -> None:
    before = collect._inputs()

    def stop() -> None:
        paths.PARAMS.unlink()
        raise KeyboardInterrupt

    dvc.meanwhile = stop
    with pytest.raises(KeyboardInterrupt):
        collect._record(["train"], before)
    assert not paths.DVC_LOCK.exists()


def test_where_dvc_cannot_record_it_is_said_that_the_files_are_there(dvc: Dvc) -> None:
    dvc.code = 255
    with pytest.raises(NetstabError, match="are written, but could not be recorded"):
        collect._record(["reference", "own"], collect._inputs())
    assert dvc.told == [["commit", "--force", "reference", "own"]]
    assert paths.DVC_LOCK.read_bytes() == b"new", "what is recorded is right, and stays"
