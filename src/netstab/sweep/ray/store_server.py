"""Where the command runs: its store for the nodes that do not see it, and news for its board.

One actor on the command's own node. States go in and out whole, as bytes that Ray's object store
carries, and are checked by hash at both ends. No torch and no Ray here.
"""

import hashlib
import os
import shutil
import stat
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from netstab.errors import StoreError
from netstab.files import abandoned
from netstab.locks import is_locked, locked
from netstab.store.documents import Entry
from netstab.store.measurements import Measurements
from netstab.store.records import Record
from netstab.store.states import Store, cannot_write
from netstab.sweep.worker import Said

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


def sees(store: Path, token: str) -> bool:
    """Whether a folder is the store that has a command's mark."""
    try:
        return (store / MARKS / token).read_text(encoding="utf-8") == token
    except OSError:
        return False


class Depot:
    """The store with its measurements, served; calls may come from several threads.

    Args:
        root: of the store.
        token: the command's mark in it.

    Raises:
        StoreError: this process does not see the command's store.
    """

    def __init__(self, root: Path, token: str) -> None:
        if not sees(root, token):
            raise StoreError(f"{root}: is another folder for the workers of this very machine")
        self._store = Store(root)
        self._measurements = Measurements(self._store)
        self._said: list[Said | str] = []
        self._used = False

    def say(self, said: Said | str) -> None:
        """News of a job, or a line for whoever sits at the command."""
        self._said.append(said)

    def heard(self) -> list[Said | str]:
        """The news since it was asked for last."""
        count = len(self._said)
        news, self._said[:count] = self._said[:count], []
        return news

    def was_used(self) -> bool:
        """Whether there are workers that do not see the store."""
        return self._used

    def keys(self) -> set[str]:
        """Keys of every state."""
        self._used = True
        return self._store.listing()

    def record(self, key: str) -> Record | None:
        """The record of a state."""
        self._used = True
        return self._store.record(key)

    def tensors(self, key: str, sha256: str) -> bytes | None:
        """The checked bytes of a state's tensors; None where they are not there or damaged.

        None also where the state is another one by now, with another hash.
        """
        self._used = True
        record = self._store.record(key)
        if record is None or record.sha256 != sha256:
            return None
        path = self._store.tensors_file(record)
        return path.read_bytes() if path else None

    def take(self, record: Record, content: bytes) -> Record:
        """Store a state that was trained elsewhere; see `store`."""
        self._used = True
        return store(self._store, record, content)

    def remove(self, key: str) -> None:
        """Remove a state that a later one has made useless."""
        self._store.remove(key)

    def set_aside(self, key: str, why: str) -> None:
        """Move a state out of the way that a worker could not use; see `Store`."""
        self._store.set_aside(key, why)

    def measured(self, keys: Collection[str]) -> set[str]:
        """Those of these measurements that are there."""
        return {key for key in keys if key in self._measurements}

    def note(self, key: str, inputs: Mapping[str, Any], entry: Entry) -> None:
        """Store a measurement."""
        self._measurements.write(key, inputs, entry)

    def set_note_aside(self, key: str) -> None:
        """Move a measurement out of the way that is of no use; see `Measurements`."""
        self._measurements.set_aside(key)


def store(into: Store, record: Record, content: bytes) -> Record:
    """Store a state whose record and tensors came over the network.

    Returns:
        The record that the store has now; see `Store.save`.

    Raises:
        StoreError: the tensors are not those that the record tells of, or the store cannot be
            written.
    """
    refuse_damage(content, record)
    return into.save(record, lambda path: _write(path, content))


def refuse_damage(content: bytes, record: Record) -> None:
    """Refuse tensors that are not those that a record tells of.

    Raises:
        StoreError: they are not.
    """
    if hashlib.sha256(content).hexdigest() != record.sha256:
        raise StoreError(f"{record.run} at epoch {record.epoch}: was damaged on its way")


def is_sound(path: Path, record: Record) -> bool:
    """Whether a file has the tensors that a record tells of."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == record.sha256
    except OSError:
        return False


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


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


def old_folders(beside: Path, pattern: str, seconds: float) -> list[Path]:
    """This user's folders whose names fit, and in which nothing was made for so long."""
    found = []
    for path in beside.glob(pattern):
        with suppress(OSError):
            about = path.lstat()
            old = time.time() - about.st_mtime > seconds
            if old and about.st_uid == os.getuid() and stat.S_ISDIR(about.st_mode):
                found.append(path)
    return found


def clear(path: Path) -> None:
    """Remove a folder with all that is in it, as far as that goes."""
    with suppress(OSError):
        shutil.rmtree(path)
