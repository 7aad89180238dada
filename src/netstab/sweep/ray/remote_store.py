"""The command's store for a node that does not see its file system.

States and measurements are on the server; a folder of the node keeps what was read and written, so
that a state is fetched once. What trains through `Store` and `Measurements` trains through these.
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
from netstab.store.faults import cannot_write
from netstab.store.measurements import Measurements
from netstab.store.records import Record
from netstab.store.states import Store
from netstab.sweep.ray.folders import private_folder
from netstab.sweep.ray.store_server import is_sound, refuse_damage

KEPT = 4
"""Copies that a node keeps: the next job often starts from one of the last."""
READ_S = 600.0
"""For how long a copy stays in any case: another worker of the node may be reading it."""
Handle = Any
"""Of the server's actor; Ray's types do not know its methods."""


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


class RemoteStore(Store):
    """A store whose states are on the server.

    Args:
        root: folder of this node for copies.
        server: the actor.
    """

    def __init__(self, root: Path, server: Handle) -> None:
        super().__init__(private_folder(root))
        self._server = server

    def listing(self) -> set[str]:
        """See `Store`."""
        found: set[str] = asked(self._server.keys.remote())
        return found

    def newest(self, count: int) -> list[str]:
        """See `Store`."""
        found: list[str] = asked(self._server.newest.remote(count))
        return found

    def __contains__(self, key: str) -> bool:
        return self.record(key) is not None

    def record(self, key: str) -> Record | None:
        """See `Store`."""
        found: Record | None = asked(self._server.record.remote(key))
        return found

    def tensors_file(self, record: Record) -> Path | None:
        """See `Store`; what is no sound copy is fetched anew."""
        copy = self._copy(record)
        if is_sound(copy, record):
            with suppress(OSError):
                os.utime(copy)  # it is in use, see `_drop`
            return copy
        content = asked(self._server.tensors.remote(record.key, record.sha256))
        if content is None:
            return None
        refuse_damage(content, record)
        self._put(copy, content)
        self._drop()
        return copy

    def save(self, record: Record, write: Callable[[Path], None]) -> Record:
        """See `Store`; it is saved when the server has it."""
        written = part_of(self.root / record.key)
        try:
            private_folder(self.root)
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
        stored: Record = asked(self._server.save.remote(own, content))
        self._drop()
        return stored

    def remove(self, key: str) -> None:
        """See `Store`."""
        self._forget(key)
        asked(self._server.remove.remote(key))

    def set_aside(self, key: str, why: str) -> None:
        """See `Store`; it is set aside where the command runs, and there only."""
        self._forget(key)
        asked(self._server.set_aside.remote(key, why))
        print(_aside(f"state {key[:12]}", why), file=sys.stderr)

    def _copy(self, record: Record) -> Path:
        # By hash: a file never changes, so that other workers of this node may have it open.
        return self.root / f"{record.key}-{record.sha256[:16]}.safetensors"

    def _put(self, path: Path, content: bytes) -> None:
        try:
            private_folder(self.root)  # what looks after temporary folders may remove it
            write_file(path, content, shared=True)
        except OSError as error:
            raise cannot_write(self.root, error) from error

    def _drop(self) -> None:
        """Remove copies but the last few, and those that somebody may be reading."""
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


class RemoteMeasurements(Measurements):
    """Measurements on the server; here it is only known which there are."""

    def __init__(self, store: RemoteStore, server: Handle) -> None:
        super().__init__(store)
        self._server = server
        self._known: set[str] = set()

    def __contains__(self, key: str) -> bool:
        if key not in self._known:
            self._known |= asked(self._server.measured.remote([key]))
        return key in self._known

    def write(self, key: str, inputs: Mapping[str, Any], entry: Entry) -> None:
        """See `Measurements`."""
        asked(self._server.save_measurement.remote(key, dict(inputs), entry))
        self._known.add(key)

    def set_aside(self, key: str) -> None:
        """See `Measurements`; it is set aside where the command runs."""
        asked(self._server.set_measurement_aside.remote(key))
        self._known.discard(key)
        print(_aside(f"measurement {key[:12]}", "it is damaged"), file=sys.stderr)


def _aside(what: str, why: str) -> str:
    return f"warning: {what} is set aside in the command's store: {why}; it is made again if needed"
