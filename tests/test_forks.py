"""A forked `python` does what the interpreter does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import forks

REAL = sys.executable
FORKED = str(forks.folder() / "python")
SHOWS = "import os, sys; print(sys.argv, os.getcwd(), os.environ['WORD'], sys.stdin.read())"


def run(python: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, *arguments],
        cwd=folder,
        env={**os.environ, "WORD": "a word", "PYTHONPATH": "here"},
        input="told",
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "code",
    [
        SHOWS,
        "import sys; sys.exit(3)",
        "import sys; sys.exit('in words')",
        "raise ValueError('a fault')",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "import os, signal; os.kill(os.getpid(), signal.SIGINT)",
        "import atexit; atexit.register(print, 'at the end'); print('before')",
        "import threading, time; threading.Thread(target=lambda: print('a thread')).start()",
        "import subprocess; print(subprocess.check_output(['python', '-c', 'print(1)']))",
    ],
)
def test_it_says_and_ends_by_what_an_interpreter_does(code: str, tmp_path: Path) -> None:
    real, forked = (run(python, tmp_path, "-c", code) for python in (REAL, FORKED))
    assert (forked.stdout, forked.returncode) == (real.stdout, real.returncode)
    # Tracebacks differ in where they begin.
    assert forked.stderr.splitlines()[-1:] == real.stderr.splitlines()[-1:]


def test_it_runs_modules_of_the_folder_and_of_the_path(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "found.py").write_text("print('found', __name__)")
    (tmp_path / "beside.py").write_text(f"import found; {SHOWS}")
    real, forked = (run(python, tmp_path, "-m", "beside", "a", "b") for python in (REAL, FORKED))
    assert real.stdout.startswith("found found") and str(tmp_path) in real.stdout
    assert forked.stdout == real.stdout


def test_it_has_the_libraries_and_nothing_of_netstab(tmp_path: Path) -> None:
    code = "import sys; print({name.split('.')[0] for name in sys.modules})"
    loaded = run(FORKED, tmp_path, "-c", code).stdout
    assert "'torch'" in loaded and "'dvc'" in loaded and "'netstab'" not in loaded


def test_options_of_the_interpreter_are_for_a_real_one(tmp_path: Path) -> None:
    said = run(FORKED, tmp_path, "-X", "importtime", "-c", "import sys; print(sys.executable)")
    assert said.stdout.strip() == REAL and "import time:" in said.stderr
