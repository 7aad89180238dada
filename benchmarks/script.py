"""A public training script from its own checkout, timed from outside by what it prints."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common import Took

MARKS = 3
"""Lines that are waited for: between the first two lies an epoch that warms up."""


@dataclass(frozen=True, slots=True)
class Script:
    """A script that prints a line for every epoch.

    Attributes:
        checkout: the folder in which the command is run.
        command: with `{width}`, `{batch_size}` and `{threads}` where the script takes them.
        mark: regular expression; matches one line of every epoch, wherever in it that stands.
        images: that the script trains on in an epoch.
    """

    checkout: Path
    command: str
    mark: str
    images: int

    def filled(self, **settings: int) -> "Script":
        """The same with the command's settings filled in."""
        command = re.sub(r"\{(\w+)\}", lambda m: str(settings.get(m[1], m[0])), self.command)
        return Script(self.checkout, command, self.mark, self.images)

    def epoch(self) -> Took:
        """Run the script into its second epoch's end; that epoch's seconds.

        From its `MARKS - 1`-th marked line to the next, so that imports, data, compilation and
        the first epoch are left out. Then the script is stopped.

        Raises:
            SystemExit: the script ended before; with the last lines it printed.
        """
        child = subprocess.Popen(
            shlex.split(self.command),
            cwd=self.checkout,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            return self._read(child)
        finally:
            _stop(child)

    def _read(self, child: subprocess.Popen[str]) -> Took:
        assert child.stdout is not None
        last: deque[str] = deque(maxlen=10)
        times: list[float] = []
        for line in child.stdout:
            last.append(line)
            if re.search(self.mark, line):
                times.append(time.perf_counter())
                if len(times) == MARKS:
                    return Took(times[-1] - times[-2])
        raise SystemExit(
            f"{self.command}: ended after {len(times)} of {MARKS} lines that match {self.mark!r}; "
            f"see --script-mark and --script-command. Its last lines:\n{''.join(last)}"
        )


def _environment() -> dict[str, str]:
    """This Python's programs first, output unbuffered, and none of the caller's modules."""
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    mine = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**mine, "PATH": programs, "PYTHONUNBUFFERED": "1"}


def _stop(child: subprocess.Popen[str]) -> None:
    """End the script and the loaders that it started: a session of their own."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
            child.wait(timeout=10)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
        break
    child.wait()
    if child.stdout:
        child.stdout.close()
