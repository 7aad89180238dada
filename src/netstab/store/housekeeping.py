"""Looking after the store: list, verify, collect garbage."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from netstab.errors import StoreError
from netstab.files import SUFFIX, abandoned
from netstab.store.imported import Imports
from netstab.store.ledger import Ledger
from netstab.store.measurements import Measurements
from netstab.store.records import Record
from netstab.store.states import Store
from netstab.study.experiments import runs


@dataclass(frozen=True, slots=True)
class Entry:
    """A state in the store, and what the current parameters want it for (None: nothing).

    Attributes:
        record: of the state.
        wanted_for: whose it is, in words.
        imported: whether it is a finished run that was imported, without tensors.
    """

    record: Record
    wanted_for: str | None
    imported: bool = False


def entries(ledger: Ledger, studies: Mapping[str, Ledger] | None = None) -> list[Entry]:
    """Every readable state and imported run, by run and epoch.

    Args:
        ledger: of the current parameters.
        studies: others that share the store, by what to call them; theirs is what these parameters
            have no use for.
    """
    found = _entries(ledger)
    for name, study in (studies or {}).items():
        theirs = {(e.record.key, e.imported): e.wanted_for for e in _entries(study)}
        wanted = {key: f"{name}: {purpose}" for key, purpose in theirs.items() if purpose}
        found = [
            e if e.wanted_for else replace(e, wanted_for=wanted.get((e.record.key, e.imported)))
            for e in found
        ]
    return found


def _entries(ledger: Ledger) -> list[Entry]:
    wanted, passed = ledger.kept(), ledger.passed()
    records = (ledger.store.record(key) for key in ledger.store.listing())
    found = [Entry(r, _purpose(r, wanted, passed)) for r in records if r is not None]
    ends = {ledger.end_key(run): run.name for run in runs(ledger.params)}
    imported = (ledger.imports.record(key) for key in ledger.imports.listing())
    found += [Entry(r, ends.get(r.key), imported=True) for r in imported if r is not None]
    return sorted(found, key=lambda e: (e.record.run, e.record.epoch, e.imported))


def _purpose(record: Record, wanted: dict[str, str], passed: set[str]) -> str | None:
    if record.interim:
        return "a run under way" if record.key in passed else None
    return wanted.get(record.key)


def verify(store: Store) -> tuple[int, int]:
    """Check every state, imported run and measurement to its last byte.

    Damaged ones are set aside.

    Returns:
        How many are sound, and how many were set aside.
    """
    sound = aside = 0
    for key in sorted(store.listing()):
        if key not in store:
            continue  # an interim state that its run has left behind in the meantime
        record = store.record(key)
        if record is not None and store.tensors_file(record) is not None:
            sound += 1
        elif (store.damaged / f"{key}.json").exists():
            aside += 1
    measurements, imports = Measurements(store), Imports(store)
    found = [measurements.read(key) is not None for key in sorted(measurements.listing())]
    found += [imports.run(key) is not None for key in sorted(imports.listing())]
    return sound + sum(found), aside + len(found) - sum(found)


def garbage(ledger: Ledger, *studies: Ledger) -> list[Path]:
    """Files that neither the current parameters nor those of these studies have a use for.

    Removing them costs time, not results.

    States that no run of the plan keeps or can go on from, imported runs and measurements that
    nothing asks for, what was set aside, and, from an hour of age on, what killed processes left
    behind: tensors without a record, and half-written files.

    Raises:
        StoreError: a process trains just now, perhaps by other parameters than these.
    """
    found = _garbage(ledger)
    for study in studies:
        useless = set(_garbage(study))
        found = [path for path in found if path in useless]
    return found


def _garbage(ledger: Ledger) -> list[Path]:
    store = ledger.store
    if store.in_use():
        raise StoreError(
            f"{store.root}: a process is training and needs its states; "
            "wait until it is done, then run this again"
        )
    # Files before records, so that what another process saves in between is never garbage.
    files = [path for path in sorted(store.states.glob("*")) if path.suffix != SUFFIX]
    known = entries(ledger)
    kept, found = set[Path](), set[Path]()
    for entry in known:
        if not entry.imported:
            (found if entry.wanted_for is None else kept).update(store.files(entry.record))
    found &= set(files)
    found |= set(abandoned(store.states, set(files) - kept - found))
    for folder in (store.states, ledger.measurements.root, ledger.imports.root):
        found |= set(abandoned(folder, folder.glob(f".*{SUFFIX}")))
    for entry in known:
        if entry.imported and entry.wanted_for is None:
            found.add(ledger.imports.root / f"{entry.record.key}.json")
    return [*sorted(found), *_useless_measurements(ledger), *sorted(store.damaged.glob("*"))]


def _useless_measurements(ledger: Ledger) -> list[Path]:
    wanted = {key for run in runs(ledger.params) for key in ledger.keys(run)}
    wanted |= set(ledger.ceiling_keys().values())
    wanted |= {ledger.barrier_key(pair) for pair in ledger.pairs}
    return [p for p in sorted(ledger.measurements.root.glob("*.json")) if p.stem not in wanted]


def size_of(path: Path) -> int:
    """Bytes of a file; 0 where another process has removed it."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def remove(paths: list[Path]) -> None:
    """Remove files; records before tensors, so that no record is without them.

    Raises:
        StoreError: one cannot be removed.
    """
    for path in sorted(paths, key=lambda p: p.suffix != ".json"):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"{path}: cannot be removed ({error}); check that the folder can be written"
            ) from error
