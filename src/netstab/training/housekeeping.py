"""Looking after the store: list, verify, collect garbage."""

import time
from dataclasses import dataclass
from pathlib import Path

from netstab.training.ledger import Ledger
from netstab.training.store import Record, Store

ABANDONED_S = 3600.0
"""Age from which a half-written file is taken for what a killed process left behind."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A state in the store, and what the current parameters want it for (None: nothing)."""

    record: Record
    wanted_for: str | None


def entries(ledger: Ledger) -> list[Entry]:
    """Every readable state, by run and epoch."""
    wanted = ledger.wanted()
    records = (ledger.store.record(key) for key in ledger.store.listing())
    found = [Entry(r, _purpose(r, wanted)) for r in records if r is not None]
    return sorted(found, key=lambda e: (e.record.run, e.record.epoch))


def _purpose(record: Record, wanted: dict[str, str]) -> str | None:
    return "a run under way" if record.interim else wanted.get(record.key)


def verify(store: Store) -> tuple[int, int]:
    """Check every state to its last byte; damaged ones are set aside.

    Returns:
        How many are sound, and how many were set aside.
    """
    sound = 0
    keys = store.listing()
    for key in sorted(keys):
        record = store.record(key)
        if record is not None and store.tensors_file(record) is not None:
            sound += 1
    return sound, len(keys) - sound


def garbage(ledger: Ledger) -> list[Path]:
    """Files that the current parameters have no use for; removing them costs time, not results.

    States that no run of the plan keeps, tensors without a record, what killed processes left
    half-written an hour ago or more, states that were set aside, and locks that nobody holds.
    """
    store = ledger.store
    useful = {e.record.key for e in entries(ledger) if e.wanted_for is not None}
    old = time.time() - ABANDONED_S
    found = []
    for path in sorted(store.states.glob("*")) + sorted(store.states.glob(".*.part")):
        abandoned = path.stat().st_mtime < old
        if path.suffix == ".part":
            useless = abandoned
        elif path.suffix == ".safetensors" and path.stem not in store:
            # Tensors come a moment before their record.
            useless = abandoned
        else:
            useless = path.stem not in useful
        if useless:
            found.append(path)
    return [*dict.fromkeys(found), *sorted(store.damaged.glob("*"))]


def remove(paths: list[Path]) -> None:
    """Remove files; records before tensors, so that no record is without them."""
    for path in sorted(paths, key=lambda p: p.suffix != ".json"):
        path.unlink(missing_ok=True)
