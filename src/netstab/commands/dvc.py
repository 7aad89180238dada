"""DVC as a person would start it, with this environment's python for its stages."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from netstab import params
from netstab.errors import NetstabError, ParameterError

PATIENCE_S = 60.0
"""For how long a stage may take to save and end."""


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
        KeyboardInterrupt: after dvc and its stages have ended.
    """
    # Stage commands run the PATH's python: it has to be the one of this environment.
    path = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", "")])
    with subprocess.Popen(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=root,
        env={**env, "PATH": path},
        stdout=2,
        pass_fds=keep,
        # No signal that ends this command reaches them but by the lines below: a dvc that is
        # killed may leave files that the next one cannot read.
        process_group=0,
    ) as process:
        stop = None
        while True:
            try:
                code = process.wait()
                break
            except KeyboardInterrupt as asked:
                stop = stop or asked
                # dvc waits for its stage, which saves and ends.
                _interrupt(process.pid)
        if stop:
            _wait_for(process.pid)
            raise stop
        return code


def _interrupt(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGINT)


def _wait_for(group: int) -> None:
    """Wait for processes that outlive their dvc, where that was killed: they save."""
    begun = time.monotonic()
    while time.monotonic() - begun < PATIENCE_S:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
