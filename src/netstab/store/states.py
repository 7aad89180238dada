"""The store: key -> state. Written whole or not at all, checked on reading, locked by segment.

A state is two files in `states/`: `KEY-HASH.safetensors` with the tensors, named after the first
16 digits of their own hash, and `KEY.json`, its record, which is written last and so says that the
state is there. Whoever writes the same key elsewhere, with other bits, pairs no record with the
wrong tensors; the record that is there first stays.
A run that is complete is collected from its record alone, without torch.
"""

import errno
import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from netstab import plain_json
from netstab.errors import StoreError
from netstab.files import abandoned, part_of, sync_file, sync_folder
from netstab.locks import NO_LOCKS, is_locked, locked
from netstab.store import records
from netstab.store.faults import cannot_read, cannot_write, set_aside
from netstab.store.records import Record

NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES)
"""Errors of file systems without hard links."""


class Store:
    """States under their keys, in a folder that several processes may share."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.states = root / "states"
        self.locks = root / "locks"
        self.damaged = root / "damaged"

    def listing(self) -> set[str]:
        """Keys of every state that is there.

        Raises:
            StoreError: the store cannot be read.
        """
        try:
            return {
                entry.name.removesuffix(".json")
                for entry in os.scandir(self.states)
                if entry.name.endswith(".json") and not entry.name.startswith(".")
            }
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise cannot_read(self.states, error) from error

    def newest(self, count: int) -> list[str]:
        """Keys of the newest states, oldest first."""
        return newest(self.states, count)

    def __contains__(self, key: str) -> bool:
        return self._record_file(key).is_file()

    def record(self, key: str) -> Record | None:
        """The record of a state, or None where there is none; a damaged one is set aside."""
        path = self._record_file(key)
        try:
            return records.read(plain_json.read(path), key)
        except FileNotFoundError:
            return None
        except ValueError:
            self.set_aside(key, "its record is damaged")
            return None
        except OSError as error:
            raise cannot_read(path, error) from error

    def tensors_file(self, record: Record) -> Path | None:
        """The checked file with a state's tensors; a damaged one is set aside, None returned."""
        path = self._tensors_file(record)
        try:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == record.sha256:
                    return path
        except FileNotFoundError:
            pass
        except OSError as error:
            raise cannot_read(path, error) from error
        now = self.record(record.key)
        # Otherwise removed or replaced just now, by whoever trained past it.
        if now is not None and now.sha256 == record.sha256:
            self.set_aside(record.key, "its tensors are missing or damaged")
        return None

    def files(self, record: Record) -> list[Path]:
        """The files that a state consists of."""
        tensors = self._tensors_file(record)
        return [self._record_file(record.key), *([tensors] if tensors.exists() else [])]

    def save(self, record: Record, write: Callable[[Path], None]) -> Record:
        """Store a state; `write` writes its tensors into the path that it is given.

        Returns:
            The record that the store has now, with hash and size of the tensors' file: this one,
            or that of another process that stored the same state first.

        Raises:
            StoreError: the disk is full, the store cannot be written, or the record is one that
                would be taken for damaged when it is read.
        """
        tensors, described = (part_of(self.states / record.key) for _ in range(2))
        try:
            self.states.mkdir(parents=True, exist_ok=True)
            write(tensors)
            with tensors.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            sync_file(tensors)
            own = replace(record, sha256=digest, size=tensors.stat().st_size)
            described.write_text(records.write(own), encoding="utf-8")
            sync_file(described)
            # All the room that it takes is taken by now.
            tensors.replace(self._tensors_file(own))
            stored = self._publish(described, own)
            sync_folder(self.states)
        except OSError as error:
            raise cannot_write(self.root, error) from error
        finally:
            # Where nothing can be written, nothing can be removed: the error above says it.
            for temporary in (tensors, described):
                with suppress(OSError):
                    temporary.unlink()
        return stored

    def _publish(self, described: Path, own: Record) -> Record:
        """Put a record in its place, unless one is there that is worth as much; what is there."""
        there = self.record(own.key)
        if there is None:
            try:
                # Not replaced but linked: of two hosts without a common lock only one succeeds.
                os.link(described, self._record_file(own.key))
                return own
            except FileExistsError:
                there = self.record(own.key)
            except OSError as error:
                if error.errno not in NO_LINKS:
                    raise
        if there is None or (there.interim and not own.interim):
            described.replace(self._record_file(own.key))
            return self.record(own.key) or own
        if there.sha256 != own.sha256:
            print(
                f"warning: state {own.key[:12]} was stored by another process meanwhile, with "
                "other bits; its state stays, and whatever comes next goes on from that one",
                file=sys.stderr,
            )
            with suppress(OSError):
                self._tensors_file(own).unlink()
        return there

    def remove(self, key: str) -> None:
        """Remove a state; its record first, so that no record is without tensors.

        Raises:
            StoreError: the store cannot be written.
        """
        record = self.record(key)
        try:
            for path in self.files(record) if record else ():
                path.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(self.root, error) from error

    def set_aside(self, key: str, why: str) -> None:
        """Move a damaged state out of the way, and say so.

        Raises:
            StoreError: the store cannot be written.
        """
        files = (self._record_file(key), *self.states.glob(f"{key}-*.safetensors"))
        remedy = "its epochs are trained again when they are needed"
        set_aside(self.damaged, files, f"state {key[:12]}", why, remedy)

    @contextmanager
    def lock(self, key: str, waiting: str = "") -> Iterator[None]:
        """Be the only process that trains the segment that `key` names; waits until it is.

        Args:
            key: names the segment, or whatever else is locked.
            waiting: what to say while another process holds the lock; the default is of segments.

        Raises:
            StoreError: the store cannot be written.
        """
        segment = f"another process trains this segment ({key[:12]}); waiting for its result"

        def say() -> None:
            print(waiting or segment, file=sys.stderr, flush=True)

        with ExitStack() as held:
            try:
                held.enter_context(locked(self.locks / f"{key}.lock", say))
            except OSError as error:
                raise cannot_write(self.root, error) from error
            yield

    def in_use(self) -> bool:
        """Whether any process holds the lock of a segment.

        Raises:
            StoreError: it cannot be found out.
        """
        for path in self.locks.glob("*.lock"):
            try:
                if is_locked(path):
                    return True
            except OSError as error:
                if error.errno in NO_LOCKS:
                    return self._busy_lately()
                raise StoreError(
                    f"{path}: cannot find out whether a process is training ({error}); wait until "
                    "none is, and check that the folder can be written"
                ) from error
        return False

    def _busy_lately(self) -> bool:
        """Without locks: whether anything was stored lately; a process may be at work then."""
        there = list(self.states.glob("*"))
        if len(abandoned(self.states, there)) == len(there):
            return False
        raise StoreError(
            f"{self.root}: this file system has no locks, and something was stored within the last "
            "hour: a process may be training. Run this again an hour after the last one has ended"
        )

    def _record_file(self, key: str) -> Path:
        return self.states / f"{key}.json"

    def _tensors_file(self, record: Record) -> Path:
        return self.states / f"{record.key}-{record.sha256[:16]}.safetensors"


def newest(folder: Path, count: int) -> list[str]:
    """Keys of the newest states or measurements in a folder of the store, oldest first."""
    try:
        entries = [e for e in os.scandir(folder) if e.name.endswith(".json") and e.name[0] != "."]
    except FileNotFoundError:
        return []
    entries.sort(key=_written)
    return [entry.name.removesuffix(".json") for entry in entries[-count:]]


def _written(entry: "os.DirEntry[str]") -> float:
    try:
        return entry.stat().st_mtime
    except FileNotFoundError:
        return 0.0  # just removed, by a process that trained past it
