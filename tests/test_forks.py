"""A forked `python` does what the interpreter does."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests import forks

REAL = sys.executable
SHOWS = "import os, sys; print(sys.argv, os.getcwd(), os.environ['WORD'], sys.stdin.read())"


@pytest.fixture(scope="module")
def forked() -> str:
    return str(forks.folder() / "python")


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
def test_it_says_and_ends_by_what_an_interpreter_does(
    code: str, forked: str, tmp_path: Path
) -> None:
    expected, found = (run(python, tmp_path, "-c", code) for python in (REAL, forked))
    assert (found.stdout, found.returncode) == (expected.stdout, expected.returncode)
    # Tracebacks differ in where they begin.
    assert found.stderr.splitlines()[-1:] == expected.stderr.splitlines()[-1:]


def test_it_runs_modules_of_the_folder_and_of_the_path(forked: str, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "found.py").write_text("print('found', __name__)")
    (tmp_path / "beside.py").write_text(f"import found; {SHOWS}")
    expected, found = (run(p, tmp_path, "-m", "beside", "a", "b") for p in (REAL, forked))
    assert expected.stdout.startswith("found found") and str(tmp_path) in expected.stdout
    assert found.stdout == expected.stdout


def test_it_has_the_libraries_and_nothing_of_netstab(forked: str, tmp_path: Path) -> None:
    code = "import sys; print({name.split('.')[0] for name in sys.modules})"
    loaded = run(forked, tmp_path, "-c", code).stdout
    assert "'torch'" in loaded and "'dvc'" in loaded and "'netstab'" not in loaded


def test_options_of_the_interpreter_are_for_a_real_one(forked: str, tmp_path: Path) -> None:
    said = run(forked, tmp_path, "-X", "importtime", "-c", "import sys; print(sys.executable)")
    assert said.stdout.strip() == REAL and "import time:" in said.stderr


def test_its_process_does_not_outlive_it(forked: str, tmp_path: Path) -> None:
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    with subprocess.Popen([forked, "-c", code], stdout=subprocess.PIPE, text=True) as python:
        assert python.stdout is not None
        own = psutil.Process(int(python.stdout.readline()))
        python.kill()
        own.wait(timeout=60)
