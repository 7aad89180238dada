"""DVC as a person would start it, with this environment's python for its stages."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from netstab import params
from netstab.errors import NetstabError, ParameterError


def overridden(path: Path, overrides: list[str]) -> str:
    """The text of `params.yaml` as DVC will write it for `-S`, checked before DVC reads it.

    Raises:
        NetstabError: an override is not one of its grammar, or names no key.
        ParameterError: with every fault that `params.yaml` then has.
    """
    # Takes a moment to import, and no other command needs it.
    from dvc.exceptions import InvalidArgumentError
    from dvc.utils.hydra import apply_overrides, to_hydra_overrides
    from hydra.errors import OverrideParseException

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        shutil.copyfile(path, copy)
        try:
            for override in to_hydra_overrides(overrides):
                if override.is_sweep_override():
                    raise NetstabError(
                        f"-S {override.input_line}: has several values, and a study takes one; "
                        "write a list in brackets: [0,1]"
                    )
            apply_overrides(str(copy), overrides)
            params.read(copy)
            return copy.read_text(encoding="utf-8")
        except (OverrideParseException, InvalidArgumentError) as error:
            raise NetstabError(f"-S: {error.__cause__ or error}") from error
        except ParameterError as error:
            raise ParameterError(f"{path.name} with these -S", error.faults) from None


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
