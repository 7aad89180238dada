"""The store: key -> state. Written whole or not at all, checked on reading, locked by segment.

A state is two files in `states/`: `KEY-HASH.safetensors` with the tensors, named after the first
16 digits of their own hash, and `KEY.json`, its record, which is written last and so says that the
state is there. Whoever writes the same key elsewhere, with other bits, pairs no record with the
wrong tensors; the record that is there first stays. (A store from before has `KEY.safetensors`.)
No torch here: a run that is complete is collected from its record alone.
"""

import errno
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from netstab import plain_json
from netstab.errors import StoreError
from netstab.files import abandoned, part_of, sync_file, sync_folder
from netstab.locks import NO_LOCKS, is_locked, locked
from netstab.results.schema import Row
from netstab.store import records

NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES)
"""What a file system without hard links answers."""


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
            content = plain_json.read(path)
            digest = content.pop("record_sha256")
            records.Content.model_validate(content)
            record = Record(**content)
            sound = record.key == key and digest == plain_json.digest(asdict(record))
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
        for path in self._tensors_files(record):
            try:
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise cannot_read(path, error) from error
            if digest == record.sha256:
                return path
        now = self.record(record.key)
        # Otherwise removed or replaced just now, by whoever trained past it.
        if now is not None and now.sha256 == record.sha256:
            self.set_aside(record.key, "its tensors are missing or damaged")
        return None

    def files(self, record: Record) -> list[Path]:
        """The files that a state consists of."""
        tensors = (path for path in self._tensors_files(record) if path.exists())
        return [self._record_file(record.key), *list(tensors)[:1]]

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
            content = asdict(own)
            _refuse_unreadable(own, content)
            content["record_sha256"] = plain_json.digest(content)
            described.write_text(json.dumps(content), encoding="utf-8")
            sync_file(described)
            # All the room that it takes is taken by now.
            tensors.replace(self._tensors_files(own)[0])
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
                self._tensors_files(own)[0].unlink()
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
        try:
            self.damaged.mkdir(parents=True, exist_ok=True)
            for path in (self._record_file(key), *self.states.glob(f"{key}*.safetensors")):
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

        `waiting` is what to say then, if it is no segment that is locked. See `locks.locked`.
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
            StoreError: nobody can tell.
        """
        for path in self.locks.glob("*.lock"):
            try:
                if is_locked(path):
                    return True
            except OSError as error:
                if error.errno in NO_LOCKS:
                    return self._busy_lately()
                raise StoreError(
                    f"{path}: whether a process is training cannot be told ({error}); wait until "
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

    def _tensors_files(self, record: Record) -> tuple[Path, Path]:
        """Where a state's tensors are, and where a store from before has them."""
        names = f"{record.key}-{record.sha256[:16]}", record.key
        named, before = (self.states / f"{name}.safetensors" for name in names)
        return named, before


def _refuse_unreadable(record: Record, content: dict[str, Any]) -> None:
    """Refuse what would be set aside when it is read, and trained again without end."""
    try:
        records.Content.model_validate(plain_json.parse(json.dumps(content).encode()))
    except ValueError as error:
        why = " ".join(str(error).split())[:300]
        raise StoreError(
            f"{record.run} at epoch {record.epoch}: is not stored, for it could not be read again "
            f"({why}); change the name or value in params.yaml that this tells of"
        ) from error


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
