"""What git has of a study at a revision, or in a DVC experiment."""

import io
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

from netstab.errors import NetstabError


def resolve(root: Path, name: str) -> str:
    """The commit that a revision or the name of a DVC experiment stands for.

    Args:
        root: of the checkout.
        name: what git takes for a commit, or what `dvc exp show` names an experiment.

    Raises:
        NetstabError: it is neither, or several experiments have the name.
    """
    asked = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    told = _git(root, *asked)
    if not told.returncode:
        return told.stdout.decode().strip()
    listing = _git(root, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps")
    found = set()
    for line in listing.stdout.decode().splitlines():
        commit, ref = line.split(" ", 1)
        # refs/exps/ab/cdef.../NAME: behind the commit on which it was run.
        parts = ref.split("/")
        if len(parts) == 5 and len(parts[3]) == 38 and parts[4] == name:
            found.add(commit)
    if len(found) > 1:
        raise NetstabError(
            f"{name}: is the name of {len(found)} experiments; name a commit: "
            f"{', '.join(sorted(commit[:12] for commit in found))}"
        )
    if not found:
        raise NetstabError(
            f"{name}: is no branch, tag, commit or DVC experiment here; see git log and "
            "dvc exp show"
        )
    return found.pop()


def extract(root: Path, commit: str, parts: Sequence[Path], target: Path) -> None:
    """Write files and folders, as they are at a commit, into a folder; absent ones are left out.

    Args:
        root: of the checkout.
        commit: its hash.
        parts: relative to `root`.
        target: an empty folder.
    """
    told = _git(root, "ls-tree", "-z", "--name-only", commit, "--", *map(str, parts))
    there = [name for name in told.stdout.decode().split("\0") if name]
    if there:
        archive = _git(root, "archive", "--format=tar", commit, "--", *there).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(target, filter="data")


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)
