"""Python processes forked off one that has the libraries in memory already.

A stage of the tests' study takes a second, and importing torch, pandas and DVC two or three. Tests
that run `dvc` in a checkout therefore put `folder()` in front of its PATH. The `python` there hands
its arguments, folder, environment and streams to a server, which forks a process that goes on as
the interpreter would: `netstab` is imported afresh, from the checkout. Both end by the same exit
code or signal.
"""

import atexit
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

SERVER = Path(__file__).with_name("forks_server.py")
CLIENT = Path(__file__).with_name("forks_client.py")
FOLDER = "FORKS_FOLDER"
"""The variable by which pytest's processes know the folder."""


def forget_to_sync() -> None:
    """Leave files to the disk's own time in this process: in no test does the power fail.

    Tests of what is synced, and when, put a function of their own in its place.
    """
    os.fsync = lambda _: None


def folder() -> Path:
    """A folder with a `python` that is forked."""
    return Path(os.environ[FOLDER])


def start() -> None:
    """Make the folder, and start its server; they go with this process.

    The server takes no time before somebody asks for a process.
    """
    made = Path(tempfile.mkdtemp(prefix="forks-"))
    os.environ[FOLDER] = str(made)
    python = made / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -ISE "{CLIENT}" "$0" "$@"\n')
    python.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(made / "socket"))
        listener.listen(64)
        server = subprocess.Popen(
            [sys.executable, str(SERVER), str(listener.fileno()), str(python)],
            env={name: text for name, text in os.environ.items() if not name.startswith("PYTHON")},
            cwd=made,
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )

    atexit.register(server.communicate)  # closes its standard input, by which it knows
