"""Which change reruns what, and what of it is trained: the promises of `dvc.yaml`."""

import json
import os
import shutil

import pytest

from tests.checkout import DVC
from tests.pipeline_helpers import BLOCKS, RIVALS, RUNS, STUDY, Clone

pytestmark = pytest.mark.xdist_group("pipeline")

EXP_B = [f"train@expB-{block}-0" for block in BLOCKS]
TRAINING = [
    "reference@baseline-0",
    "reference@outpost-0",
    *EXP_B,
    *(f"rival@{name}-0" for name in RIVALS),
]
HISTORY, PROVENANCE = "outpost-0/history.csv", "expB-64-0/provenance.json"


def test_every_run_has_its_stage(clone: Clone) -> None:
    names = clone.dvc("stage", "list", "--name-only").output.split()
    assert sorted(names) == sorted(["data", "settings", *TRAINING, "ceiling", "report"])
    assert clone.dvc("repro").stages == []
    assert sorted(path.name for path in (clone.root / "metrics/runs").iterdir()) == sorted(RUNS)


@pytest.mark.long
def test_interpreters_that_are_not_forked_come_to_the_same_bits_and_files(clone: Clone) -> None:
    states, files = clone.states(), clone.files("metrics")
    shutil.rmtree(clone.root / ".netstab/store")
    shutil.rmtree(clone.root / "metrics")
    path = clone.environment()["PATH"].split(os.pathsep, 1)[1]
    ran = clone.run(*DVC, "repro", "--force", PATH=path).stages
    assert sorted(ran) == sorted(["data", "settings", *TRAINING, "ceiling", "report"])
    assert len({row["pid"] for row in clone.trained()}) == len(TRAINING) - 2, "two are views"
    assert clone.states().items() <= states.items()
    with_times = ("provenance.json", "sharpness.json", "report.html")
    same = {name for name in files if not name.endswith(with_times)}
    assert {name for name, found in clone.files("metrics").items() if files[name] == found} >= same


def test_a_changed_outpost_trains_the_outpost_from_where_it_parts(clone: Clone) -> None:
    clone.change(outpost={"decay_factor": 0.2})
    assert clone.dvc("repro", "--dry").stages == ["reference@outpost-0", "ceiling", "report"]
    clone.dvc("repro", "reference@outpost-0")
    assert [row["epoch"] for row in clone.trained()] == list(range(3, 10))


def test_a_change_of_the_reports_code_reruns_the_report_alone(clone: Clone) -> None:
    clone.append("src/netstab/evidence/figures/curves.py", "# another word\n")
    assert clone.dvc("repro", "--dry").stages == ["report"]


def test_a_refactored_trainer_reruns_nothing(clone: Clone) -> None:
    for source in ("training/engine.py", "networks/resnet.py", "measure/evaluate.py", "cli.py"):
        clone.append(f"src/netstab/{source}", "# another word\n")
    assert clone.dvc("repro").stages == []


def test_how_to_run_reruns_nothing(clone: Clone) -> None:
    clone.change(runtime={"device": "auto", "threads": 2, "keep_every": 7, "compile": True})
    assert clone.dvc("repro").stages == []


@pytest.mark.long
def test_raised_numerics_make_every_run_stale_and_train_it_anew(clone: Clone) -> None:
    path = clone.root / "src/netstab/training/numerics.json"
    text = path.read_text()
    version = json.loads(text)["version"]
    path.write_text(text.replace(f'"version": {version}', f'"version": {version + 1}', 1))
    assert json.loads(path.read_text())["version"] == version + 1
    old = clone.states()
    assert sorted(clone.dvc("repro", "--dry").stages) == ["ceiling", "settings"]
    clone.dvc("repro", "settings")
    assert sorted(clone.dvc("repro", "--dry").stages) == sorted([*TRAINING, "ceiling", "report"])
    clone.dvc("repro", "train@expB-64-0")
    assert [row["epoch"] for row in clone.trained()] == list(range(10)), "nothing was reused"
    assert len(clone.states()) > len(old) and clone.states().items() > old.items()
    told = json.loads(clone.read("metrics/runs/expB-64-0/provenance.json"))
    assert told["numerics_version"] == version + 1


def test_another_seed_trains_that_seed_alone(clone: Clone) -> None:
    before = clone.files("metrics/runs")
    clone.change(seeds=[0, 1])
    ran = clone.dvc("repro", "--dry").stages
    assert sorted(ran) == sorted([*(name[:-1] + "1" for name in TRAINING), "ceiling", "report"])
    clone.dvc("repro", "train@expB-64-1")
    assert {row["seed"] for row in clone.trained()} == {1}
    assert [row["epoch"] for row in clone.trained()] == list(range(10))
    after = clone.files("metrics/runs")
    assert before.items() < after.items(), "what seed 0 left is untouched"
    clone.dvc("repro", "--single-item", "report")
    assert json.loads(clone.read("metrics/variants/expB-64.json"))["n_seeds"] == 2

    clone.change(seeds=[0])
    assert clone.dvc("repro").stages == ["report"]
    assert json.loads(clone.read("metrics/variants/expB-64.json"))["n_seeds"] == 1


def test_an_intervention_of_ones_own_runs_its_stage_alone(clone: Clone) -> None:
    # A third rate in the last block from epoch 7 (140) on: a past shared with the baseline.
    clone.change(own={"late": {"512": {"140": 0.3}}})
    assert clone.dvc("repro").stages == ["own@late-0", "report"]
    assert clone.trained(), "it trained"
    assert min(row["epoch"] for row in clone.trained()) >= 6, "from the baseline's state at 6"
    assert (clone.root / "metrics/variants/own-late.json").exists()


def test_barriers_follow_their_ends_and_their_settings_rerun_the_report_alone(
    clone: Clone,
) -> None:
    def losses() -> dict[tuple[str, str], list[float]]:
        told = json.loads(clone.read("metrics/barriers.json"))
        assert told["missing"] == []
        return {(row["run"], row["against"]): row["losses"] for row in told["barriers"]}

    states = clone.states()
    clone.change(measure={"barriers": {"images": 8, "points": 3}})
    assert clone.dvc("repro").stages == ["settings", "report"]
    first = losses()
    assert not clone.trained() and clone.states() == states
    # Of baseline, outpost, two of expB and expE-batch.
    assert len(first) == 1 + 4 * 3
    assert clone.dvc("repro").stages == []
    rival = {**STUDY["expE"], "ema": {**STUDY["expE"]["ema"], "decay": 0.5}}
    clone.change(expE=rival)
    assert clone.dvc("repro").stages == ["rival@ema-0", "report"]
    second = losses()
    assert second.keys() == first.keys()
    assert {at for at in first if first[at] != second[at]} == {at for at in first if at[1] == "ema"}
    clone.change(outpost={"decay_factor": 0.2})
    assert clone.dvc("repro").stages == ["reference@outpost-0", "ceiling", "report"]
    third = losses()
    assert {at[0] for at in first if third[at] != second[at]} == {"outpost-0"}


def test_a_smaller_study_leaves_no_variant_behind(clone: Clone) -> None:
    clone.change(experiments=[], own={}, expE={})
    assert clone.dvc("repro").stages == ["report"]
    names = sorted(path.name for path in (clone.root / "metrics/variants").iterdir())
    assert names == ["baseline.json", "outpost.json"]
    clone.change(experiments=["expB"])
    assert clone.dvc("repro").stages == ["report"], "what was trained before counts again"
    assert len(clone.files("metrics/variants")) == 2 + len(BLOCKS)


def test_damaged_files_of_runs_are_collected_again(clone: Clone) -> None:
    sound = clone.files("metrics")
    cut, gone = (clone.root / "metrics/runs" / name for name in (HISTORY, PROVENANCE))
    cut.write_bytes(cut.read_bytes()[:100])
    gone.unlink()
    assert clone.dvc("repro").stages == ["reference@outpost-0", "train@expB-64-0"]
    assert clone.files("metrics") == sound
    assert not clone.trained()


def test_a_stage_whose_run_is_in_the_store_imports_no_torch(clone: Clone) -> None:
    history = clone.root / "metrics/runs/expB-64-0/history.csv"
    sound = history.read_bytes()
    history.unlink()
    said = clone.python("-X", "importtime", "-m", "netstab.stages.train", "expB-64", "0").output
    imported = {line.rsplit("|", 1)[-1].strip() for line in said.splitlines()}
    assert "netstab.store.ledger" in imported
    assert not {"torch", "torchvision", "numpy", "pandas"} & imported
    assert history.read_bytes() == sound
