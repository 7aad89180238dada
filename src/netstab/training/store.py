"""The store: key -> state. Written whole or not at all, checked on reading, locked by segment.

A state is two files in `states/`: `KEY.safetensors` with the tensors, and `KEY.json`, its record,
which is written last and so says that the state is there. No torch here: a run that is complete
is collected from its record alone.
"""

import errno
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from netstab.errors import StoreError
from netstab.training import plain, records

Row = dict[str, int | float]
"""A row of a history: what an epoch came to."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a state without its tensors.

    Attributes:
        key: SHA-256 (hex) of `inputs`.
        run: name of the run that trained up to it, for people.
        epoch: the state is the one at the start of this epoch.
        inputs: everything that determines the state: identity and schedule so far.
        history: a row for each epoch so far.
        provenance: a row for each stretch of epochs: who trained it, on what, how long.
        interim: saved in mid-segment against kills; goes when the segment is done.
        sha256: of the tensors' file.
        size: of the tensors' file in bytes.
    """

    key: str
    run: str
    epoch: int
    inputs: dict[str, Any]
    history: list[Row] = field(repr=False)
    provenance: list[dict[str, Any]] = field(repr=False)
    interim: bool
    sha256: str = ""
    size: int = 0


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

    def __contains__(self, key: str) -> bool:
        return self._record_file(key).is_file()

    def record(self, key: str) -> Record | None:
        """The record of a state, or None where there is none; a damaged one is set aside."""
        path = self._record_file(key)
        try:
            content = plain.read(path)
            digest = content.pop("record_sha256")
            records.Content.model_validate(content)
            record = Record(**content)
            sound = record.key == key and digest == _digest(asdict(record))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, AttributeError):
            sound = False
        except OSError as error:
            raise cannot_read(path, error) from error
        if not sound:
            self.set_aside(key, "its record is damaged")
            return None
        return record

    def tensors_file(self, record: Record) -> Path | None:
        """The checked file with a state's tensors; a damaged one is set aside, None returned."""
        path = self._tensors_file(record.key)
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            digest = "missing"
        except OSError as error:
            raise cannot_read(path, error) from error
        if digest == "missing" and record.key not in self:
            return None  # removed just now, by whoever trained past it
        if digest != record.sha256:
            self.set_aside(record.key, "its tensors are missing or damaged")
            return None
        return path

    def save(self, record: Record, write: Callable[[Path], None]) -> Record:
        """Store a state; `write` writes its tensors into the path that it is given.

        Returns:
            The record with hash and size of the tensors' file.

        Raises:
            StoreError: the disk is full, or the store cannot be written.
        """
        temporary = self.states / f".{record.key}.{os.getpid()}.part"
        try:
            self.states.mkdir(parents=True, exist_ok=True)
            write(temporary)
            with temporary.open("rb+") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                os.fsync(file.fileno())
            stored = Record(
                **{**asdict(record), "sha256": digest, "size": temporary.stat().st_size}
            )
            temporary.replace(self._tensors_file(record.key))
            content = asdict(stored)
            content["record_sha256"] = _digest(content)
            with temporary.open("w", encoding="utf-8") as file:
                json.dump(content, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._record_file(record.key))
        except OSError as error:
            raise cannot_write(self.root, error) from error
        finally:
            # Where nothing can be written, nothing can be removed: the error above says it.
            with suppress(OSError):
                temporary.unlink()
        return stored

    def remove(self, key: str) -> None:
        """Remove a state; its record first, so that no record is without tensors.

        Raises:
            StoreError: the store cannot be written.
        """
        try:
            self._record_file(key).unlink(missing_ok=True)
            self._tensors_file(key).unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(self.root, error) from error

    def set_aside(self, key: str, why: str) -> None:
        """Move a damaged state out of the way, and say so.

        Raises:
            StoreError: the store cannot be written.
        """
        try:
            self.damaged.mkdir(parents=True, exist_ok=True)
            for path in (self._record_file(key), self._tensors_file(key)):
                # Missing, or set aside by another process at the same time.
                with suppress(FileNotFoundError):
                    path.replace(self.damaged / path.name)
        except OSError as error:
            raise cannot_write(self.root, error) from error
        print(
            f"warning: state {key[:12]} is set aside in {self.damaged}: {why}; "
            "its epochs are trained again when they are needed",
            file=sys.stderr,
        )

    @contextmanager
    def lock(self, key: str, waiting: str = "") -> Iterator[None]:
        """Be the only process that trains the segment that `key` names; waits for its turn.

        `waiting` is what to say then, if it is no segment that is locked.

        The operating system gives the lock back when its holder dies, however it dies.
        """
        path = self.locks / f"{key}.lock"
        try:
            self.locks.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                segment = (
                    f"another process trains this segment ({key[:12]}); waiting for its result"
                )
                print(waiting or segment, file=sys.stderr, flush=True)
                lock.acquire(poll_interval=0.2)
        except OSError as error:
            raise cannot_write(self.root, error) from error
        try:
            yield
        finally:
            lock.release()

    def in_use(self) -> bool:
        """Whether any process holds the lock of a segment."""
        for path in self.locks.glob("*.lock"):
            lock = FileLock(path)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                return True
            lock.release()
        return False

    def _record_file(self, key: str) -> Path:
        return self.states / f"{key}.json"

    def _tensors_file(self, key: str) -> Path:
        return self.states / f"{key}.safetensors"


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


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
