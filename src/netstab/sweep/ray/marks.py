"""Marks of commands in their stores: a node that finds the mark sees the same store.

No torch and no Ray here.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from netstab.files import abandoned
from netstab.locks import is_locked, locked
from netstab.store.faults import cannot_write

MARKS = "drivers"
"""Folder in the store with a file for each command at work, by which a node knows the store."""


@contextmanager
def marked(store: Path, token: str) -> Iterator[None]:
    """Have a command's mark in the store, and its lock, which falls with the command.

    Who finds the mark sees the same store. Marks of commands that were killed are collected on the
    way.

    Raises:
        StoreError: the store cannot be written.
    """
    collect_marks(store)
    path = store / MARKS / token
    try:
        with ExitStack() as held:
            try:
                held.enter_context(locked(path))
                path.write_text(token, encoding="utf-8")
            except OSError as error:
                raise cannot_write(store, error) from error
            yield
    finally:
        with suppress(OSError):
            path.unlink()


def collect_marks(store: Path) -> None:
    """Remove marks, of an hour or more, whose commands are no more."""
    folder = store / MARKS
    for path in abandoned(folder, folder.glob("*")):
        with suppress(OSError):  # also where no lock can be told: a mark does no harm
            if not is_locked(path):
                path.unlink()


def has_mark(store: Path, token: str) -> bool:
    """Whether a folder is the store that has a command's mark."""
    try:
        return (store / MARKS / token).read_text(encoding="utf-8") == token
    except OSError:
        return False
