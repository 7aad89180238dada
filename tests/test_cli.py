"""`netstab plan` and `netstab store`: what they say, and what they do to the store."""

import json
import re
import shutil
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import dumps_yaml

from netstab.commands import study
from netstab.data.dataset import Dataset
from netstab.data.manifest import read_manifest
from netstab.exchange import exporting, piecefile
from netstab.params import read
from netstab.store.ledger import Ledger
from netstab.store.measurements import Measurements
from netstab.store.settings import versions
from netstab.store.states import Store
from netstab.study import differences
from netstab.study.experiments import runs
from netstab.study.plan import kept_epochs
from tests import pieces, repository, small
from tests.checkout import python
from tests.data_helpers import MANIFEST

netstab = partial(repository.netstab, columns=200)


@dataclass(frozen=True)
class Project:
    """A checkout as far as the commands need one, and the current folder."""

    root: Path

    def set(self, **changes: Any) -> None:
        """Write params.yaml: one seed, no own, the CPU; and these changes."""
        base: dict[str, Any] = {"seeds": [0], "own": {}, "expE": {}}
        base |= {"experiments": ["expA", "expB", "expC", "expD"]}
        base |= {"runtime": {"device": "cpu", "threads": 2}}
        (self.root / "params.yaml").write_text(dumps_yaml(small.content(**{**base, **changes})))

    @property
    def store(self) -> Store:
        return Store(self.root / ".netstab" / "store")

    @property
    def ledger(self) -> Ledger:
        params, data = read(self.root / "params.yaml"), Dataset.prepared(read_manifest(self.root))
        return Ledger(params, data, self.store, *versions())

    def fill(self, *names: str, settings: bool = True) -> None:
        """Put made-up states of these runs, or of all, into the store."""
        ledger = self.ledger
        for run in runs(ledger.params):
            if names and run.name not in names:
                continue
            for epoch in kept_epochs(ledger.params, ledger.tree, run.variant):
                key = ledger.key(run, epoch)
                if key not in self.store:
                    told: dict[str, Any] = {"inputs": ledger.inputs(run, epoch)}
                    if settings:
                        told["settings"] = differences.settings(ledger.params, run.variant)
                    record = pieces.record(key, epoch, run=run.name, **told)
                    self.store.save(record, pieces.holding(bytes(100_000)))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in ("DVC_ROOT", "NETSTAB_STORE"):
        monkeypatch.delenv(name, raising=False)
    made = checkout(tmp_path / "study")
    monkeypatch.chdir(made.root)
    return made


def checkout(root: Path) -> Project:
    (root / "data").mkdir(parents=True)
    shutil.copy(small.ROOT / "dvc.yaml", root)
    (root / "data" / "manifest.json").write_text(MANIFEST.to_json())
    made = Project(root)
    made.set()
    return made


@pytest.fixture(scope="module")
def full_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with every run, and with all that is measured on them."""
    made = checkout(tmp_path_factory.mktemp("full") / "study")
    made.fill()
    ledger = made.ledger
    for run in runs(ledger.params):
        for key, inputs in pieces.measured(ledger, run):
            ledger.measurements.write(key, inputs, pieces.entry(inputs))
    return made.root / ".netstab"


@pytest.fixture
def measured(project: Project, full_store: Path) -> Project:
    """The project with a store in which nothing lacks, of several tests, which only read it."""
    (project.root / ".netstab").symlink_to(full_store)
    return project


full = pytest.mark.xdist_group("full store")


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


# netstab plan


def test_plan_draws_who_branches_from_whom_and_sums_up(project: Project) -> None:
    said = netstab("plan").stdout
    assert not project.store.root.exists()
    drawn = said.splitlines()
    assert drawn[0] == "one seed: 18 runs (seeds 0)"
    assert drawn[1] == "└── baseline  0 → 60, shared by 18"
    for line in (
        "    ├── baseline  60 → 200",
        "    ├── outpost  60 → 140, shared by 5  rate 0.01",
        "    │   ├── outpost  140 → 200",
        "    │   └── expD-512  140 → 200  trains layer4 head alone",
        "    ├── expA-64  60 → 90, shared by 2  rate 0.01",
        "    │   ├── expA-64  90 → 200",
        "    │   └── expC-64  90 → 200  trains stem layer1 alone",
        "    ├── expB-128  60 → 200  trains layer2 alone",
    ):
        assert line in drawn
    sums = lines(said)
    assert "epochs to train 2,140 (2,140 a seed; each run alone: 3,600)" in sums
    assert "epochs shared 1,460 (41% of separate runs)" in sums
    assert "already stored 0" in sums
    assert "still to train 2,140" in sums
    assert sums[-2].startswith("time to train ")
    assert sums[-2].endswith("(a rough guess for 2 CPU threads)")
    measures = r"stability \d+%, field \d+%, sharpness \d+%, barriers \d+%"
    assert re.fullmatch(rf"measuring, about \+\d+% \({measures}\)", sums[-1])


def test_plan_says_which_shape_a_run_follows_and_for_how_long(project: Project) -> None:
    shapes = ["cosine", "warm_restarts"]
    project.set(experiments=[], expF={"shapes": shapes})
    drawn = lines(netstab("plan").stdout)
    for told in ("expF-cosine 61 → 200 cosine", "expF-warm_restarts 61 → 200 warm restarts"):
        assert [line for line in drawn if line.endswith(f"── {told} until 150")]


def test_plan_counts_every_seed_and_follows_the_time_scale(project: Project) -> None:
    project.set(seeds=[0, 1, 2], train={"time_scale": 0.1})
    said = netstab("plan").stdout
    assert said.startswith("one seed: 18 runs (seeds 0, 1, 2)\n")
    assert "    ├── outpost  6 → 14, shared by 5  rate 0.01" in said.splitlines()
    assert "epochs to train 642 (214 a seed; each run alone: 1,080)" in lines(said)


def test_plan_knows_what_is_stored(project: Project) -> None:
    project.fill("baseline-0", "expA-64-0")
    sums = lines(netstab("plan").stdout)
    assert "already stored 340" in sums
    assert "still to train 1,800" in sums
    project.fill()
    sums = lines(netstab("plan").stdout)
    assert "still to train 0" in sums
    assert not [line for line in sums if line.startswith(("time to train", "measuring"))]
    # A moved freeze epoch: the baseline's state at 90 is there.
    project.set(expB={"freeze_epoch": 90})
    assert "still to train 440" in lines(netstab("plan").stdout)


def test_plan_can_be_drawn_before_the_data_is_there(project: Project) -> None:
    (project.root / "data" / "manifest.json").unlink()
    assert "still to train 2,140" in lines(netstab("plan").stdout)


def test_plan_predicts_a_sweep_by_ray_and_says_what_holds_it_up(project: Project) -> None:
    project.set(seeds=[0, 1], runtime={"device": "cpu", "threads": 1})
    few = lines(netstab("plan", "--workers", "1", "--start-up", "0").stdout)
    assert few[0].startswith("by Ray, 1 workers with 1 CPU thread each:")
    assert "utilisation 100% (1 workers have work)" in few
    assert "limit: the number of workers" in few
    assert few[-1].startswith("a rough guess for 1 CPU thread: the store has nothing")
    many = lines(netstab("plan", "--workers", "900", "--gpus-per-worker", "0").stdout)
    assert any(line.startswith("limit: the critical path") for line in many)
    assert (
        "--gpus-per-worker and --start-up go with --workers"
        in netstab("plan", "--start-up", "3", code=1).output
    )
    project.fill()
    # Everything but its measurements is there; nothing tells how long those take.
    assert " jobs" in netstab("plan", "--workers", "2").stdout


def test_without_ray_a_sweep_by_ray_says_how_to_install_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netstab.sweep.ray.start.find_spec", lambda name: None)
    said = netstab("sweep", "--ray", code=1).output
    assert "pip install -c constraints.txt -e '.[cluster]'" in said
    assert "go with --ray" in netstab("sweep", "10.0.0.1:6379", code=1).output


@pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra: cluster")
@pytest.mark.parametrize(
    ("address", "fault"),
    [
        ("ray://127.0.0.1:10001", "Run the command on a node of the cluster"),
        ("127.0.0.1:1", "no connection to Ray ("),
        ("headnode", "The address is HOST:PORT or auto"),
        ("127.0.0.1:99999", "The address is HOST:PORT or auto"),
    ],
)
def test_an_address_where_no_ray_is_is_refused_at_once(
    address: str, fault: str, project: Project
) -> None:
    said = netstab("sweep", "--ray", address, code=1).output
    assert fault in " ".join(said.split())


def test_plan_works_from_a_folder_below_and_finds_the_named_store(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project.fill()
    monkeypatch.chdir(project.root / "data")
    assert "still to train 0" in lines(netstab("plan").stdout)
    monkeypatch.setenv("NETSTAB_STORE", str(tmp_path / "elsewhere"))
    assert "still to train 2,140" in lines(netstab("plan").stdout)


@pytest.mark.parametrize(
    "command",
    [
        ["plan"],
        ["plan", "--explain"],
        ["store", "ls"],
        ["store", "verify"],
        ["store", "export", "pieces"],
        ["store", "import", "../piece.json.gz"],
    ],
)
def test_commands_start_without_torch(command: list[str], project: Project) -> None:
    pieces.fill(project.ledger, runs(project.ledger.params)[:2])
    netstab("store", "export", "../piece.json.gz")
    code = (
        "import sys\n"
        "from netstab.cli import app\n"
        f"app({command!r}, standalone_mode=False)\n"
        "print('imported', {'torch', 'numpy', 'pandas', 'dvc'} & set(sys.modules))"
    )
    assert python("-c", code, cwd=project.root).stdout.endswith("imported set()\n")


# netstab plan --explain


def explained(project: Project) -> dict[str, dict[str, Any]]:
    """Each run's entry by its name."""
    told = json.loads(netstab("plan", "--explain", "--json").stdout)
    return {entry["run"]: entry for entry in told["runs"]}


@full
def test_a_moved_freeze_is_named_with_both_epochs_and_where_training_goes_on_from(
    measured: Project,
) -> None:
    measured.set(expB={"freeze_epoch": 90})
    said = netstab("plan", "--explain").stdout.splitlines()
    at = said.index("to be trained: expB.freeze_epoch 60 -> 90")
    assert [line.split()[0] for line in said[at + 1 : at + 5]] == [
        f"expB-{block}-0" for block in (64, 128, 256, 512)
    ]
    told = "110 of 200 epochs, from baseline-0 at 90; nearest is expB-64-0 at 200"
    assert " ".join(said[at + 1].split()) == f"expB-64-0 {told}"
    rest = said.index("only collected: the store has all of it")
    assert len(said[rest + 1 : said.index("", rest)]) == 14
    assert "still to train 440" in lines("\n".join(said))

    entry = explained(measured)["expB-64-0"]
    assert entry["action"] == "train" and entry["epochs_left"] == 110
    assert (entry["from"]["run"], entry["from"]["epoch"]) == ("baseline-0", 90)
    assert entry["changes"] == [{"parameter": "expB.freeze_epoch", "old": 60, "new": 90}]
    assert explained(measured)["baseline-0"] == {
        "run": "baseline-0",
        "action": "collect",
        "epochs": 200,
        "epochs_left": 0,
        "from": None,
        "nearest": None,
        "changes": [],
    }


@full
@pytest.mark.parametrize(
    ("changes", "parameter", "old", "new"),
    [
        ({"train": {"momentum": 0.5}}, "train.momentum", 0.9, 0.5),
        ({"train": {"learning_rate": 0.2}}, "train.learning_rate", 0.1, 0.2),
        ({"train": {"epochs": 300}}, "train.epochs", 200, 300),
        ({"model": {"width": 8}}, "model.width", 64, 8),
        ({"model": {"norm": "group"}}, "model.norm", "batch", "group"),
        ({"model": {"name": "plain"}}, "model.name", "resnet18", "plain"),
        ({"seeds": [3]}, "seed", 0, 3),
        ({"outpost": {"decay_factor": 0.5}}, "outpost.decay_factor", 0.1, 0.5),
    ],
)
def test_the_parameter_that_parts_a_run_from_the_store_is_named(
    changes: dict[str, Any], parameter: str, old: object, new: object, measured: Project
) -> None:
    measured.set(**changes)
    found = explained(measured)["outpost-" + str(changes.get("seeds", [0])[0])]
    assert found["changes"] == [{"parameter": parameter, "old": old, "new": new}]
    assert found["nearest"]["run"] == "outpost-0"


@full
def test_other_numerics_and_other_images_are_named(
    measured: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    training, measures = versions()
    with monkeypatch.context() as patch:
        patch.setattr("netstab.store.ledger.versions", lambda: (training + 1, measures))
        said = netstab("plan", "--explain").stdout
    numerics = "to be trained: version of the numerics (src/netstab/training/numerics.json)"
    assert f"{numerics} {training} -> {training + 1}\n" in said
    other = MANIFEST.model_copy(update={"content_sha256": "5" * 64})
    (measured.root / "data" / "manifest.json").write_text(other.to_json())
    assert f"{'4' * 12}... -> {'5' * 12}..." in netstab("plan", "--explain").stdout
    (measured.root / "data" / "manifest.json").unlink()
    result = netstab("plan", "--explain")
    assert f"{'4' * 12}... -> not prepared" in result.stdout
    assert "after dvc repro data this tells more" in result.stderr


def test_a_run_that_is_new_or_was_stopped_is_told_from_one_that_was_changed(
    project: Project,
) -> None:
    assert {entry["action"] for entry in explained(project).values()} == {"train"}
    said = netstab("plan", "--explain").stdout.splitlines()
    assert said[0] == "to be trained: nothing of it is stored"
    assert said[1].split(maxsplit=1)[1] == "200 of 200 epochs, from the start"
    project.fill("baseline-0")
    ledger = project.ledger
    run = next(run for run in runs(ledger.params) if run.name == "baseline-0")
    project.store.remove(ledger.end_key(run))
    said = netstab("plan", "--explain").stdout.splitlines()
    at = said.index("to be trained: not finished")
    told = "baseline-0 20 of 200 epochs, from baseline-0 at 180"
    assert lines(said[at + 1]) == [told]
    # What was trained before the settings were recorded says no more than that it is another one.
    project.fill("expB-64-0", settings=False)
    project.set(expB={"freeze_epoch": 90})
    said = netstab("plan", "--explain").stdout
    assert "to be trained: another schedule (epochs, rates, interventions)\n  expB-64-0  " in said


def test_of_states_that_are_equally_near_that_of_the_first_seed_is_named(project: Project) -> None:
    project.set(seeds=[1, 0, 2], experiments=["expB"])
    project.fill()
    project.set(seeds=[3], experiments=["expB"])
    assert {
        name.removesuffix("-3"): entry["nearest"]["run"]
        for name, entry in explained(project).items()
    } == {
        variant: f"{variant}-0"
        for variant in (
            "baseline",
            "outpost",
            *(f"expB-{block}" for block in small.SHIPPED["blocks"]),
        )
    }
    assert "to be trained: seed 0 -> 3\n" in netstab("plan", "--explain").stdout


@full
def test_each_measurement_is_read_once_to_tell_what_measured_it_otherwise(
    measured: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    read_with_inputs = Measurements.read_with_inputs
    monkeypatch.setattr(
        Measurements,
        "read_with_inputs",
        lambda self, key: reads.append(key) or read_with_inputs(self, key),
    )
    settings = measured.ledger.params.measure.sharpness.model_dump()
    measured.set(measure={"sharpness": settings | {"images": 64}})
    netstab("plan", "--explain")
    assert sorted(reads) == sorted(measured.ledger.measurements.listing())


@full
@pytest.mark.parametrize("measure", ["stability", "field", "sharpness"])
def test_what_is_measured_anew_is_told_by_setting(measure: str, measured: Project) -> None:
    settings = getattr(measured.ledger.params.measure, measure).model_dump()
    measured.set(measure={measure: settings | {"images": 64}})
    said = netstab("plan", "--explain").stdout.splitlines()
    told = f"measure.{measure}.images {settings['images']} -> 64"
    at = said.index(f"to be measured, trained already: {told}")
    assert len(said[at + 1 : said.index("")]) == 18


@full
@pytest.mark.parametrize("measure", ["stability", "field"])
def test_what_is_measured_more_often_is_told_by_that_setting(
    measure: str, measured: Project
) -> None:
    # The last of the epochs is another one, and it alone has a floor.
    settings = getattr(measured.ledger.params.measure, measure).model_dump()
    measured.set(measure={measure: settings | {"every_epochs": 5}})
    parameter = f"measure.{measure}.every_epochs"
    said = netstab("plan", "--explain").stdout.splitlines()
    at = said.index(f"to be measured, trained already: {parameter}, now 5")
    assert len(said[at + 1 : said.index("")]) == 18
    found = explained(measured)["outpost-0"]["changes"]
    assert found == [{"parameter": parameter, "old": None, "new": 5}]


@full
def test_what_is_measured_anew_is_told_by_block(measured: Project) -> None:
    blocks = small.SHIPPED["blocks"]
    joined = {"64": [*blocks["64"], *blocks["128"]], "128": blocks["256"], "512": blocks["512"]}
    measured.set(blocks=joined)
    found = explained(measured)["outpost-0"]
    assert found["action"] == "measure"
    assert {c["parameter"] for c in found["changes"]} == {"blocks.64", "blocks.128", "blocks.256"}


@full
@pytest.mark.parametrize("measure", ["stability", "field", "sharpness"])
def test_what_is_measured_anew_is_told_by_version(
    measure: str, measured: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    training, measures = versions()
    old = measures[measure]
    raised = {**measures, measure: old + 1}
    monkeypatch.setattr("netstab.store.ledger.versions", lambda: (training, raised))
    found = explained(measured)["outpost-0"]
    assert found["action"] == "measure"
    told = {"parameter": f"measures.{measure}", "old": old, "new": old + 1}
    assert found["changes"] == [told]
    said = netstab("plan", "--explain").stdout
    words = f"version of what {measure} computes (src/netstab/training/numerics.json)"
    assert f"to be measured, trained already: {words} {old} -> {old + 1}\n" in said


def test_plans_for_a_cluster_are_not_explained(project: Project) -> None:
    for option in ("--explain", "--json"):
        said = netstab("plan", "--workers", "2", option, code=2).stderr
        assert "goes with neither --explain nor --json" in said


# --json


def test_a_plan_as_json_has_the_sums_and_the_segments(project: Project) -> None:
    project.fill("baseline-0", "expA-64-0")
    told = json.loads(netstab("plan", "--json").stdout)
    assert told["seeds"] == [0]
    assert told["epochs"] == {"shared": 2140, "apart": 3600, "stored": 340, "left": 1800}
    assert told["seconds_left"] > 0 and told["seconds_are_measured"] is True
    names = [variant.name for variant in project.ledger.tree.schedules]
    assert told["segments"][0] == {"start": 0, "end": 60, "variants": names}
    assert "runs" not in told
    project.fill()
    assert json.loads(netstab("plan", "--json").stdout)["seconds_left"] is None


def test_the_store_as_json_has_every_state_and_what_it_is_wanted_for(project: Project) -> None:
    project.fill("expB-64-0")
    project.set(expB={"freeze_epoch": 100})
    told = json.loads(netstab("store", "ls", "--json").stdout)
    assert told["store"] == str(project.store.root) and told["bytes"] == 300_000
    early, shared, end = told["states"]
    assert early["wanted_for"] == "baseline-0 at 30"
    assert shared["wanted_for"] == "baseline-0 at 60" and end["wanted_for"] is None
    assert {early["key"], shared["key"], end["key"]} == project.store.listing()
    assert (end["run"], end["epoch"], end["bytes"]) == ("expB-64-0", 200, 100_000)
    assert end["imported"] is False


# netstab store


def test_store_ls_lists_states_with_what_they_are_for(project: Project) -> None:
    assert netstab("store", "ls").stdout == f"0 states, 0.0 MB in {project.store.root}\n"
    project.fill("expB-64-0")
    project.set(expB={"freeze_epoch": 100})
    said = lines(netstab("store", "ls").stdout)
    run = next(run for run in runs(project.ledger.params) if run.name == "baseline-0")
    assert said[0] == "key trained by epoch MB wanted for"
    for line, epoch in zip(said[1:3], (30, 60), strict=True):
        key = project.ledger.key(run, epoch)[:12]
        assert line == f"{key} expB-64-0 {epoch} 0.1 baseline-0 at {epoch}"
    assert said[3].endswith("expB-64-0 200 0.1 nothing in the current params.yaml")
    assert said[4] == f"3 states, 0.3 MB in {project.store.root}"


def test_store_ls_names_a_folder_as_it_is(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Brackets are no markup, and a long path is not broken.
    folder = tmp_path / "a [bold] folder" / ("x" * 200)
    monkeypatch.setenv("NETSTAB_STORE", str(folder))
    assert netstab("store", "ls").stdout == f"0 states, 0.0 MB in {folder}\n"


def test_store_verify_fails_where_a_state_is_damaged(project: Project) -> None:
    project.fill("expB-64-0")
    assert (
        netstab("store", "verify").stdout
        == "3 states and measurements are sound, 0 were set aside\n"
    )
    tensors = sorted(project.store.states.glob("*.safetensors"))[0]
    tensors.write_bytes(b"damaged")
    result = netstab("store", "verify", code=1)
    assert result.stdout == "2 states and measurements are sound, 1 were set aside\n"
    assert f"warning: state {tensors.stem[:12]} is set aside" in result.stderr
    assert (
        netstab("store", "verify").stdout
        == "2 states and measurements are sound, 0 were set aside\n"
    )


def test_store_gc_removes_only_what_the_parameters_have_no_use_for(project: Project) -> None:
    project.fill()
    before = project.store.listing()
    assert netstab("store", "gc").stdout.startswith("0 files (0 states, 0.0 MB) are of no")
    project.set(expB={"freeze_epoch": 100})
    found = "8 files (4 states, 0.7 MB) are of no use to the current params.yaml."
    assert netstab("store", "gc", "--dry-run").stdout.startswith(found)
    assert project.store.listing() == before
    refused = netstab("store", "gc", code=1, typed="n\n")
    assert "Remove them?" in refused.stderr and "Remove" not in refused.stdout
    assert project.store.listing() == before
    done = netstab("store", "gc", "--yes").stdout
    assert done.startswith(found)
    assert done.endswith("removed\n")
    assert len(before) - len(project.store.listing()) == 4
    assert project.store.listing() <= set(project.ledger.kept())
    assert (
        netstab("store", "verify").stdout
        == f"{len(before) - 4} states and measurements are sound, 0 were set aside\n"
    )


def test_store_gc_keeps_what_a_studys_results_came_from(project: Project) -> None:
    project.fill("expB-64-0")
    stored = project.store.listing()
    folder = project.root / "demo"
    shutil.copytree(project.root / "data", folder / "data")
    shutil.copy(project.root / "params.yaml", folder)
    project.set(seeds=[5])
    said = netstab("store", "gc").stdout
    told = "0 files (0 states, 0.0 MB) are of no use to the current params.yaml, or of demo/. "
    assert said.startswith(told)
    assert "demo/: expB-64-0" in netstab("store", "ls").stdout
    # A copy of it that is a checkout of its own is none of ours.
    shutil.copytree(folder, project.root / "other")
    shutil.copy(project.root / "dvc.yaml", project.root / "other")
    assert "other/" not in netstab("store", "gc", "--dry-run").stdout
    shutil.rmtree(folder)
    assert netstab("store", "gc", "--yes").stdout.endswith("removed\n")
    assert not project.store.listing() & stored


@pytest.mark.parametrize("lost", ["params.yaml", "data/manifest.json", "seeds"])
def test_store_gc_removes_nothing_where_a_study_cannot_tell_what_it_came_from(
    project: Project, lost: str
) -> None:
    project.fill("expB-64-0")
    stored = project.store.listing()
    folder = project.root / "demo"
    shutil.copytree(project.root / "data", folder / "data")
    shutil.copy(project.root / "params.yaml", folder)
    (folder / "claims.json").touch()
    if lost == "seeds":
        (folder / "params.yaml").write_text("seeds: [")
    else:
        (folder / lost).unlink()
    project.set(seeds=[5])
    told = "What the study in demo/ needs of the store is not known: make it again, or move"
    assert told in netstab("store", "gc", "--yes", code=1).stderr
    assert told in netstab("store", "ls").stderr
    assert project.store.listing() == stored


def test_store_gc_keeps_what_a_temporary_experiment_is_at_work_on(project: Project) -> None:
    project.fill("expB-64-0")
    stored = project.store.listing()
    copy = project.root / ".dvc/tmp/exps/standalone/tmp1"
    shutil.copytree(project.root / "data", copy / "data")
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(project.root / name, copy)
    project.set(seeds=[5])
    said = netstab("store", "gc", "--yes").stdout
    assert "or of .dvc/tmp/exps/standalone/tmp1/" in said
    assert project.store.listing() == stored
    shutil.rmtree(copy)
    assert netstab("store", "gc", "--yes").stdout.endswith("removed\n")
    assert project.store.listing() == set()


def test_store_gc_asks_first(project: Project) -> None:
    project.fill("expB-64-0")
    project.set(seeds=[5])
    assert netstab("store", "gc", typed="y\n").stdout.endswith("removed\n")
    assert project.store.listing() == set()


def test_store_gc_without_the_images_manifest_removes_nothing(project: Project) -> None:
    project.fill("expB-64-0")
    stored = project.store.listing()
    (project.root / "data" / "manifest.json").unlink()
    said = netstab("store", "gc", "--yes", code=1).stderr
    assert "data/manifest.json: is missing or damaged" in said
    assert "dvc repro data" in said
    assert project.store.listing() == stored


# Pieces


def test_a_piece_is_exported_and_imported_with_what_params_yaml_makes_of_it(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chosen = [run for run in runs(project.ledger.params) if run.variant.experiment == "expB"]
    pieces.fill(project.ledger, chosen[:3])
    exported = netstab("store", "export", "b.json.gz", "--only", "expB")
    assert exported.stdout.startswith("b.json.gz: 3 runs, ")
    assert exported.stderr == "not finished, and so left out: expB-512-0\n"

    monkeypatch.setenv("NETSTAB_STORE", str(tmp_path / "empty"))
    assert "still to train 2,140" in lines(netstab("plan").stdout)
    said = netstab("store", "import", "b.json.gz").stdout
    assert said.startswith("3 runs and ")
    assert said.endswith("params.yaml asks for 3 of them; dvc repro collects these\n")
    assert "already stored 420" in lines(netstab("plan").stdout), "not what they share"
    said = netstab("store", "import", "b.json.gz").stdout
    assert said.startswith("0 runs and 0 measurements imported; 3 runs were there already\n")
    listed = lines(netstab("store", "ls").stdout)
    assert listed[1].endswith("expB-128-0 200 imported expB-128-0")
    assert listed[-1].endswith("; 3 imported runs, without weights")
    assert netstab("store", "gc").stdout.startswith("0 files")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train": {"deterministic": True}}, "train.deterministic is False, here True"),
        ({"seeds": [3]}, "seed 0 is none of its seeds"),
        ({"expB": {"freeze_epoch": 90}}, "another schedule (epochs, rates, interventions)"),
    ],
)
def test_runs_that_params_yaml_does_not_ask_for_are_imported_and_it_is_said_why(
    changes: dict[str, Any], said: str, project: Project
) -> None:
    chosen = [run for run in runs(project.ledger.params) if run.variant.name == "expB-64"]
    pieces.fill(project.ledger, chosen)
    netstab("store", "export", "b.json.gz")
    shutil.rmtree(project.store.root)
    project.set(**changes)
    told = netstab("store", "import", "b.json.gz")
    assert "params.yaml asks for 0 of them" in told.stdout
    assert f"warning: params.yaml does not ask for expB-64-0: {said}" in told.stderr
    project.set()
    assert "asks for 1 of them" in netstab("store", "import", "b.json.gz").stdout


def test_an_import_says_which_runs_were_trained_by_another_instruction_set(
    project: Project,
) -> None:
    sets = {"AVX2": "Intel AVX2", "AVX512": "Intel AVX-512"}
    for name, (torch, onednn) in zip(("baseline", "outpost"), sets.items(), strict=True):
        chosen = [run for run in runs(project.ledger.params) if run.variant.name == name]
        pieces.fill(project.ledger, chosen[:1], cpu_capability=torch, onednn_isa=onednn)
    netstab("store", "export", "both.json.gz")
    shutil.rmtree(project.store.root)
    said = netstab("store", "import", "both.json.gz").stderr
    assert (
        "warning: runs of this study were trained by different instruction sets (baseline-0: AVX2, "
        "oneDNN Intel AVX2; outpost-0: AVX512, oneDNN Intel AVX-512)"
    ) in said


def test_measurements_that_were_not_taken_are_named_at_the_import(project: Project) -> None:
    pieces.fill(project.ledger, [runs(project.ledger.params)[0]])
    netstab("store", "export", "baseline.json.gz")
    shutil.rmtree(project.store.root)
    project.set(blocks={**small.SHIPPED["blocks"], "64": ["stem"], "128": ["layer1", "layer2"]})
    said = netstab("store", "import", "baseline.json.gz").stderr
    assert "warning: baseline-0: params.yaml asks for measurements that were not taken" in said
    assert "Set measure and blocks as where they were trained" in said
    why = netstab("plan", "--explain").stdout
    assert "to be trained: imported without weights, and not measured as params.yaml asks: " in why
    assert "blocks.64 " in why


def test_measurements_of_another_version_are_named_at_the_import(project: Project) -> None:
    now = project.ledger
    older = Ledger(
        now.params, now.dataset, now.store, now.numerics, {**now.measures, "sharpness": 1}
    )
    run = runs(now.params)[0]
    pieces.fill(older, [run])
    piecefile.write(exporting.piece(older, [run]), Path("older.json.gz"))
    shutil.rmtree(project.store.root)
    said = netstab("store", "import", "older.json.gz").stderr
    apart = "version of what sharpness computes (src/netstab/training/numerics.json) 1 -> "
    lacking = f"params.yaml asks for measurements that were not taken ({apart}"
    assert f"warning: {run.name}: {lacking}{now.measures['sharpness']})" in said
    assert "A netstab of that version collects the runs as they are" in said
    assert apart in netstab("plan", "--explain").stdout


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["export", "x.json.gz"], "nothing to export: of 18 runs none is finished"),
        (["export", "x", "--only", "expZ"], "expZ: is no run of this study; known are reference, "),
        (["export", "x", "--seed", "4"], "seed 4: is not in params.yaml; its seeds are 0"),
        (["import", "x.json.gz"], "x.json.gz: cannot be read (No such file or directory)"),
        (["import", "data"], "data: has no file that ends in .json.gz"),
        (["import", "params.yaml"], "params.yaml: is damaged, or no piece of a study"),
    ],
)
def test_what_cannot_be_exported_or_imported_is_named(
    command: list[str], said: str, project: Project
) -> None:
    assert netstab("store", *command, code=1).stderr.startswith(said)
    assert not project.store.root.exists()


# Refusals


@pytest.mark.parametrize("command", [["plan"], ["store", "ls"], ["store", "gc", "--yes"]])
def test_all_faults_of_the_parameters_are_printed_and_nothing_is_done(
    command: list[str], project: Project
) -> None:
    project.fill("expB-64-0")
    stored = project.store.listing()
    project.set(expB={"freeze_epoch": 500}, train={"learning_rate": -1, "epochs": 200}, foo=1)
    result = netstab(*command, code=1)
    assert result.stderr.splitlines() == [
        f"{project.root / 'params.yaml'}: 3 faults",
        "  foo: is not a section; known are seeds, experiments, blocks, data, model, train, "
        "freeze, baseline, outpost, expA, expB, expC, expD, strict, expE, expF, own, measure, "
        "ceiling, report, claims, runtime",
        "  train.learning_rate: should be greater than 0 (found -1)",
        "  expB.freeze_epoch: 500 is past the end (train.epochs is 200); lower it",
    ]
    assert result.stdout == ""
    assert project.store.listing() == stored


def test_a_path_is_printed_as_it_is(
    tmp_path: Path, full_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = checkout(tmp_path / "a :cat: [old][" / "b]")
    monkeypatch.chdir(project.root)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    shutil.copytree(full_store, project.root / ".netstab")
    shutil.copy(small.ROOT / "sizes.yaml", project.root)
    assert f" MB in {project.store.root}\n" in netstab("store", "ls").stdout
    target = project.root / "piece.json.gz"
    said = netstab("store", "export", str(target), "--only", "baseline").stdout
    assert said.startswith(f"{target}: 1 runs, ")

    page = project.root / "demo" / "report.html"

    def made(*_: object) -> int:
        page.parent.mkdir()
        page.touch()
        return 0

    monkeypatch.setattr(study.preflight, "check", lambda root: None)
    monkeypatch.setattr(study, "run_dvc", made)
    monkeypatch.setattr(study, "read_summaries", lambda variants: {})
    assert f"report: {page}\n" in netstab("study", "demo").stdout


def test_a_store_that_is_no_folder_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETSTAB_STORE", str(project.root / "params.yaml"))
    for command in (["plan"], ["store", "ls"], ["store", "verify"]):
        said = netstab(*command, code=1).stderr
        assert f"{project.root / 'params.yaml'}" in said
        assert "cannot be read" in said
