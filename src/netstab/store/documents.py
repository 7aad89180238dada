"""JSON under keys, beside the states: written whole or not at all, checked on reading."""

import json
from collections.abc import Mapping
from typing import Any

from netstab import plain_json
from netstab.files import write_file
from netstab.store.faults import cannot_read, cannot_write, set_aside
from netstab.store.states import Store

Entry = dict[str, Any]
"""What is stored under a key."""


class Documents:
    """Entries under their keys, each a file with what its key is the hash of.

    Args:
        store: beside whose states they lie.
        folder: of theirs in the store.
        what: an entry is called, for people.
        remedy: what becomes of a damaged one.
    """

    def __init__(self, store: Store, folder: str, what: str, remedy: str) -> None:
        self.root = store.root / folder
        self.damaged = store.damaged
        self._what, self._remedy = what, remedy

    def __contains__(self, key: str) -> bool:
        return (self.root / f"{key}.json").is_file()

    def listing(self) -> set[str]:
        """Keys of every entry that is there."""
        return {path.stem for path in self.root.glob("*.json") if path.name[0] != "."}

    def read(self, key: str) -> Entry | None:
        """An entry, or None where there is none; a damaged one is set aside.

        Raises:
            StoreError: the store cannot be read, or a damaged file cannot be moved.
        """
        found = self.read_with_inputs(key)
        return found[1] if found else None

    def read_with_inputs(self, key: str) -> tuple[dict[str, Any], Entry] | None:
        """What an entry's key is the hash of, and the entry; see `read`."""
        path = self.root / f"{key}.json"
        try:
            content = plain_json.read(path)
        except FileNotFoundError:
            return None
        except ValueError:
            content = None
        except OSError as error:
            raise cannot_read(path, error) from error
        if isinstance(content, dict) and content.pop("sha256", None) == plain_json.digest(content):
            inputs, entry = content.get("inputs"), content.get("entry")
            if content.get("key") == key and isinstance(inputs, dict) and isinstance(entry, dict):
                return inputs, entry
        self.set_aside(key)
        return None

    def write(self, key: str, inputs: Mapping[str, Any], entry: Entry) -> None:
        """Store an entry, with what its key is the hash of.

        Raises:
            StoreError: the disk is full, or the store cannot be written.
        """
        content = json.loads(json.dumps({"key": key, "inputs": dict(inputs), "entry": entry}))
        path = self.root / f"{key}.json"
        text = json.dumps({**content, "sha256": plain_json.digest(content)})
        try:
            write_file(path, text, shared=True, sync=True)
        except OSError as error:
            raise cannot_write(self.root, error) from error

    def remove(self, key: str) -> None:
        """Remove an entry, if it is there.

        Raises:
            StoreError: the store cannot be written.
        """
        try:
            (self.root / f"{key}.json").unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(self.root, error) from error

    def set_aside(self, key: str) -> None:
        """Move a damaged entry out of the way, and say so.

        Raises:
            StoreError: the store cannot be written.
        """
        path = self.root / f"{key}.json"
        set_aside(self.damaged, [path], f"{self._what} {key[:12]}", "it is damaged", self._remedy)
