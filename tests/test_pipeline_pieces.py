"""A study in pieces: trained in stores apart, joined in one that has no state, then reported."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from netstab.results.schema import RUN_FILES
from tests import pieces, small
from tests.checkout import Result
from tests.pipeline_helpers import Clone, lent_clone

pytestmark = pytest.mark.xdist_group("sweeps")

PARTS = {
    "references": ("--only", "reference,expE"),
    "others": ("--only", "expB"),
}


@pytest.fixture
def clone(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    for made in lent_clone(tmp_path_factory, tmp_path):
        made.change(
            seeds=[0, 1],
            ceiling={"seeds": [0, 1]},
            expE={"ema": small.SHIPPED["expE"]["ema"]},
            own={},
            runtime={"workers": 1, "threads": 1},
        )
        yield made


def netstab(clone: Clone, *arguments: str, code: int = 0, **env: str) -> Result:
    return clone.python("-c", f"from netstab.cli import app; app({arguments!r})", code=code, **env)


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
        said = netstab(clone, "sweep", *choice, NETSTAB_STORE=str(store)).text
        assert ("comparing two seeds" in said) == (name == "references")
        said = netstab(
            clone, "store", "export", str(tmp_path / "pieces"), *choice, NETSTAB_STORE=str(store)
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
    refused = netstab(clone, "store", "import", str(other), *rest, code=1).text
    assert "has other bits than the same state in" in refused
    assert not list((clone.root / ".netstab/store").glob("*/*.json"))

    said = netstab(clone, "store", "import", str(tmp_path / "pieces")).text
    assert "10 runs" in said and "params.yaml asks for 10 of them" in said
    assert "warning" not in said
    assert "still to train 0" in netstab(clone, "plan").text
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
    assert "0 were set aside" in netstab(clone, "store", "verify").text
