"""What was measured on states: key -> values, beside the states in the store. No torch here."""

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from netstab.training.store import Store, cannot_read, cannot_write

Entry = dict[str, Any]
"""`rows` (values by name) and `provenance` (device, torch, seconds, when) of a measurement."""


class Notebook:
    """Measurements under their keys; written whole or not at all, checked on reading."""

    def __init__(self, store: Store) -> None:
        self.root = store.root / "measurements"
        self.damaged = store.damaged

    def __contains__(self, key: str) -> bool:
        return (self.root / f"{key}.json").is_file()

    def listing(self) -> list[str]:
        """Keys of every measurement that is there."""
        return sorted(path.stem for path in self.root.glob("*.json") if path.name[0] != ".")

    def read(self, key: str) -> Entry | None:
        """A measurement, or None where there is none; a damaged one is set aside.

        Raises:
            StoreError: the store cannot be read, or a damaged file cannot be moved.
        """
        path = self.root / f"{key}.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            digest = content.pop("sha256")
            if content["key"] == key and digest == _digest(content):
                found: Entry = content["entry"]
                return found
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, AttributeError):
            pass
        except OSError as error:
            raise cannot_read(path, error) from error
        self._set_aside(key)
        return None

    def write(self, key: str, inputs: Mapping[str, Any], entry: Entry) -> None:
        """Store a measurement, with what its key is the hash of.

        Raises:
            StoreError: the disk is full, or the store cannot be written.
        """
        content = json.loads(json.dumps({"key": key, "inputs": dict(inputs), "entry": entry}))
        path = self.root / f"{key}.json"
        temporary = self.root / f".{key}.{os.getpid()}.part"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with temporary.open("w", encoding="utf-8") as file:
                json.dump({**content, "sha256": _digest(content)}, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            raise cannot_write(self.root, error) from error
        finally:
            with suppress(OSError):
                temporary.unlink()

    def _set_aside(self, key: str) -> None:
        path = self.root / f"{key}.json"
        try:
            self.damaged.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                path.replace(self.damaged / path.name)
        except OSError as error:
            raise cannot_write(self.root, error) from error
        print(
            f"warning: measurement {key[:12]} is set aside in {self.damaged}: it is damaged; "
            "it is taken again when it is needed",
            file=sys.stderr,
        )


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
