"""What DVC needs of a machine and a checkout, looked at before it starts.

DVC answers each of these with an error of its own that names no remedy, or only after hours.
"""

import getpass
import os
import shlex
from pathlib import Path

from netstab import paths
from netstab.commands.git import git
from netstab.errors import NetstabError


def check(root: Path) -> None:
    """Refuse a checkout in which DVC cannot work.

    Args:
        root: the checkout's folder.

    Raises:
        NetstabError: with the one command that mends it.
    """
    _check_path(root)
    _check_user()
    _check_git(root)
    if not (root / ".dvc" / "config").is_file():
        raise NetstabError(
            f"{root}: has no .dvc/config, which DVC needs; restore it: git checkout -- .dvc"
        )


def check_workspaces(root: Path) -> None:
    """Refuse a checkout in which DVC cannot run an experiment in a temporary workspace.

    Raises:
        NetstabError: the workspaces would lie outside the checkout, where DVC does not find its
            stages, or would have what is written by stages outside themselves.
    """
    for part in (paths.METRICS, paths.MANIFEST.parent):
        if (root / part).is_symlink():
            raise NetstabError(
                f"{root / part}: is a link, and a study's temporary workspace would write through "
                f"it, or not come about. Make it a folder: rm {part} && cp -r "
                f"{shlex.quote(os.readlink(root / part))} {part}. Or run the study in place: "
                "netstab size, then dvc repro, which write through links"
            )
    folder = root.resolve() / ".dvc" / "tmp" / "exps" / "standalone"
    link = next((part for part in (*folder.parents, folder) if part.is_symlink()), None)
    if link:
        raise NetstabError(
            f"{link}: is a link to {os.readlink(link)}, and DVC runs no experiment outside the "
            f"checkout. Make it a folder: rm {shlex.quote(str(link))}. What takes room is "
            "elsewhere: NETSTAB_STORE and dvc cache dir name other disks for states and images"
        )


def _check_path(root: Path) -> None:
    try:
        str(root).encode()
    except UnicodeEncodeError:
        # A byte that the locale cannot say comes as a lone surrogate.
        raise NetstabError(
            f"{os.fsencode(root)!r}: this path is not ASCII, and the locale knows nothing else. "
            "Choose one that does: export LC_ALL=C.UTF-8"
        ) from None


def _check_user() -> None:
    try:
        getpass.getuser()
    except (KeyError, OSError):
        raise NetstabError(
            f"user {os.getuid()} has no name on this machine, and DVC asks for one. "
            "Give it one: export USER=netstab"
        ) from None


def _check_git(root: Path) -> None:
    told = git(root, "rev-parse", "--git-dir")
    if "dubious ownership" in told.stderr:
        raise NetstabError(
            f"{root}: belongs to another user, so git does not trust it. "
            f"If you do: git config --global --add safe.directory {shlex.quote(str(root))}"
        )
    if told.returncode or not _is_own(root):
        raise NetstabError(
            f"{root}: is no git repository (what a ZIP unpacks to is none), and DVC needs one. "
            "Clone netstab instead, or make one here: "
            "git init -q && git add . && git commit -q -m netstab"
        )
    if git(root, "rev-parse", "--verify", "--quiet", "HEAD").returncode:
        raise NetstabError(
            f"{root}: its git repository has no commit, and DVC needs one: "
            "git add . && git commit -q -m netstab"
        )
    if git(root, "ls-files", "--unmerged").stdout:
        raise NetstabError(
            f"{root}: has files with merge conflicts; resolve them, or go back: git merge --abort"
        )
    lock = Path(root, git(root, "rev-parse", "--git-path", "index.lock").stdout.strip())
    if lock.exists():
        raise NetstabError(
            f"{lock}: is there, so another git is at work or was killed. "
            f"If none is: rm {shlex.quote(str(lock))}"
        )


def _is_own(root: Path) -> bool:
    """Whether the repository is the checkout's own.

    To git, a ZIP that is unpacked somewhere in a repository belongs to that one.
    """
    at_top = not git(root, "rev-parse", "--show-prefix").stdout.strip()
    return at_top or not git(root, "ls-files", "--error-unmatch", "dvc.yaml").returncode
