"""Git, asked about a checkout."""

import os
import shutil
import subprocess
from pathlib import Path

from netstab.errors import NetstabError


def git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What git says, in English, and its exit code.

    Raises:
        NetstabError: git is not there.
    """
    if shutil.which("git") is None:
        raise NetstabError("git is not on the PATH, and netstab and DVC need it; install it")
    return subprocess.run(
        ["git", *arguments],
        cwd=root,
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )


def experiments(root: Path, name: str) -> set[str]:
    """The commits of the DVC experiments of a name."""
    # refs/exps/ab/cdef.../NAME: behind the commit on which it was run.
    told = git(
        root, "for-each-ref", "--format=%(objectname) %(refname:lstrip=4)", "refs/exps/??/*/*"
    )
    rows = (line.split(" ", 1) for line in told.stdout.splitlines())
    return {commit for commit, of in rows if of == name}
