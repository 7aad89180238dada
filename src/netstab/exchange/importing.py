"""Pieces of a study, trained elsewhere, into the store: all of them, or nothing.

Runs are joined only where they come to the same bits wherever they share a past: what is compared
is the hashes of the states at which they branch. Everything is checked before anything is written.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from netstab.errors import StoreError
from netstab.exchange import piecefile
from netstab.exchange.piece import Piece
from netstab.results.exported import FinishedRun
from netstab.results.schema import TrainedSegment
from netstab.store.ledger import Ledger

HERE = "the store"
REMEDY = (
    "Train every piece on one kind of device and with the same torch version; on CUDA with "
    "deterministic: true under train in params.yaml, on a CPU with the same number of threads "
    "under runtime and the same instruction sets (ATEN_CPU_CAPABILITY and ONEDNN_MAX_CPU_ISA can "
    "lower them). Nothing was imported"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an import came to.

    Attributes:
        runs: of all files.
        new: keys of those that were not there before.
        measurements: how many were not there before.
    """

    runs: list[FinishedRun]
    new: set[str]
    measurements: int


@dataclass(frozen=True, slots=True)
class _Seen:
    """A state whose hash is known: from where, and as whose."""

    sha256: str
    source: str
    run: str
    trained: str


def import_files(ledger: Ledger, files: Sequence[Path]) -> Outcome:
    """Import files of pieces, all of them or none.

    Args:
        ledger: of the study; its parameters need not ask for the runs.
        files: that `piecefile.write` wrote.

    Raises:
        StoreError: a file cannot be used, is of other images, or its past is not the same bits as
            another one's or the store's; or the store cannot be written. Nothing was imported.
    """
    pieces = {str(path): piecefile.read(path) for path in files}
    for name, piece in pieces.items():
        _check_kind(ledger, name, piece)
    with ledger.store.lock("import", "another process imports; waiting for it"):
        _check_pasts(ledger, pieces)
        return _write(ledger, list(pieces.values()))


def _check_kind(ledger: Ledger, name: str, piece: Piece) -> None:
    if ledger.dataset.identity is None:
        raise StoreError(
            "data/manifest.json: is missing or damaged, so it is not known which images are here. "
            "Prepare them first: dvc repro data"
        )
    if piece.data != ledger.dataset.identity:
        raise StoreError(
            f"{name}: was trained on other images: their content_sha256 is {piece.data[:12]}..., "
            f"in data/manifest.json it is {ledger.dataset.identity[:12]}.... Other versions of the "
            "libraries may decode JPEG otherwise: prepare them alike. Nothing was imported"
        )


def _check_pasts(ledger: Ledger, pieces: dict[str, Piece]) -> None:
    """Refuse pieces whose shared states are not the same bits, among them and with the store."""
    stored = [run for key in ledger.imports.listing() if (run := ledger.imports.run(key))]
    known = {key: seen for run in stored for key, seen in _states(run, HERE)}
    joined = [(run, HERE) for run in stored]
    for name, piece in pieces.items():
        for run in piece.runs:
            for key, seen in _states(run, name):
                other = known.get(key) or _in_store(ledger, key) or seen
                if other.sha256 != seen.sha256:
                    raise StoreError(_other_bits(run, key, seen, other))
                known.setdefault(key, seen)
            _check_comparable(run, name, joined)
            joined.append((run, name))


def _check_comparable(
    run: FinishedRun, name: str, joined: Iterable[tuple[FinishedRun, str]]
) -> None:
    """Refuse a run that shares its past with another one, but no state to compare them by."""
    for other, source in joined:
        shared = run.shared_with(other)
        if shared and not run.hashes.keys() & other.hashes.keys():
            raise StoreError(
                f"{name}: {run.run} and {other.run} (in {source}) share their first {shared} "
                "epochs, and have no state in common that shows whether these are the same bits. "
                "Export both with the same params.yaml. Nothing was imported"
            )


def _states(run: FinishedRun, source: str) -> Iterator[tuple[str, _Seen]]:
    for key, sha256 in run.hashes.items():
        yield key, _Seen(sha256, source, run.run, run.trained(key).where)


def _in_store(ledger: Ledger, key: str) -> _Seen | None:
    record = ledger.store.record(key) if key in ledger.store else None
    if record is None:
        return None
    trained = TrainedSegment.model_validate(record.provenance[-1])
    return _Seen(record.sha256, HERE, record.run, trained.where)


def _other_bits(run: FinishedRun, key: str, seen: _Seen, other: _Seen) -> str:
    epoch = next((state.epoch for state in run.way if state.key == key), run.epoch)
    return (
        f"{seen.source}: {run.run} is not joined: its state at epoch {epoch} ({key[:12]}) has "
        f"other bits than the same state in {other.source}\n"
        f"  {seen.source}: {seen.sha256[:12]}, {seen.run}, {seen.trained}\n"
        f"  {other.source}: {other.sha256[:12]}, {other.run}, {other.trained}\n{REMEDY}"
    )


def _write(ledger: Ledger, pieces: list[Piece]) -> Outcome:
    """Write what is not there; runs last, and where anything fails nothing stays."""
    runs = {run.key: run for piece in pieces for run in piece.runs}
    found = {m.key: m for piece in pieces for m in piece.measurements}
    new_runs = [run for run in runs.values() if not _is_here(ledger, run.key)]
    new_found = [m for m in found.values() if m.key not in ledger.measurements]
    with ExitStack() as undo:
        for measurement in new_found:
            undo.callback(ledger.measurements.remove, measurement.key)
            ledger.measurements.write(measurement.key, measurement.inputs, measurement.entry)
        for run in new_runs:
            undo.callback(ledger.imports.remove, run.key)
            entry = run.model_dump(mode="json", by_alias=True)
            ledger.imports.write(run.key, run.inputs, entry)
        undo.pop_all()
    return Outcome(list(runs.values()), {run.key for run in new_runs}, len(new_found))


def _is_here(ledger: Ledger, key: str) -> bool:
    record = ledger.store.record(key) if key in ledger.store else None
    return key in ledger.imports or (record is not None and not record.interim)
