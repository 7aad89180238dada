"""States of a machine or a checkout in which DVC cannot work are named, with what mends them."""

import getpass
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from netstab.commands import preflight
from netstab.errors import NetstabError
from tests import small
from tests.checkout import python
from tests.repository import netstab


def git(root: Path, *arguments: str) -> None:
    who = ["-c", "user.name=A", "-c", "user.email=a@localhost"]
    subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    root = tmp_path / "checkout"
    root.mkdir()
    for name in ("dvc.yaml", "params.yaml", "sizes.yaml"):
        shutil.copy(small.ROOT / name, root)
    shutil.copytree(small.ROOT / ".dvc", root / ".dvc", ignore=shutil.ignore_patterns("tmp"))
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "first")
    monkeypatch.chdir(root)
    return root


def without_repository(root: Path) -> None:
    shutil.rmtree(root / ".git")


def below_another_repository(root: Path) -> None:
    shutil.rmtree(root / ".git")
    git(root.parent, "init", "--quiet")


def without_commit(root: Path) -> None:
    shutil.rmtree(root / ".git")
    git(root, "init", "--quiet")


def of_another_user(root: Path) -> None:
    os.chown(root, 12345, 12345)
    os.chown(root / ".git", 12345, 12345)


def in_a_merge(root: Path) -> None:
    git(root, "checkout", "--quiet", "-b", "other")
    for branch, word in (("other", "a"), ("main", "b")):
        git(root, "checkout", "--quiet", branch)
        (root / "dvc.yaml").write_text(word)
        git(root, "commit", "--quiet", "-am", word)
    with pytest.raises(subprocess.CalledProcessError):
        git(root, "merge", "other")


def locked_by_git(root: Path) -> None:
    (root / ".git" / "index.lock").touch()


def without_dvc(root: Path) -> None:
    shutil.rmtree(root / ".dvc")


STATES: list[tuple[Callable[[Path], None], str]] = [
    (without_repository, "git init -q && git add . && git commit -q -m netstab"),
    (below_another_repository, "git init -q && git add . && git commit -q -m netstab"),
    (without_commit, "has no commit, and DVC needs one: git add . && git commit -q -m netstab"),
    (of_another_user, "git config --global --add safe.directory {root}"),
    (in_a_merge, "git merge --abort"),
    (locked_by_git, "rm {root}/.git/index.lock"),
    (without_dvc, "git checkout -- .dvc"),
]


def test_a_checkout_is_fit_whatever_its_place(checkout: Path, tmp_path: Path) -> None:
    preflight.check(checkout)
    git(checkout, "checkout", "--quiet", "--detach")
    preflight.check(checkout)
    git(checkout, "worktree", "add", "--quiet", str(tmp_path / "worktree"))
    preflight.check(tmp_path / "worktree")
    folder = tmp_path / "of a larger repository"
    shutil.copytree(checkout, folder / "study", ignore=shutil.ignore_patterns(".git"))
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    preflight.check(folder / "study")


@pytest.mark.parametrize(
    ("change", "remedy"), STATES, ids=lambda value: getattr(value, "__name__", "")
)
def test_what_dvc_cannot_work_in_is_refused_with_the_command_that_mends_it(
    change: Callable[[Path], None], remedy: str, checkout: Path
) -> None:
    if change is of_another_user and os.getuid():
        pytest.skip("only root gives files away")
    change(checkout)
    with pytest.raises(NetstabError) as refused:
        preflight.check(checkout)
    assert remedy.format(root=checkout) in str(refused.value)


@pytest.mark.parametrize("command", [["study", "demo"], ["sweep"], ["collect"]])
def test_every_command_that_starts_dvc_looks_first(command: list[str], checkout: Path) -> None:
    without_repository(checkout)
    assert "is no git repository" in netstab(*command, code=1).stderr


def test_the_command_that_is_named_makes_a_repository_of_a_zip(checkout: Path) -> None:
    without_repository(checkout)
    git(checkout, "init", "-q")
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "netstab")
    preflight.check(checkout)


@pytest.mark.parametrize("place", [".dvc/tmp", ".dvc/tmp/exps", ".dvc"])
def test_a_study_whose_workspaces_would_be_elsewhere_is_refused_with_the_way_out(
    place: str, checkout: Path, tmp_path: Path
) -> None:
    link = checkout / place
    link.parent.mkdir(exist_ok=True)
    if link.exists():
        link.rename(tmp_path / "scratch")
    else:
        (tmp_path / "scratch").mkdir()
    link.symlink_to(tmp_path / "scratch")
    refused = netstab("study", "demo", code=1).stderr
    assert f"{link}: is a link to {tmp_path}/scratch" in refused
    assert f"rm {link}" in refused
    link.unlink()
    link.mkdir()
    preflight.check_workspaces(checkout)


@pytest.mark.parametrize("place", ["metrics", "data"])
def test_a_study_whose_workspace_would_write_through_a_link_is_refused_with_the_way_out(
    place: str, checkout: Path, tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    (checkout / place).symlink_to(tmp_path / "disk")
    refused = netstab("study", "demo", code=1).stderr
    assert f"rm {place} && cp -r {tmp_path}/disk {place}" in refused
    subprocess.run(f"rm {place} && cp -r {tmp_path}/disk {place}", shell=True, check=True)
    preflight.check_workspaces(checkout)


def test_a_user_without_a_name_is_told_how_to_have_one(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unnamed() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", unnamed)
    with pytest.raises(NetstabError, match="export USER=netstab"):
        preflight.check(checkout)


def test_a_machine_without_git_is_told_so(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(checkout))
    with pytest.raises(NetstabError, match="git is not on the PATH"):
        preflight.check(checkout)


def test_a_path_that_the_locale_cannot_say_is_refused(checkout: Path, tmp_path: Path) -> None:
    place = tmp_path / "größe"
    checkout.rename(place)
    locale = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    code = (
        "from pathlib import Path; from netstab.commands import preflight; "
        "from netstab.errors import NetstabError\n"
        "try: preflight.check(Path.cwd())\n"
        "except NetstabError as error: print(error)"
    )
    assert "export LC_ALL=C.UTF-8" in python("-c", code, cwd=place, **locale).stdout
