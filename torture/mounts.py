"""Small, read-only and limited places to write to."""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def is_root() -> bool:
    """Whether file systems can be mounted; without, those cases are left out and named."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[None]:
    """A small file system in memory, in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder that nothing can be written to, not even by root."""
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def limit_files(limit: int) -> None:
    """Let no file of this process become larger than so many bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
