"""The command's store, served to nodes that do not see it, and reports of workers for its display.

One actor on the command's own node. States go in and out whole, as bytes that Ray's object store
carries, and are checked by hash at both ends. No torch and no Ray here.
"""

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from netstab.errors import StoreError
from netstab.store.documents import Entry
from netstab.store.measurements import Measurements
from netstab.store.records import Record
from netstab.store.states import Store
from netstab.sweep.events import WorkerEvent
from netstab.sweep.ray.marks import has_mark


class StoreServer:
    """The store with its measurements, served; calls may come from several threads.

    Args:
        root: of the store.
        token: the command's mark in it.

    Raises:
        StoreError: this process does not see the command's store.
    """

    def __init__(self, root: Path, token: str) -> None:
        if not has_mark(root, token):
            raise StoreError(f"{root}: is another folder for the workers of this very machine")
        self._store = Store(root)
        self._measurements = Measurements(self._store)
        self._reports: list[WorkerEvent | str] = []
        self._used = False
        self._stopping = False

    def report(self, report: WorkerEvent | str) -> None:
        """Take an event of a job, or a line to be printed by the command."""
        self._reports.append(report)

    def take_reports(self) -> list[WorkerEvent | str]:
        """What was reported since this was asked last."""
        count = len(self._reports)
        taken, self._reports[:count] = self._reports[:count], []
        return taken

    def stop(self) -> None:
        """Have workers save and end."""
        self._stopping = True

    def is_stopping(self) -> bool:
        """Whether workers are to save and end, and begin nothing."""
        return self._stopping

    def was_used(self) -> bool:
        """Whether there are workers that do not see the store."""
        return self._used

    def keys(self) -> set[str]:
        """Keys of every state."""
        self._used = True
        return self._store.listing()

    def newest(self, count: int) -> list[str]:
        """Keys of the newest states; see `Store`."""
        self._used = True
        return self._store.newest(count)

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

    def save(self, record: Record, content: bytes) -> Record:
        """Store a state that was trained elsewhere, whose tensors came over the network.

        Returns:
            The record that the store has now; see `Store.save`.

        Raises:
            StoreError: the tensors are not those of the record, or the store cannot be written.
        """
        self._used = True
        refuse_damage(content, record)

        def write(path: Path) -> None:
            path.write_bytes(content)

        return self._store.save(record, write)

    def remove(self, key: str) -> None:
        """Remove a state that a later one has made useless."""
        self._store.remove(key)

    def set_aside(self, key: str, why: str) -> None:
        """Move a state out of the way that a worker could not use; see `Store`."""
        self._store.set_aside(key, why)

    def measured(self, keys: Collection[str]) -> set[str]:
        """Those of these measurements that are there."""
        return {key for key in keys if key in self._measurements}

    def save_measurement(self, key: str, inputs: Mapping[str, Any], entry: Entry) -> None:
        """Store a measurement."""
        self._measurements.write(key, inputs, entry)

    def set_measurement_aside(self, key: str) -> None:
        """Move a measurement out of the way that cannot be used; see `Measurements`."""
        self._measurements.set_aside(key)


def refuse_damage(content: bytes, record: Record) -> None:
    """Refuse tensors that are not those of a record.

    Raises:
        StoreError: they are not.
    """
    if hashlib.sha256(content).hexdigest() != record.sha256:
        raise StoreError(f"{record.run} at epoch {record.epoch}: was damaged on its way")


def is_sound(path: Path, record: Record) -> bool:
    """Whether a file has the tensors of a record."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == record.sha256
    except OSError:
        return False
