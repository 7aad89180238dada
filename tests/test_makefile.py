"""`make` finds a Python that netstab supports, or says which it needs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import small

MAKE = shutil.which("make")
VERSIONS = ("python3", "python3.13", "python3.12", "python3.11")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The Makefile, and a PATH on which every Python is too old; what is started is logged."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(small.ROOT / name, tmp_path)
    (tmp_path / "bin").mkdir()
    for name in VERSIONS:
        install(tmp_path, name, "exit 1")
    return tmp_path


def install(project: Path, name: str, body: str) -> None:
    script = project / "bin" / name
    script.write_text(f'#!/bin/sh\necho "$0 $1" >> "{project}/log"\n{body}\n')
    script.chmod(0o755)


def make(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    assert MAKE
    path = os.pathsep.join([str(project / "bin"), "/usr/bin", "/bin"])
    return subprocess.run(
        [MAKE, *arguments, ".venv/.complete"],
        cwd=project,
        env={"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_first_python_that_is_new_enough_makes_the_environment(project: Path) -> None:
    install(project, "python3.12", f'[ "$1" = -c ] && exec {sys.executable} "$@"\nexit 3')
    assert make(project).returncode
    started = (project / "log").read_text().splitlines()
    assert started[-1].endswith("python3.12 -m")
    assert not [line for line in started if line.endswith("python3.11 -m")]


def test_where_no_python_is_new_enough_one_line_says_what_to_do(project: Path) -> None:
    done = make(project)
    assert done.returncode
    said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert len(said) == 1
    assert said[0].startswith("netstab needs Python 3.11.4 to 3.13, and python3 is another one.")
    assert said[0].endswith("make PYTHON=python3.12")
    assert not (project / ".venv").exists()


def test_a_python_that_is_named_is_taken_or_refused_by_its_name(project: Path) -> None:
    install(project, "mine", f'[ "$1" = -c ] && exec {sys.executable} "$@"\nexit 3')
    make(project, "PYTHON=mine")
    assert (project / "log").read_text().splitlines()[-1].endswith("mine -m")
    assert "and other is another one" in make(project, "PYTHON=other").stderr
