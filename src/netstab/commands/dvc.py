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
    """Run `dvc` in a checkout; its exit code. It inherits the numbers of open files in `keep`.

    What it says goes to stderr: it is progress, and no result of a command of ours.

    Raises:
        KeyboardInterrupt: after dvc has ended.
    """
    # Stage commands run the PATH's python: it has to be the one of this environment.
    path = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", "")])
    with subprocess.Popen(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=root,
        env={**env, "PATH": path},
        stdout=2,
        pass_fds=keep,
    ) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            # Ctrl-C reaches dvc and its stages as well. They save and end; a dvc that is killed
            # meanwhile may leave files that the next one cannot read.
            process.wait()
            raise
