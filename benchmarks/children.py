"""Processes that are measured as a whole: their time, and the peak of their memory. No torch."""

import os
import subprocess
import sys

import typer

from benchmarks.common import ROOT, child_environment


def measured_child(module: str, *arguments: str, **variables: str) -> tuple[float, str]:
    """Run a module as a child; returns its peak resident memory in MiB, and what it printed.

    Linux counts the parent's own peak in a child's, so whoever wants the peak imports no torch
    and makes no images.

    Args:
        module: to run.
        arguments: of its command line.
        variables: of its environment, beside the usual ones.

    Raises:
        Exit: the child failed; it has said why.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env=child_environment(ROOT / "src", ROOT) | variables,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    said = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.stdout.close()
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise typer.Exit(1)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return usage.ru_maxrss / unit, said


def start(code: str) -> None:
    """Start a Python that runs some code in the checkout, and wait for its end."""
    environment = child_environment(ROOT / "src", ROOT)
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, check=True)
