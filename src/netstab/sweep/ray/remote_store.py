"""The store as a node sees it that has no part in its file system: served by the depot.

The depot is what counts; a folder of the node keeps what was read and written, so that a state is
fetched once. Everything that trains through `Store` and `Measurements` trains through these.
"""

import hashlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray import ObjectRef
from ray.exceptions import RayTaskError

from netstab.errors import NetstabError
from netstab.files import part_of, write_file
from netstab.store.documents import Entry
from netstab.store.measurements import Measurements
from netstab.store.records import Record
from netstab.store.states import Store, cannot_write
from netstab.sweep.ray import store_server as depots

KEPT = 4
"""Copies that a node keeps: the next job often starts from one of the last."""
READ_S = 600.0
"""For how long a copy stays in any case: another worker of the node may be reading it."""
Handle = Any
"""Of the depot's actor; Ray's types do not know its methods."""


def asked(answer: "ObjectRef[Any]") -> Any:
    """What an actor answers.

    Raises:
        NetstabError: as there, without the wrapping that Ray puts around it.
    """
    try:
        return ray.get(answer)
    except RayTaskError as error:
        if isinstance(error.cause, NetstabError):
            raise error.cause from None
        raise


class FarStore(Store):
    """A store whose states are in the depot.

    Args:
        root: folder of this node for copies.
        depot: the actor.
    """

    def __init__(self, root: Path, depot: Handle) -> None:
        super().__init__(depots.private_folder(root))
        self._depot = depot

    def listing(self) -> set[str]:
        """See `Store`."""
        found: set[str] = asked(self._depot.keys.remote())
        return found

    def __contains__(self, key: str) -> bool:
        return self.record(key) is not None

    def record(self, key: str) -> Record | None:
        """See `Store`."""
        found: Record | None = asked(self._depot.record.remote(key))
        return found

    def tensors_file(self, record: Record) -> Path | None:
        """See `Store`; what is no sound copy is fetched anew."""
        copy = self._copy(record)
        if depots.is_sound(copy, record):
            with suppress(OSError):
                os.utime(copy)  # it is in use, see `_drop`
            return copy
        content = asked(self._depot.tensors.remote(record.key, record.sha256))
        if content is None:
            return None
        depots.refuse_damage(content, record)
        self._put(copy, content)
        self._drop()
        return copy

    def save(self, record: Record, write: Callable[[Path], None]) -> Record:
        """See `Store`; it is saved when the depot has it."""
        written = part_of(self.root / record.key)
        try:
            depots.private_folder(self.root)
            write(written)
            content = written.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            own = replace(record, sha256=digest, size=len(content))
            written.replace(self._copy(own))
        except OSError as error:
            raise cannot_write(self.root, error) from error
        finally:
            with suppress(OSError):
                written.unlink()
        stored: Record = asked(self._depot.take.remote(own, content))
        self._drop()
        return stored

    def remove(self, key: str) -> None:
        """See `Store`."""
        self._forget(key)
        asked(self._depot.remove.remote(key))

    def set_aside(self, key: str, why: str) -> None:
        """See `Store`; it is set aside where the command runs, and there only."""
        self._forget(key)
        asked(self._depot.set_aside.remote(key, why))
        print(_aside(f"state {key[:12]}", why), file=sys.stderr)

    def _copy(self, record: Record) -> Path:
        # By hash: a file never changes, so that other workers of this node may have it open.
        return self.root / f"{record.key}-{record.sha256[:16]}.safetensors"

    def _put(self, path: Path, content: bytes) -> None:
        try:
            depots.private_folder(self.root)  # what looks after temporary folders may remove it
            write_file(path, content, shared=True)
        except OSError as error:
            raise cannot_write(self.root, error) from error

    def _drop(self) -> None:
        """Remove copies but the last few, and those that somebody may be reading: the depot has
        them all."""
        ages: dict[Path, float] = {}
        for path in self.root.glob("*.safetensors"):
            with suppress(OSError):
                ages[path] = time.time() - path.stat().st_mtime
        for path in sorted(ages, key=ages.__getitem__)[KEPT:]:
            if ages[path] > READ_S:
                with suppress(OSError):
                    path.unlink()

    def _forget(self, key: str) -> None:
        for path in self.root.glob(f"{key}-*.safetensors"):
            with suppress(OSError):
                path.unlink()


class FarMeasurements(Measurements):
    """Measurements that are in the depot; here it is only known which they are."""

    def __init__(self, store: FarStore, depot: Handle) -> None:
        super().__init__(store)
        self._depot = depot
        self._known: set[str] = set()

    def __contains__(self, key: str) -> bool:
        if key not in self._known:
            self._known |= asked(self._depot.measured.remote([key]))
        return key in self._known

    def write(self, key: str, inputs: Mapping[str, Any], entry: Entry) -> None:
        """See `Measurements`."""
        asked(self._depot.note.remote(key, dict(inputs), entry))
        self._known.add(key)

    def set_aside(self, key: str) -> None:
        """See `Measurements`; it is set aside where the command runs."""
        asked(self._depot.set_note_aside.remote(key))
        self._known.discard(key)
        print(_aside(f"measurement {key[:12]}", "it is damaged"), file=sys.stderr)


def _aside(what: str, why: str) -> str:
    return f"warning: {what} is set aside in the command's store: {why}; it is made again if needed"
