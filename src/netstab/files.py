"""Files that are there whole or not at all: written beside their place, then moved there."""

import errno
import os
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

SUFFIX = ".part"
NO_FOLDERS = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)
"""What a file system answers that brings no folder to the disk."""
ABANDONED_S = 3600.0
"""Age from which a half-written file is taken for what a killed process left behind."""


def part_of(path: Path) -> Path:
    """A name beside a file under which to write what will replace it.

    No other process has it, on whatever host; the process's number is there for people.
    """
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}")


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file whole: written beside its place, then moved there.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    temporary = part_of(path)
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, so that they survive a loss of power.

    Some file systems (of networks, of user space) do this for files alone; there it is left out.
    """
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in NO_FOLDERS:
            raise
    finally:
        os.close(number)


def abandoned(folder: Path, files: Iterable[Path]) -> list[Path]:
    """Those files of a folder that nobody has written to for `ABANDONED_S`.

    By the clock of the file system: that of this machine may be another one, or have been set. A
    file from so far in the future is one from before the clock was set back.
    """
    found = list(files)
    if not found:
        return []
    now = _now(folder)
    ages = [(path, now - written) for path in found if (written := _written(path)) is not None]
    return [path for path, age in ages if abs(age) > ABANDONED_S]


def _now(folder: Path) -> float:
    probe = part_of(folder / "clock")
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return time.time()  # a folder that cannot be written: nothing will be removed either
    finally:
        with suppress(OSError):
            probe.unlink()


def _written(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None
