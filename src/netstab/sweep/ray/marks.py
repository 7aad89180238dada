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


def mark(store: Path, token: str) -> Path:
    """Put a command's mark into the store; who finds it there sees the same store.

    Raises:
        StoreError: the store cannot be written.
    """
    path = store / MARKS / token
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(token, encoding="utf-8")
    except OSError as error:
        raise cannot_write(store, error) from error
    return path


@contextmanager
def marked(store: Path, token: str) -> Iterator[None]:
    """Have a command's mark in the store, and its lock, which falls with the command.

    Marks of commands that were killed are collected on the way.

    Raises:
        StoreError: the store cannot be written.
    """
    collect_marks(store)
    with ExitStack() as held:
        try:
            held.enter_context(locked(store / MARKS / token))
        except OSError as error:
            raise cannot_write(store, error) from error
        try:
            mark(store, token)
            yield
        finally:
            with suppress(OSError):
                (store / MARKS / token).unlink()


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
