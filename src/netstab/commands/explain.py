"""`netstab plan --explain`: why each run is trained, measured or only collected."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from netstab.store.records import Record
from netstab.store.wanted import NOT_PREPARED
from netstab.store.why import EVERY, Action, Reason
from netstab.study.differences import Change
from netstab.study.measuring import MEASURES

NUMERICS = "src/netstab/training/numerics.json"
WORDS = {
    "numerics": f"version of the numerics ({NUMERICS})",
    **{f"measures.{name}": f"version of what {name} computes ({NUMERICS})" for name in MEASURES},
    "data": "the images (content_sha256 of data/manifest.json)",
    "seed": "seed",
    "model.code": "source code of the network",
}
"""What `params.yaml` has no key for, or more than one value of."""
LONGEST = 40
"""Characters of a value that are told."""


def explained(reasons: Sequence[Reason]) -> list[dict[str, Any]]:
    """The reasons as JSON has them, a run each."""
    return [
        {
            "run": reason.run.name,
            "action": reason.action.value,
            "epochs": reason.end,
            "epochs_left": _left(reason),
            "from": _state(reason.source),
            "nearest": _state(reason.nearest),
            "changes": [
                {"parameter": change.name, "old": change.old, "new": change.new}
                for change in reason.changes
            ],
        }
        for reason in reasons
    ]


def show(reasons: Sequence[Reason]) -> None:
    """Print a line a run, under what it has in common with others."""
    if any(change.new == NOT_PREPARED for reason in reasons for change in reason.changes):
        print(
            "the images are not prepared here, so nothing stored can be of them; after dvc repro "
            "data this tells more",
            file=sys.stderr,
        )
    groups: dict[str, list[Reason]] = {}
    for action in Action:
        for reason in reasons:
            if reason.action is action:
                groups.setdefault(_heading(reason), []).append(reason)
    for heading, members in groups.items():
        print(heading)
        width = max(len(reason.run.name) for reason in members)
        for reason in members:
            print(f"  {reason.run.name.ljust(width)}  {_line(reason)}".rstrip())
        print()


def told(changes: Iterable[Change]) -> str:
    """What is otherwise, in words; empty for nothing."""
    return "; ".join(map(_change, changes))


def _heading(reason: Reason) -> str:
    why = told(reason.changes)
    if reason.action is Action.COLLECT:
        return "only collected: the store has all of it"
    if reason.action is Action.MEASURE:
        return f"to be measured, trained already: {why or 'never measured so'}"
    if reason.imported:
        return "to be trained: imported without weights, and not measured as params.yaml asks: " + (
            why or "never measured so"
        )
    if why:
        return f"to be trained: {why}"
    if reason.nearest:
        return "to be trained: another schedule (epochs, rates, interventions)"
    if reason.source and reason.source.run == reason.run.name:
        return "to be trained: not finished"
    return "to be trained: nothing of it is stored"


def _change(change: Change) -> str:
    name, new = WORDS.get(change.name, change.name), _value(change.new)
    if change.name.endswith(EVERY):
        return f"{name}, now {new}"
    return f"{name} {_value(change.old)} -> {new}"


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value if len(value) <= LONGEST else f"{value[:12]}..."
    text = json.dumps(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _line(reason: Reason) -> str:
    if reason.action is not Action.TRAIN:
        return ""
    source = f"from {_place(reason.source)}" if reason.source else "from the start"
    nearest = f"; nearest is {_place(reason.nearest)}" if reason.nearest else ""
    return f"{_left(reason)} of {reason.end} epochs, {source}{nearest}"


def _left(reason: Reason) -> int:
    start = reason.source.epoch if reason.source else 0
    return reason.end - start if reason.action is Action.TRAIN else 0


def _place(record: Record) -> str:
    return f"{record.run} at {record.epoch}"


def _state(record: Record | None) -> dict[str, Any] | None:
    if record is None:
        return None
    return {"key": record.key, "run": record.run, "epoch": record.epoch}
