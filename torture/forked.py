"""A stage as a process that is forked off this one, which has torch in memory already.

Importing it takes longer than the study. What is killed is a process of its own all the same.
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from netstab.training import trajectory
from tests.checkout import DEADLINE_S, Result
from tests.spy import SPY
from torture.checkout import Checkout


class Forked:
    """A process under way; as `subprocess.Popen` where both are used."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    def poll(self) -> int | None:
        """Its exit code, once it has ended; minus the signal, where that ended it."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; its exit code.

        Raises:
            TimeoutError: it has not ended by then.
        """
        deadline = time.monotonic() + (timeout or DEADLINE_S)
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {self.pid} has not ended")
            time.sleep(0.002)
        return code

    def kill(self) -> None:
        """End it, if it is there."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def start(
    checkout: Checkout,
    main: Callable[[], object],
    output: Path,
    prepare: Callable[[], object] | None = None,
) -> Forked:
    """Run a function in a checkout, in a forked process.

    Args:
        checkout: its current folder and environment.
        main: is run as the command of a stage is.
        output: file (or pipe) to which its output goes.
        prepare: what is done in the process before, such as setting it a limit; then nothing is
            logged.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        checkout.sessions.add(pid)
        return Forked(pid)
    code = 70
    try:
        os.setsid()
        os.chdir(checkout.root)
        environment = checkout.environment()  # as it is in this process, before it is cleared
        os.environ.clear()
        os.environ.update(environment)
        if not prepare:
            output.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for number in (1, 2):
            os.dup2(file, number)
        # Streams of its own: its parent's would seek where they went before, which may be a file.
        sys.stdout, sys.stderr = (
            os.fdopen(number, "w", buffering=1, encoding="utf-8") for number in (1, 2)
        )
        if prepare:
            prepare()
        else:
            exec(SPY, vars(trajectory))
        code = _run(main)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _run(main: Callable[[], object]) -> int:
    try:
        main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # as the interpreter does at its end
        traceback.print_exc()
        code = 1
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = code or 1
    return code


def run(
    checkout: Checkout,
    main: Callable[[], object],
    prepare: Callable[[], object] | None = None,
    *,
    code: int | None = 0,
) -> Result:
    """Run a function in a checkout to its end, and insist on its exit code (None: any).

    Raises:
        AssertionError: it ended otherwise.
        TimeoutError: it hangs; it is ended.
    """
    pipe = checkout.root.parent / f"{checkout.root.name}.output"
    pipe.unlink(missing_ok=True)
    # A limit on the size of files is none on a pipe.
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    process = start(checkout, main, pipe, prepare)
    text, deadline = b"", time.monotonic() + DEADLINE_S
    try:
        while (found := process.poll()) is None:
            text += _available(reader)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{checkout.root}: a process has not ended")
            time.sleep(0.002)
        text += _available(reader)
    finally:
        process.kill()
        os.close(reader)
        pipe.unlink()
    output = text.decode(errors="replace")
    if code not in (None, found):
        raise AssertionError(f"exit code {found}: {output}")
    return Result(output, found)


def _available(reader: int) -> bytes:
    found = b""
    while True:
        try:
            more = os.read(reader, 65536)
        except BlockingIOError:
            return found
        if not more:
            return found
        found += more


def command(*arguments: str) -> Callable[[], object]:
    """The main function of `netstab ARGUMENTS`."""
    from netstab.cli import app

    return lambda: app(list(arguments))


def stage(variant: str, seed: int = 0) -> Callable[[], object]:
    """A trainer's main function."""
    from netstab.stages import train

    return lambda: train.main(variant, seed)


def stages() -> None:
    """Every trainer of the study, one after the other."""
    for name in ("baseline", "outpost", "expE-ema"):
        stage(name)()


def sweep() -> None:
    """The main function of `netstab sweep`, its workers forked off as well, the images prepared."""
    from rich.console import Console

    from netstab.commands import sweep as command
    from torture import faked

    faked.forked_workers()
    command.run([], [], Console())


def preload() -> None:
    """Bring into memory what a trainer imports."""
    import importlib

    import torch

    torch.set_num_threads(1)
    for name in ("netstab.training.trainer", "netstab.stages.train", "netstab.stages.run"):
        importlib.import_module(name)
