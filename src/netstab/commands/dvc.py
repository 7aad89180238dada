"""DVC as a person would start it, with this environment's python for its stages."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def run_dvc(
    root: Path,
    arguments: list[str],
    env: Mapping[str, str] = os.environ,
    keep: Sequence[int] = (),
) -> int:
    """Run `dvc` in a checkout; its exit code. It inherits the numbers of open files in `keep`."""
    # Stage commands run the PATH's python: it has to be the one of this environment.
    path = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", "")])
    return subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=root,
        env={**env, "PATH": path},
        check=False,
        pass_fds=keep,
    ).returncode
