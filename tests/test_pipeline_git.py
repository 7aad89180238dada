"""Results in git: clones that have them, branches that are compared, studies on the side."""

import json
from pathlib import Path

import pytest

from tests.checkout import Result
from tests.pipeline_helpers import BLOCKS, MOVED, RIVALS, RUNS, Clone

pytestmark = pytest.mark.xdist_group("pipeline")


def assert_expB_and_the_report(ran: list[str]) -> None:
    assert (sorted(ran[:-1]), ran[-1]) == (sorted(f"train@expB-{b}-0" for b in BLOCKS), "report")


# Branches


def test_a_moved_freeze_reruns_expB_alone_and_branches_are_compared_by_metrics_and_curves(
    clone: Clone,
) -> None:
    runs_before = clone.files("metrics/runs")
    clone.git("checkout", "--quiet", "-b", "moved")
    ran = clone.dvc("exp", "run", "-S", *MOVED).stages
    assert_expB_and_the_report(ran)
    runs = clone.files("metrics/runs")
    changed = {Path(name).parts[0] for name in runs if runs[name] != runs_before[name]}
    assert changed == {f"expB-{block}-0" for block in BLOCKS}
    assert not clone.trained(), "the store had it all"
    clone.commit("freeze later")

    table = clone.dvc("metrics", "diff", "main", "moved").output.splitlines()
    assert table[0].split() == ["Path", "Metric", "main", "moved", "Change"]
    rows = [line.split() for line in table[1:] if line.strip()]
    assert {row[0] for row in rows} - {"metrics/claims.json"} == {
        f"metrics/variants/expB-{b}.json" for b in BLOCKS
    }
    losses = [row for row in rows if row[1] == "final_val_loss_mnats"]
    assert len(losses) == len(BLOCKS)
    for path, _, before, after, change in losses:
        assert float(before) + float(change) == pytest.approx(float(after), abs=1e-4)
        told = json.loads(clone.read(path))["final_val_loss_mnats"]
        assert float(after) == pytest.approx(told, abs=1e-4)
    assert max(map(len, table)) <= 120, "it fits a terminal"

    said = clone.dvc("plots", "diff", "main", "moved").output.strip()
    page = Path(said.removeprefix("file://")).read_text()
    assert page.count("vegaEmbed(") >= 2
    for expected in ("val_top1_pct", '"main"', '"moved"', '"expB"', '"512"'):
        assert expected in page, expected
    assert clone.git("status", "--short") == "", "the page is ignored"


def test_the_curves_can_be_seen_at_once(clone: Clone) -> None:
    said = clone.dvc("plots", "show").output.strip()
    page = Path(said.removeprefix("file://")).read_text()
    curves = {row.split(",")[1] for row in clone.read("metrics/curves.csv").splitlines()[1:]}
    assert {"baseline", "outpost", *BLOCKS, *RIVALS} == curves
    assert all(f'"{curve}"' in page for curve in curves)


@pytest.mark.long
def test_results_on_another_disk_are_written_through_the_link(clone: Clone, tmp_path: Path) -> None:
    (clone.root / "metrics").rename(tmp_path / "disk")
    (clone.root / "metrics").symlink_to(tmp_path / "disk")
    clone.change(expB={"freeze_epoch": 90})
    assert_expB_and_the_report(clone.dvc("repro").stages)
    assert (clone.root / "metrics").is_symlink()
    assert clone.dvc("repro").stages == []


# A fresh clone


@pytest.fixture
def fresh(clone: Clone, tmp_path: Path) -> Clone:
    """What `git clone` makes of it: no store, no cache, no images."""
    clone.git("clone", "--quiet", ".", str(tmp_path / "fresh"))
    return Clone(tmp_path / "fresh")


def test_a_fresh_clone_has_the_evidence_and_lacks_the_images_alone(fresh: Clone) -> None:
    status = json.loads(fresh.dvc("status", "--json").output)
    assert status == {"data": [{"changed outs": {"data/prepared": "not in cache"}}]}
    shown = json.loads(fresh.dvc("metrics", "show", "--json").output)
    files = shown[""]["data"]
    assert len(files) == len(RUNS) + 1
    assert {"metrics/variants/expB-512.json", "metrics/claims.json"} <= set(files)
    assert fresh.dvc("repro", "--allow-missing").stages == []


def test_a_fresh_clone_makes_its_images_and_trains_what_is_new(fresh: Clone) -> None:
    assert fresh.dvc("repro").stages == ["data"]
    assert not fresh.trained()
    assert fresh.git("status", "--short") == "", "the same images, to the byte"
    # States stay where they were trained: a new run trains its past here, once.
    fresh.change(own={"late": {"512": {"180": 0.3}}})
    assert fresh.dvc("repro", "--dry").stages == ["own@late-0", "report"]
    fresh.dvc("repro", "own@late-0")
    assert [row["epoch"] for row in fresh.trained()] == list(range(10))


# netstab study


def study(clone: Clone, *words: str, code: int = 0, **env: str) -> str:
    return clone.netstab("study", *words, code=code, **env).output


SMALLER = [
    *("-S", "data.image_size=8", "-S", "model.width=2", "-S", "train.time_scale=0.05"),
    *("-S", "train.batch_size=512", "-S", "train.crop_padding=1"),
    *("-S", "train.horizontal_flip=true", "-S", "expE.batch.largest_batch=1024"),
    *("-S", "expE.ema.decay=0.999", "-S", "expE.ema.batch_norm_images=2048"),
    *("-S", "expE.bnrecal.batch_norm_images=2048", "-S", "measure.stability.every_epochs=100"),
    *("-S", "measure.stability.images=16", "-S", "measure.field.every_epochs=100"),
    *("-S", "measure.field.images=4", "-S", "measure.sharpness.images=8"),
    *("-S", "measure.sharpness.settle_epochs=0", "-S", "measure.sharpness.tolerance=0.9"),
    *("-S", "measure.sharpness.max_products=10", "-S", "measure.sharpness.trace_samples=2"),
    *("-S", "measure.barriers.images=null"),
]
"""Overrides that make of the demo the study that the base's store has."""


def test_a_study_is_a_temporary_experiment_and_leaves_the_checkout_as_it_is(clone: Clone) -> None:
    # Something is changed and not committed, and nobody has told git who they are.
    clone.append("params.yaml", "# a word of mine\n")
    (clone.root / "notes.txt").write_text("mine\n")
    before, useless, states = checkout(clone), garbage(clone), clone.states()

    said = study(clone, "demo", *SMALLER, "-S", *MOVED)

    assert_expB_and_the_report(Result(said).stages)
    assert checkout(clone) == before
    assert clone.states() == states and not clone.trained(), "the main checkout's store had it all"
    (ref,) = clone.git("for-each-ref", "--format=%(refname)", "refs/exps").split()
    changed = clone.git("diff", "--name-only", "main", ref, "metrics/variants")
    assert changed.split() == sorted(f"metrics/variants/expB-{block}.json" for block in BLOCKS)
    table = said.split("Ran experiment(s): demo")[1]
    assert "expE-bnrecal" in table and f"report: {clone.root}/demo/report.html" in table
    assert "</html>" in clone.read("demo/report.html")
    assert len(clone.files("demo/variants")) == len(RUNS)
    ours, theirs = clone.files("metrics/variants"), clone.files("demo/variants")
    assert {name for name in ours if ours[name] != theirs[name]} == {
        f"expB-{block}.json" for block in BLOCKS
    }

    # The study's own inputs tell the store what its states are for.
    assert "freeze_epoch" in clone.read("demo/params.yaml")
    assert clone.read("demo/data/manifest.json") == clone.read("data/manifest.json")
    assert garbage(clone) < useless
    assert "A1" in clone.netstab("claims", "--results", "demo").output

    # Again, after a commit: the results are the new ones.
    clone.commit("mine")
    study(clone, "demo", *SMALLER)
    assert clone.files("demo/variants") == ours
    assert not clone.trained()


def garbage(clone: Clone) -> int:
    """Number of files in the store that nothing has a use for."""
    return int(clone.netstab("store", "gc", "--dry-run").output.split()[0])


def checkout(clone: Clone) -> list[str]:
    """What git knows of the working tree, the branches and the stash, and params.yaml."""
    asked = ("status --short", "log --branches --format=%H", "branch", "stash list")
    return [*(clone.git(*words.split()) for words in asked), clone.read("params.yaml")]


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (["demo", "--source", "x.zip"], "demo takes no images"),
        (["mini", "--source", "nowhere.zip"], "nowhere.zip: is not there; name an archive"),
    ],
)
def test_a_study_that_cannot_be_is_refused_before_anything_runs(
    clone: Clone, words: list[str], remedy: str
) -> None:
    said = study(clone, *words, code=1)
    assert remedy in said
    assert "Running stage" not in said and "Traceback" not in said
    assert clone.git("status", "--short") == "" and not clone.git("for-each-ref", "refs/exps")


@pytest.mark.long
def test_a_shallow_clone_that_keeps_no_experiment_has_the_results(
    clone: Clone, tmp_path: Path
) -> None:
    clone.change(own={"late": {"512": {"180": 0.3}}})
    clone.commit("a second commit")
    clone.git("clone", "--quiet", "--depth", "1", clone.root.as_uri(), str(tmp_path / "shallow"))
    shallow = Clone(tmp_path / "shallow")
    store = str(clone.root / ".netstab/store")
    said = study(shallow, "demo", *SMALLER, "-S", "~own.late", NETSTAB_STORE=store)
    assert "experiment: none, for git keeps none in a shallow clone" in said
    assert f"report: {shallow.root}/demo/report.html" in said and "Traceback" not in said
    assert not shallow.git("for-each-ref", "refs/exps"), "git keeps it by now: nothing is shown"
    assert len(shallow.files("demo/variants")) == len(RUNS)
    assert "late" not in shallow.read("demo/params.yaml")


@pytest.mark.long
def test_a_study_with_a_run_that_cannot_be_trained_has_the_results_of_the_others(
    clone: Clone,
) -> None:
    hot = ["-S", "+own.hot.64.60=1e30"]
    said = " ".join(study(clone, "demo", *SMALLER, *hot, code=1).split())
    assert "1 of 8 runs could not be trained: own-hot-0" in said
    assert f"the results are in {clone.root}/demo, but not all went well" in said
    assert f"report: {clone.root}/demo/report.html" in said and "Traceback" not in said
    assert "could not be trained" in clone.read("demo/report.html")
    assert json.loads(clone.read("demo/variants/outpost.json"))["n_seeds"] == 1
    assert clone.git("status", "--short") == ""


@pytest.mark.long
def test_a_study_that_stops_leaves_the_results_of_the_one_before(clone: Clone) -> None:
    (clone.root / "demo").mkdir()
    (clone.root / "demo/report.html").write_text("of the one before")
    said = study(clone, "demo", *SMALLER, "-S", "train.batch_size=2000", code=1)
    assert "2000 is more than the 1442 training images" in said
    assert "the study stopped (dvc exit code 255)" in said and "Traceback" not in said
    assert clone.read("demo/report.html") == "of the one before"
    assert clone.git("status", "--short") == ""
