"""A study's results go where the user wants them, and nothing of the user's own is replaced."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from netstab import paths
from netstab.errors import NetstabError
from netstab.files import write_folder
from netstab.results import folder
from tests.checkout import files_in


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with results, and room for a study's folder."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    root = tmp_path / "checkout"
    for name in (paths.REPORT, paths.RUNS / "baseline-0/history.csv", paths.CLAIMS, paths.MANIFEST):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"new {name}")
    for name in (paths.PARAMS, Path("dvc.yaml")):
        (root / name).write_text("new")
    monkeypatch.chdir(root)
    return root


FILES = {
    *("report.html", "claims.json", "runs/baseline-0/history.csv"),
    *("params.yaml", "data/manifest.json"),
}


def plain(place: Path) -> None:
    pass


def empty(place: Path) -> None:
    place.mkdir()


def link_to_another_disk(place: Path) -> None:
    disk = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else place.parent.parent
    disk /= f"netstab-test-{os.getpid()}"
    disk.mkdir()
    place.symlink_to(disk)


@pytest.mark.parametrize("make", [plain, empty, link_to_another_disk])
def test_results_go_through_links_and_replace_those_before(
    make: Callable[[Path], None], checkout: Path
) -> None:
    place = checkout / "demo"
    make(place)
    linked = place.is_symlink()
    try:
        for _ in range(2):
            folder.refuse(place)
            folder.fill(place, checkout)
            assert files_in(place).keys() == FILES and place.is_symlink() == linked
            # Another study's, and something that the user has put beside it.
            (place / "runs/outpost-0").mkdir()
            (place / "report.html").write_text("old")
            (place / "notes.txt").write_text("mine")
            folder.refuse(place)
            folder.fill(place, checkout)
            assert files_in(place).keys() == {*FILES, "notes.txt"}
            assert (place / "report.html").read_text() == "new metrics/report.html"
            assert not (place / "runs/outpost-0").exists()
            (place / "notes.txt").unlink()
    finally:
        if linked:
            shutil.rmtree(place.resolve())


def of_the_users_own(place: Path) -> None:
    (place / "data").mkdir(parents=True)
    (place / "data/thesis.txt").write_text("mine")


def file(place: Path) -> None:
    place.write_text("mine")


def dangling(place: Path) -> None:
    place.symlink_to("/nowhere/demo")


def unwritable(place: Path) -> None:
    place.symlink_to("/proc")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (of_the_users_own, "demo: holds data, and no report of a study"),
        (file, "demo: is a file"),
        (dangling, "demo: is a link to /nowhere/demo, which is not there"),
        (unwritable, "demo: cannot be written"),
    ],
)
def test_a_folder_that_cannot_take_results_is_refused_and_stays_as_it_is(
    make: Callable[[Path], None], said: str, checkout: Path
) -> None:
    place = checkout / "demo"
    make(place)
    before = files_in(checkout).keys()
    with pytest.raises(NetstabError, match=said):
        folder.refuse(place)
    assert files_in(checkout).keys() == before


def test_a_folder_is_looked_at_without_a_trace(checkout: Path) -> None:
    folder.refuse(checkout / "demo")
    assert not (checkout / "demo").exists()


def test_the_report_writes_its_figures_through_a_link(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "disk/figures").mkdir(parents=True)
    paths.FIGURES.symlink_to(tmp_path / "disk/figures")
    for text in ("old", "new"):
        write_folder(paths.FIGURES, {f"{text}.svg": text})
    assert paths.FIGURES.is_symlink()
    assert files_in(tmp_path / "disk").keys() == {"figures/new.svg"}
