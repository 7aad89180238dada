"""This machine: its cores, and whether it seems to have a GPU. Nothing here asks torch."""

import os
import shutil


def looks_like_gpu() -> bool:
    """Whether this machine seems to have a CUDA device."""
    return shutil.which("nvidia-smi") is not None


def usable_cores() -> int:
    """Number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
