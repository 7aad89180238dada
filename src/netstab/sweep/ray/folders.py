"""Folders of this user in temporary places, where others write as well."""

import os
import stat
import time
from contextlib import suppress
from pathlib import Path

from netstab.store.faults import cannot_write


def private_folder(path: Path) -> Path:
    """A folder that only this user can enter, made where it is not there.

    Raises:
        StoreError: it cannot be made.
    """
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error
    return path


def old_folders(parent: Path, pattern: str, seconds: float) -> list[Path]:
    """This user's folders whose names fit, and in which nothing was made for so long."""
    found = []
    for path in parent.glob(pattern):
        with suppress(OSError):
            about = path.lstat()
            old = time.time() - about.st_mtime > seconds
            if old and about.st_uid == os.getuid() and stat.S_ISDIR(about.st_mode):
                found.append(path)
    return found
