"""What is said and done where something of the store cannot be used."""

import errno
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from netstab.errors import StoreError


def cannot_read(path: Path, error: OSError) -> StoreError:
    """What to say where something of the store cannot be read."""
    return StoreError(f"{path}: cannot be read ({error}); check the disk and rights")


def cannot_write(root: Path, error: OSError) -> StoreError:
    """What to say where the store cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        remedy = "free some room (netstab store gc), or name another folder in NETSTAB_STORE"
    else:
        remedy = "check that the folder can be written, or name another in NETSTAB_STORE"
    return StoreError(
        f"{root}: the store cannot be written ({error}); {remedy}. "
        "Then run the same command again: it goes on from the last saved state"
    )


def set_aside(folder: Path, files: Iterable[Path], what: str, why: str, remedy: str) -> None:
    """Move damaged files out of the way, and say so.

    Args:
        folder: where to.
        files: that are damaged; they may be gone.
        what: they are, for people.
        why: they are set aside.
        remedy: what becomes of it.

    Raises:
        StoreError: the store cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in files:
            # Missing, or set aside by another process at the same time.
            with suppress(FileNotFoundError):
                path.replace(folder / path.name)
    except OSError as error:
        raise cannot_write(folder.parent, error) from error
    print(f"warning: {what} is set aside in {folder}: {why}; {remedy}", file=sys.stderr)
