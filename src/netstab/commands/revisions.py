"""What git has of a study at a revision, or in a DVC experiment."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from netstab.commands.git import experiments, git
from netstab.errors import NetstabError


def resolve(root: Path, name: str) -> str:
    """The commit that a revision or the name of a DVC experiment stands for.

    Args:
        root: of the checkout.
        name: what git takes for a commit, or what `dvc exp show` names an experiment.

    Raises:
        NetstabError: it is neither, or several experiments have the name.
    """
    told = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if not told.returncode:
        return told.stdout.strip()
    found = experiments(root, name)
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
    told = git(root, "ls-tree", "-z", "--name-only", commit, "--", *map(str, parts))
    if there := told.stdout.split("\0")[:-1]:
        with tempfile.NamedTemporaryFile(suffix=".tar") as file:
            git(root, "archive", f"--output={file.name}", commit, "--", *there)
            shutil.unpack_archive(file.name, target, filter="data")
