"""Runs' files: what is missing, damaged or stale is named, with what to do."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netstab import paths
from netstab.errors import NetstabError
from netstab.evidence import report
from netstab.results.runs import collect
from netstab.study.experiments import Variant, runs
from tests import synthetic

PARAMS = synthetic.small()


@pytest.fixture(autouse=True)
def study(root: Path) -> synthetic.Study:
    """A study whose files lie in the working directory."""
    made = synthetic.Study(PARAMS)
    made.write(root)
    return made


def faults() -> list[str]:
    return [str(fault) for fault in collect(PARAMS).faults]


def test_complete_runs_have_no_faults() -> None:
    collection = collect(PARAMS)
    assert not collection.faults
    assert not collection.disagreements()
    assert list(collection.histories) == list(collection.provenance) == runs(PARAMS)


def test_missing_run_is_named_with_its_stage_and_others_are_used() -> None:
    shutil.rmtree(paths.run_dir("expB-64-0"))
    told = "metrics/runs/expB-64-0/provenance.json is missing"
    assert faults() == [f"expB-64-0: {told}; run: dvc repro train@expB-64-0"]
    assert collect(PARAMS).of(Variant("expB", "64")).keys() == {1}
    assert collect(PARAMS).of(Variant("expB", "128")).keys() == {0, 1}


HISTORY = paths.run_dir("expB-64-0") / "history.csv"


@pytest.mark.parametrize(
    "harm",
    [
        lambda text: "\n".join(text.splitlines()[:-3]).encode(),
        lambda text: text[:-40].encode(),  # within a line
        lambda text: b"\xff\xfe\x00 no table",
        lambda text: b"",
        lambda text: b"epoch,val_loss\n0,1.0\n",
    ],
)
def test_damaged_history_is_named_with_what_to_do(harm: Callable[[str], bytes]) -> None:
    HISTORY.write_bytes(harm(HISTORY.read_text()))
    is_damaged()


@pytest.mark.parametrize(
    "columns", [{"val_loss": np.inf}, {"val_loss": "low"}, {"epoch": [0, *range(199)]}]
)
def test_a_history_of_impossible_numbers_is_damaged(
    root: Path, study: synthetic.Study, columns: dict[str, Any]
) -> None:
    study.change("expB-64-0", **columns)
    study.write(root)
    is_damaged()


def is_damaged() -> None:
    (fault,) = faults()
    assert fault.startswith("expB-64-0: metrics/runs/expB-64-0/history.csv is damaged")
    assert fault.endswith("; run: dvc repro train@expB-64-0")
    assert len(collect(PARAMS).of(Variant("expB", "64"))) == 1


def test_history_of_another_schedule_is_stale() -> None:
    moved = synthetic.small(expB={"freeze_epoch": 90})
    stale = [str(fault) for fault in collect(moved).faults]
    assert len(stale) == 8
    assert stale[0] == (
        "expB-64-0: metrics/runs/expB-64-0/history.csv is stale: from epoch 60 on, layer2 was not "
        "trained as params.yaml says; run: dvc repro train@expB-64-0"
    )


def test_a_history_without_sound_provenance_is_named_and_left_out() -> None:
    (paths.run_dir("expB-64-0") / "provenance.json").write_text("{")
    (fault,) = faults()
    assert fault.startswith("expB-64-0: metrics/runs/expB-64-0/provenance.json is damaged")
    assert collect(PARAMS).of(Variant("expB", "64")).keys() == {1}


def test_a_run_trained_with_other_settings_is_named_as_stale(
    root: Path, study: synthetic.Study
) -> None:
    # A different weight decay leaves the same schedule and columns: only the key can tell.
    other = synthetic.Study(synthetic.small(train={"weight_decay": 0.25}))
    run = study.runs["expB-64-0"]
    study.retell(run.name, key=other.provenance[run.name]["key"])
    study.write(root)
    (fault,) = faults()
    assert fault.startswith("expB-64-0: metrics/runs/expB-64-0/provenance.json is stale")
    assert "dvc repro train@expB-64-0" in fault
    assert collect(PARAMS).of(run.variant).keys() == {1}


def test_no_run_at_all_is_refused_and_leaves_old_results_alone() -> None:
    report.make(PARAMS)
    before = paths.REPORT.read_bytes()
    shutil.rmtree(paths.RUNS)
    with pytest.raises(NetstabError, match=r"none of the 12 runs.*dvc repro"):
        report.make(PARAMS)
    assert paths.REPORT.read_bytes() == before


def test_runs_of_other_numerics_or_data_are_pointed_out(root: Path, study: synthetic.Study) -> None:
    study.retell("expB-64-0", numerics_version=2)
    study.retell("expB-64-1", data=synthetic.DIGITS)
    study.write(root)
    numerics, data = collect(PARAMS).disagreements()
    assert "numerics version" in numerics
    assert "expB-64-0: 2" in numerics
    assert "expB-64-1: scikit-learn digits (d1d1d1d1d1d1)" in data
