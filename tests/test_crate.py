"""`netstab crate`, `claims --results CRATE`, `rerun`: a study that others check and run again."""

import importlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import dumps_yaml

from netstab import paths
from netstab.commands import rerun
from netstab.errors import DataError
from netstab.evidence.claims.judge import claims_csv, claims_json
from netstab.evidence.summary.curves import curves
from netstab.evidence.summary.summaries import to_file
from netstab.exchange import crate
from netstab.results.schema import Provenance
from netstab.store.settings import versions
from tests import pipeline_helpers, small, synthetic
from tests.data_helpers import MANIFEST
from tests.pipeline_helpers import Clone
from tests.repository import SMALL, Repository, netstab

described = pytest.mark.skipif(find_spec("rocrate") is None, reason="needs the extra: crate")
VALIDATOR = Path(os.environ.get("ROC_VALIDATOR") or Path(sys.prefix) / "validator") / "bin/python"
"""Of an environment of its own: roc-validator wants an older rich than the rest does."""
DATA = {"name": "cats and dogs", "official": False, "content_sha256": MANIFEST.content_sha256}


def publish(repository: Repository, **told: Any) -> None:
    """Commit a study with its results, all but the page and its figures."""
    study = repository.write(DATA)
    for name in study.runs:
        study.retell(name, **{"numerics_version": versions()[0], **told})
    study.write(repository.root)
    paths.MANIFEST.parent.mkdir(exist_ok=True)
    paths.MANIFEST.write_text(MANIFEST.to_json())
    results = study.results()
    paths.CLAIMS.write_text(claims_json(study.params, results.judgements))
    paths.CLAIM_PARTS.write_text(claims_csv(study.params, results.judgements))
    table = curves(study.params, results.bands)
    paths.CURVES.write_text(table.to_csv(index=False, float_format="%.6g"))
    paths.VARIANTS.mkdir(exist_ok=True)
    for name, summary in results.summaries.items():
        (paths.VARIANTS / f"{name}.json").write_text(json.dumps(to_file(summary)))
    repository.commit()


def changed(source: Path, target: Path, changes: dict[str, Any]) -> Path:
    """A copy of a crate with other contents for some names; None leaves one out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            change = changes.get(name, lambda content: content)
            if change is not None:
                new.writestr(name, change(old.read(name)))
    return target


# Round trip


@pytest.mark.long
@described
@pytest.mark.xdist_group("pipeline")
def test_from_a_crate_and_a_clone_of_its_commit_results_are_checked_and_a_run_is_trained_again(
    clone: Clone, tmp_path: Path
) -> None:
    made = clone.netstab("crate", "--output", str(tmp_path / "study.zip")).output
    count = len(pipeline_helpers.RUNS)
    assert f"study.zip: {count} runs, " in made
    commit = clone.git("rev-parse", "HEAD").strip()
    assert f"commit {commit[:12]}" in made

    clone.git("clone", "--quiet", ".", str(tmp_path / "fresh"))
    fresh = Clone(tmp_path / "fresh")
    shutil.rmtree(fresh.root / "metrics")
    study = str(tmp_path / "study.zip")
    said = fresh.netstab("claims", "--results", study).output
    assert f"are what the histories of its {count} runs give" in said
    assert "too few seeds" in said and "warning" not in said

    said = fresh.netstab("rerun", study, "expB-64-0").output
    assert "expB-64-0: the same history, to the bit, over 10 epochs\n" in said
    assert [row["epoch"] for row in fresh.trained()] == list(range(10)), "from its start"
    assert not (fresh.root / ".netstab/store").exists(), "in a store of its own"

    def another(content: bytes) -> bytes:
        lines = content.decode().splitlines(keepends=True)
        cells = lines[4].split(",")
        cells[1] = "9.5"
        return "".join([*lines[:4], ",".join(cells), *lines[5:]]).encode()

    history = {"runs/outpost-0/history.csv": another}
    forged = str(changed(tmp_path / "study.zip", tmp_path / "forged.zip", history))
    said = fresh.netstab("rerun", forged, "outpost-0", code=1).output
    assert "outpost-0: another history: train_loss of epoch 3 is " in said
    assert "in the crate 9.5. The same bits take the same kind of processor" in said
    said = fresh.netstab("claims", "--results", forged, code=1).output
    assert "forged.zip: is not what its runs give:" in said and "curves.csv: " in said


# What it says


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a study to publish; copied, never changed."""
    root = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
        publish(Repository(root))
    return root


@pytest.fixture
def published(shared: Path, repository: Repository) -> Repository:
    """The repository, with a study to publish."""
    shutil.copytree(shared, repository.root, dirs_exist_ok=True)
    return repository


@pytest.fixture(scope="module")
def zipped(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study's crate; copied, never changed."""
    path = tmp_path_factory.mktemp("zipped") / "study.zip"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(shared)
        patch.delenv("DVC_ROOT", raising=False)
        netstab("crate", "--output", str(path))
    return path


@pytest.fixture
def study(zipped: Path, published: Repository) -> Path:
    """A copy of the crate, in the repository that it was made of."""
    return Path(shutil.copy(zipped, published.root))


@described
@pytest.mark.long
@pytest.mark.skipif(not VALIDATOR.exists(), reason="needs roc-validator: make test-all")
def test_a_crate_is_a_workflow_run_crate_by_the_validator(study: Path, tmp_path: Path) -> None:
    package = importlib.import_module("rocrate").__file__
    assert package
    context = Path(package).parent / "data" / "ro-crate.jsonld"

    def issues(crate: Path) -> str:
        command = [VALIDATOR, small.ROOT / "tests" / "validate_crate.py", crate, context]
        return subprocess.run(command, check=False, capture_output=True, text=True).stdout

    assert issues(study) == ""

    def without_run(content: bytes) -> bytes:
        whole = json.loads(content)
        whole["@graph"] = [e for e in whole["@graph"] if e["@id"] != "#run"]
        return json.dumps(whole).encode()

    other = changed(study, tmp_path / "other.zip", {crate.METADATA: without_run})
    assert "REQUIRED" in issues(other)


@described
def test_a_crate_names_what_ran_what_went_in_and_what_came_out(
    study: Path, repository: Repository
) -> None:
    with zipfile.ZipFile(study) as archive:
        graph = {e["@id"]: e for e in json.loads(archive.read(crate.METADATA))["@graph"]}
        names = set(archive.namelist())
    assert graph["#code"]["version"] == repository.git("rev-parse", "HEAD")
    assert graph["./"]["mainEntity"] == {"@id": "dvc.yaml"}
    run = graph["#run"]
    assert run["instrument"] == {"@id": "dvc.yaml"}
    assert {one["@id"] for one in run["object"]} == {"params.yaml", "data/manifest.json"}
    results = {one["@id"] for one in run["result"]}
    assert {"claims.json", "claims.csv", "curves.csv", "variants/", "runs/"} <= results
    assert {"params.yaml", "dvc.yaml", "runs/expB-64-2/history.csv"} <= names


@described
def test_the_results_of_a_crate_are_shown_once_they_are_checked(
    study: Path, repository: Repository
) -> None:
    shown = netstab("claims", "--results", str(study), "--json")
    told = json.loads(shown.stdout)["claims"]
    assert told == json.loads(netstab("claims", "--json").stdout)["claims"]
    assert "runs give" in shown.stderr and "warning" not in shown.stderr
    commit = repository.git("rev-parse", "HEAD")
    (repository.root / "notes.txt").touch()
    repository.commit()
    said = netstab("claims", "--results", str(study)).stderr
    assert f"git checkout {commit[:12]} has the code that made it" in said


@described
@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        (
            "claims.json",
            lambda content: content.replace(b'"inconclusive"', b'"supported"', 1),
            "verdict is 'supported', and the runs give",
        ),
        (
            "variants/outpost.json",
            lambda content: content.replace(b'"n_seeds": 3', b'"n_seeds": 4'),
            "variants/outpost.json: n_seeds is 4, and the runs give 3",
        ),
        ("curves.csv", lambda content: content[:-20], "curves.csv: "),
        ("claims.csv", lambda content: content.replace(b"outpost", b"baseline"), "claims.csv: "),
        ("runs/outpost-1/history.csv", None, "claims.json: A1.verdict is "),
        ("params.yaml", lambda content: content.replace(b"momentum: 0.9", b"momentum: 0.8"), ""),
    ],
)
def test_results_that_the_runs_do_not_give_are_named(
    name: str, change: Any, said: str, study: Path, repository: Repository
) -> None:
    forged = changed(study, repository.root / "forged.zip", {name: change})
    found = netstab("claims", "--results", str(forged), code=1)
    assert found.stdout == "" and said in found.stderr


@described
def test_a_crate_that_names_images_by_a_path_of_this_machine_says_so(
    published: Repository,
) -> None:
    repository_data = small.content()["data"]
    content = small.content(**{**SMALL, "seeds": [0, 1, 2]})
    for source, warned in (("/home/me/pets.zip", True), ("pets.zip", False)):
        content["data"] = {**repository_data, "source": source}
        paths.PARAMS.write_text(dumps_yaml(content))
        published.commit()
        said = netstab("crate", "--output", "study.zip").stderr
        assert (f"by a path of this machine ({source})" in said) == warned


# What is refused


@described
def test_a_study_that_nobody_could_check_or_train_again_is_not_published(
    published: Repository,
) -> None:
    (published.root / "dvc.yaml").write_text("stages: {}\n")
    refused = netstab("crate", code=1).stderr
    assert refused.startswith("dvc.yaml: is not committed, so no commit says by which code")
    published.git("checkout", "--quiet", "dvc.yaml")
    summary = paths.VARIANTS / "outpost.json"
    summary.write_text(summary.read_text().replace('"n_seeds": 3', '"n_seeds": 2'))
    refused = netstab("crate", code=1).stderr
    assert "variants/outpost.json: n_seeds is 2, and the runs give 3" in refused
    assert "Make it anew: dvc repro" in refused
    published.git("checkout", "--quiet", ".")
    (published.root / paths.run_dir("outpost-1") / "stability.csv").unlink()
    assert "is not whole" in netstab("crate", code=1).stderr
    version = versions()[0] + 1
    publish(published, numerics_version=version)
    refused = netstab("crate", code=1).stderr
    assert f"was trained by version {version} of the numerics" in refused
    assert not list(published.root.glob("*.zip"))


def test_without_rocrate_it_is_said_how_to_install_it(
    published: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netstab.exchange.crate.find_spec", lambda name: None)
    said = netstab("crate", code=1).stderr
    assert said.startswith("rocrate is not installed; install it: pip install -c constraints.txt")


def archive(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        for name, content in files.items():
            made.writestr(name, content)
    return path


WHOLE = dict.fromkeys((crate.METADATA, "params.yaml", "data/manifest.json", "claims.json"), b"{}")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "has no ro-crate-metadata.json; name a ZIP that netstab crate wrote"),
        ({**WHOLE, "../params.yaml": b""}, "names a path outside its folder"),
        ({**WHOLE, "/etc/passwd": b""}, "names a path outside its folder"),
        ({**WHOLE, "runs\\x\\history.csv": b""}, "has a backslash in its name"),
        ({**WHOLE, "claims.csv": bytes(crate.MOST_FILE + 1)}, "more than the 67,108,864 that"),
    ],
)
def test_a_hostile_archive_is_refused(files: dict[str, bytes], said: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    with pytest.raises(DataError, match=said):
        crate.unpack(archive(tmp_path / "x.zip", files), target)
    assert not list(tmp_path.glob("params.yaml"))


def test_a_link_a_cut_archive_and_no_archive_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("params.yaml")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as made:
        made.writestr(link, "/etc/passwd")
    whole = archive(tmp_path / "whole.zip", WHOLE).read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.zip").write_text("no archive")
    for name in ("link", "cut", "text"):
        with pytest.raises(DataError, match=f"{name}.zip"):
            crate.unpack(tmp_path / f"{name}.zip", tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_an_archive_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crate, "MOST_BYTES", 1000)
    files = {**WHOLE, **{f"runs/r-{i}/history.csv": bytes(100) for i in range(20)}}
    with pytest.raises(DataError, match="has more than 0 MiB, and is not used"):
        crate.unpack(archive(tmp_path / "x.zip", files), tmp_path / "target")


@pytest.mark.parametrize("command", [("claims", "--results", "x.zip"), ("rerun", "x.zip", "a-0")])
def test_a_crate_is_refused_by_name_where_git_is_not_there(
    command: tuple[str, ...], repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive(repository.root / "x.zip", WHOLE)
    (repository.root / "params.yaml").touch()
    monkeypatch.setenv("PATH", str(repository.root))
    said = netstab(*command, code=1).stderr
    assert said == "git is not on the PATH, and netstab and DVC need it; install it\n"


def test_what_no_study_has_is_not_unpacked(tmp_path: Path) -> None:
    files = {**WHOLE, "report.html": b"x", "src/evil.py": b"x", "runs/a/b/history.csv": b"x"}
    crate.unpack(archive(tmp_path / "x.zip", files), tmp_path / "target")
    found = {str(p.relative_to(tmp_path / "target")) for p in (tmp_path / "target").rglob("*.*")}
    assert found == set(WHOLE)


@described
def test_a_run_or_images_that_the_crate_does_not_have_are_refused(
    study: Path, repository: Repository
) -> None:
    said = netstab("rerun", str(study), "expZ-0", code=1).stderr
    assert said.startswith("expZ-0: is no run of this study; known are baseline-0, ")
    said = netstab("rerun", str(study), "baseline-0", "--source", "x.zip", code=1).stderr
    assert "x.zip" in said


def test_code_that_a_crate_names_is_run_only_where_it_lies_in_the_checkout(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.write(DATA)
    repository.commit()
    ran: list[str] = []
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(rerun, "_told", lambda folder, name: ran.append(name) or sys.exit(3))

    def names(module: str) -> str:
        model = {"name": f"{module}:made", "norm": "none", "width": None}
        content = dumps_yaml(small.content(model=model)).encode()
        target = repository.root / f"{module}.zip"
        return str(archive(target, {**WHOLE, "params.yaml": content}))

    said = netstab("rerun", names("antigravity"), "baseline-0", code=1).stderr
    assert "antigravity:made: is the network of this study, and no code of this checkout" in said
    assert not ran and "antigravity" not in sys.modules
    (repository.root / "mine.py").touch()
    netstab("rerun", names("mine"), "baseline-0", code=3)
    assert ran == ["baseline-0"]


def test_a_run_that_was_not_trained_in_one_way_is_trained_as_its_end_was_and_it_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    study = synthetic.Study(synthetic.small())
    told = study.provenance["expB-64-0"]
    told["segments"][0]["threads"] = 1
    provenance = synthetic.parsed(Provenance, told)
    assert len(provenance.segments) > 1
    content = rerun._as_trained(study.params, provenance, "images.zip")
    assert (content.runtime.threads, content.runtime.device) == (2, "cuda")
    assert content.data.source == "images.zip"
    said = capsys.readouterr().err
    assert said.startswith("warning: expB-64-0 was not trained in one way (NVIDIA H200")
    told["segments"][0]["threads"] = 2
    rerun._as_trained(study.params, synthetic.parsed(Provenance, told), None)
    assert capsys.readouterr().err == ""
