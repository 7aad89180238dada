"""A study in pieces: trained in stores apart, joined in one that has no state, then reported."""

import shutil
from pathlib import Path

import pytest

from netstab.results.schema import RUN_FILES
from tests import pieces, small
from tests.pipeline_helpers import Clone

pytestmark = pytest.mark.xdist_group("sweeps")

PARTS = {
    "references": ("--only", "reference,expE"),
    "others": ("--only", "expB"),
}


@pytest.fixture
def clone(clone: Clone) -> Clone:
    clone.change(
        seeds=[0, 1],
        ceiling={"seeds": [0, 1]},
        expE={"ema": small.SHIPPED["expE"]["ema"]},
        own={},
        runtime={"workers": 1, "threads": 1},
    )
    return clone


@pytest.mark.long
def test_a_study_is_trained_in_pieces_joined_without_states_and_reported(
    clone: Clone, tmp_path: Path
) -> None:
    whole = clone.files("metrics/runs")
    shutil.rmtree(clone.root / ".netstab/store")
    shutil.rmtree(clone.root / "metrics")
    clone.commit("a study that has not been trained")
    for name, choice in PARTS.items():
        store = tmp_path / "stores" / name
        said = clone.netstab("sweep", *choice, NETSTAB_STORE=str(store)).text
        assert ("comparing two seeds" in said) == (name == "references")
        said = clone.netstab(
            "store", "export", str(tmp_path / "pieces"), *choice, NETSTAB_STORE=str(store)
        ).text
        assert "left out" not in said
        shutil.rmtree(store)
    files = sorted((tmp_path / "pieces").glob("*.json.gz"))
    assert len(files) == len(PARTS)

    # Another draw of the shared past, in a file that fits itself: nothing of it is joined.
    def of_other_bits(content: dict) -> None:  # type: ignore[type-arg]
        for run in content["runs"]:
            run["way"][0]["sha256"] = "0" * 64

    other = pieces.change(files[0], tmp_path / "other.json.gz", of_other_bits)
    rest = [str(path) for path in files[1:]]
    refused = clone.netstab("store", "import", str(other), *rest, code=1).text
    assert "has other bits than the same state in" in refused
    assert not list((clone.root / ".netstab/store").glob("*/*.json"))

    said = clone.netstab("store", "import", str(tmp_path / "pieces")).text
    assert "10 runs" in said and "params.yaml asks for 10 of them" in said
    assert "warning" not in said
    assert "still to train 0" in clone.netstab("plan").text
    epochs = len(clone.trained())
    said = clone.dvc("repro").output
    assert "Running stage 'report'" in said and "Running stage 'ceiling'" in said
    assert len(clone.trained()) == epochs, "dvc had to train"
    assert not list((clone.root / ".netstab/store/states").glob("*"))
    collected = clone.files("metrics/runs")
    assert len(collected) == 10 * len(RUN_FILES)
    # The same bits as where all of it was trained in one go.
    for run in ("baseline-0", "outpost-0", "expB-512-0", "expE-ema-0"):
        assert collected[f"{run}/history.csv"] == whole[f"{run}/history.csv"], run
    assert '"forward_cka"' in clone.read("metrics/ceiling.json")
    assert (clone.root / "metrics/report.html").stat().st_size > 10_000
    clone.commit("the study")
    assert "up to date" in clone.dvc("status").output
    assert "0 were set aside" in clone.netstab("store", "verify").text
