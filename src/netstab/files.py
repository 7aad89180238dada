"""Files that are there whole or not at all: written beside their place, then moved there."""

import errno
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

SUFFIX = ".part"
NO_FOLDERS = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)
"""Errors of file systems that do not bring folders to the disk."""
ABANDONED_S = 3600.0
"""Age from which a half-written file is taken for what a killed process left behind."""


def part_of(path: Path) -> Path:
    """A name beside a file under which to write what will replace it.

    No other process has it, on whatever host; the process's number is there for people.
    """
    return path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}{SUFFIX}")


@contextmanager
def replacing(path: Path, *, shared: bool = False, sync: bool = False) -> Iterator[Path]:
    """A path beside a file to write to; it replaces the file at the end if nothing fails.

    The folder is made where it is not there.

    Args:
        path: of the file.
        shared: whether other processes may write it at the same time. Then each writes under a name
            of its own; otherwise the name is always the same, and the next one to write clears away
            what a killed process left.
        sync: bring it to the disk, so that it survives a loss of power.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    temporary = part_of(path) if shared else path.with_name(f".{path.name}{SUFFIX}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporary
        if sync:
            sync_file(temporary)
        temporary.replace(path)
        if sync:
            sync_folder(path.parent)
    finally:
        # Where nothing can be written, nothing can be removed: the error says it.
        with suppress(OSError):
            temporary.unlink()


def write_file(
    path: Path, content: str | bytes, *, shared: bool = False, sync: bool = False
) -> None:
    """Replace a file whole; text as UTF-8. See `replacing`."""
    with replacing(path, shared=shared, sync=sync) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def write_folder(folder: Path, texts: Mapping[str, str]) -> None:
    """Replace a folder by one that holds exactly these files (name -> text).

    The new folder is complete before the old one moves aside, and in place before that one goes.
    A link stays, and the folder that it leads to is replaced.

    Raises:
        OSError: it cannot be written.
    """
    folder = folder.resolve()
    new = folder.with_name(f".{folder.name}.new")
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for name, text in texts.items():
        (new / name).write_text(text, encoding="utf-8")
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def sync_file(path: Path) -> None:
    """Bring a file to the disk, so that it survives a loss of power."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


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
