"""This machine: its cores, and whether it seems to have a GPU. Nothing here asks torch."""

import os
import shutil

WAIT_POLICY = "OMP_WAIT_POLICY"


def wait_passively() -> None:
    """Let CPU threads that wait for each other sleep; what the user has set stays.

    By default they spin. Where processes train side by side on the same cores, each then waits for
    threads that the others' spinning keeps from running, and a step takes many times as long
    (docs/PERFORMANCE.md). No result changes by it. OpenMP reads it when torch is loaded: this comes
    before that, and goes for processes that are started later.
    """
    os.environ.setdefault(WAIT_POLICY, "PASSIVE")


def looks_like_gpu() -> bool:
    """Whether this machine seems to have a CUDA device."""
    return shutil.which("nvidia-smi") is not None


def usable_cores() -> int:
    """Number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
