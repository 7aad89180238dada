"""Why a run is trained, measured or only collected: what the store has that comes nearest to it."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from netstab.store.ledger import Ledger
from netstab.store.records import Record
from netstab.study.differences import Change, changes, parted, settings
from netstab.study.experiments import Run, runs
from netstab.study.keys import shared_epochs
from netstab.study.measuring import measurement_key

EVERY = "every_epochs"
"""Setting of a measure whose value before is never known."""


class Action(StrEnum):
    """What is left to do for a run."""

    TRAIN = "train"
    MEASURE = "measure"
    COLLECT = "collect"


@dataclass(frozen=True, slots=True)
class Reason:
    """What is left to do for a run, and why.

    Attributes:
        run: of the study.
        action: what is left to do.
        end: number of its epochs.
        source: the deepest state on its way, from which it is trained; None for its start.
        nearest: the state of the same variant that comes nearest and is not on its way.
        changes: what parts that state (or, where the run is there, what was measured) from what is
            wanted.
        imported: whether the run is there without its weights, so that it cannot be measured.
    """

    run: Run
    action: Action
    end: int
    source: Record | None = None
    nearest: Record | None = None
    changes: tuple[Change, ...] = ()
    imported: bool = False


Records = Mapping[str, Record]
Subject = tuple[str, ...]
Measured = dict[Subject, list[tuple[str, dict[str, Any]]]]
"""Keys and inputs of measurements, by what they are of."""


def explain(ledger: Ledger) -> list[Reason]:
    """For every run of the study, what is left to do, and why; in the study's order.

    Raises:
        StoreError: the store cannot be read.
    """
    stored = {key: r for key in ledger.store.listing() if (r := ledger.store.record(key))}
    imported = {key: r for key in ledger.imports.listing() if (r := ledger.imports.record(key))}
    measured = cache(lambda: _measured(ledger))
    return [_reason(ledger, run, stored, imported, measured) for run in runs(ledger.params)]


def _reason(
    ledger: Ledger,
    run: Run,
    stored: Records,
    imported: Records,
    measured: Callable[[], Measured],
) -> Reason:
    end, key = ledger.schedule(run).epochs, ledger.end_key(run)
    there = key in stored and not stored[key].interim
    # A view is trained by its host.
    source = ledger.resume_view(run) if ledger.is_view(run) else ledger.resume(run)
    if there or key in imported:
        if ledger.is_measured(run):
            return Reason(run, Action.COLLECT, end)
        other = _measuring(ledger, run, measured())
        if there:
            return Reason(run, Action.MEASURE, end, stored[key], changes=other)
        return Reason(run, Action.TRAIN, end, source.record, changes=other, imported=True)
    nearest, apart = _nearest(ledger, run, [*stored.values(), *imported.values()])
    return Reason(run, Action.TRAIN, end, source.record, nearest, apart)


def _nearest(
    ledger: Ledger, run: Run, records: Sequence[Record]
) -> tuple[Record | None, tuple[Change, ...]]:
    """The same variant's state with the least that parts it from a run's end, and what parts it."""
    end = ledger.schedule(run).epochs
    inputs, made = ledger.inputs(run, end), settings(ledger.params, run.variant)
    found = [
        (record, parted(record.inputs, record.settings, inputs, made))
        for record in records
        if record.run.rpartition("-")[0] == run.variant.name and not record.interim
    ]

    def on_the_way(record: Record) -> bool:
        return record.epoch <= end and record.key == ledger.key(run, record.epoch)

    # What is on the run's own way, by the same parameters, is no other past.
    found = [(record, apart) for record, apart in found if apart or not on_the_way(record)]

    def distance(one: tuple[Record, tuple[Change, ...]]) -> tuple[Any, ...]:
        record, apart = one
        other_seed = record.inputs.get("seed") != run.seed
        # Without its settings a state says least of what parts it.
        return (
            other_seed,
            not apart,
            len(apart),
            -shared_epochs(record.inputs, inputs),
            -record.epoch,
            record.run,
            record.key,
        )

    return min(found, key=distance, default=(None, ()))


def _measuring(ledger: Ledger, run: Run, measured: Measured) -> tuple[Change, ...]:
    """What was otherwise when a run was measured; empty where it never was."""
    asked = {_subject(lacking.inputs): lacking.inputs for lacking in ledger.unmeasured(run)}
    found: dict[Change, None] = {}
    for subject, now in asked.items():
        for key, inputs in measured.get(subject, []):
            found |= dict.fromkeys(_remeasured(ledger, key, inputs, now))
    return tuple(found)


def _measured(ledger: Ledger) -> Measured:
    """What the store's measurements are of."""
    found: Measured = defaultdict(list)
    for key in sorted(ledger.measurements.listing()):
        if stored := ledger.measurements.read_with_inputs(key):
            found[_subject(stored[0])].append((key, stored[0]))
    return found


def _subject(inputs: Mapping[str, Any]) -> Subject:
    """What a measurement is of, whatever its settings."""
    return tuple(str(inputs.get(name)) for name in ("measure", "state", "scope"))


def _remeasured(
    ledger: Ledger, key: str, old: dict[str, Any], new: dict[str, Any]
) -> Iterator[Change]:
    section = f"measure.{new['measure']}"
    for change in changes(old, new):
        before, after = _hashable(change.old), _hashable(change.new)
        if change.name == "floor":
            # The first and the last epoch have one: the last is another one. Which setting it was
            # before is not stored.
            every = getattr(ledger.params.measure, new["measure"]).every_epochs
            yield Change(f"{section}.{EVERY}", None, every)
        elif change.name == "parts":
            yield Change(f"blocks.{new['scope']}", before, after)
        elif change.name.startswith("blocks."):
            yield Change(change.name, before, after)
        else:
            yield Change(f"{section}.{change.name}", before, after)
    measure = new["measure"]
    now = ledger.measures[measure]
    version = next((v for v in range(now) if measurement_key({measure: v}, old) == key), now)
    if version != now:
        yield Change(f"measures.{measure}", version, now)


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
