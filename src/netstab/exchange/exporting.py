"""Finished runs as a piece that another machine can import: all but their weights."""

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from netstab.errors import StoreError
from netstab.exchange.piece import Measurement, Piece, fault_of
from netstab.results.exported import FinishedRun, Passed
from netstab.results.schema import TrainedSegment
from netstab.store.ledger import Ledger
from netstab.store.records import Record
from netstab.study.experiments import Run, Variant


def ready(ledger: Ledger, run: Run) -> bool:
    """Whether a run is finished, and everything is measured on it."""
    return ledger.finished(run) is not None and ledger.is_measured(run)


def piece(ledger: Ledger, chosen: Sequence[Run]) -> Piece:
    """The histories, measurements and provenance of finished runs.

    With the references of both seeds of `ceiling.seeds` goes what was found on them together, and
    with each run the barriers that start from its end, as far as they are measured.

    Args:
        ledger: of the study.
        chosen: the runs, each of them `ready`.

    Raises:
        StoreError: the images are not prepared, or no hash of a run's past is known.
    """
    if ledger.dataset.identity is None:
        raise StoreError("the images are not prepared here; prepare them: dvc repro data")
    measurements = {found.key: found for run in chosen for found in _measured(ledger, run)}
    measurements |= {found.key: found for found in _ceiling(ledger, chosen)}
    measurements |= {found.key: found for found in _barriers(ledger, chosen)}
    return Piece(
        data=ledger.dataset.identity,
        numerics=ledger.numerics,
        measures=dict(ledger.measures),
        runs=[_finished(ledger, run) for run in chosen],
        measurements=list(measurements.values()),
    )


def _finished(ledger: Ledger, run: Run) -> FinishedRun:
    record = ledger.finished(run)
    assert record is not None
    imported = ledger.imports.run(record.key)
    if imported is not None and record.key not in ledger.store:
        return imported
    way = list(_way(ledger, run))
    host = ledger.host(run).variant if ledger.is_view(run) else run.variant
    branches = [epoch for epoch in _boundaries(ledger, host) if epoch < record.epoch]
    if branches and not any(state.epoch < record.epoch for state in way):
        raise StoreError(
            f"{run.name}: the states at which it branches from other runs (epochs "
            f"{', '.join(map(str, branches))}) are not in the store, so its past cannot be "
            "compared with theirs. Train it again with an empty store (NETSTAB_STORE)"
        )
    return _checked(record, way)


def _checked(record: Record, way: list[Passed]) -> FinishedRun:
    try:
        return FinishedRun(
            key=record.key,
            run=record.run,
            epoch=record.epoch,
            inputs=record.inputs,
            history=record.history,
            provenance=[TrainedSegment.model_validate(row) for row in record.provenance],
            tensors_sha256=record.sha256,
            way=way,
        )
    except ValidationError as error:
        raise StoreError(
            f"{record.run}: its record in the store ({record.key[:12]}) cannot be exported: "
            f"{fault_of(error)}. Train it again with an empty store (NETSTAB_STORE)"
        ) from None


def _boundaries(ledger: Ledger, variant: Variant) -> list[int]:
    """Epochs at which a variant branches from others, and its end."""
    return sorted(s.end for s in ledger.tree.segments() if variant in s.variants)


def _way(ledger: Ledger, run: Run) -> Iterator[Passed]:
    """The stored states on a run's way; a view's way is its host's."""
    host = ledger.host(run) if ledger.is_view(run) else run
    for epoch in _boundaries(ledger, host.variant):
        key = ledger.key(host, epoch)
        record = ledger.store.record(key)
        if record is not None:
            yield Passed(epoch=epoch, key=key, sha256=record.sha256)


def _measured(ledger: Ledger, run: Run) -> Iterator[Measurement]:
    for asked in ledger.asked(run):
        yield _measurement(ledger, asked.key, asked.inputs)


def _ceiling(ledger: Ledger, chosen: Sequence[Run]) -> Iterator[Measurement]:
    for name, key in ledger.ceiling_keys().items():
        if key in ledger.measurements and all(run in chosen for run in ledger.compared(name)):
            yield _measurement(ledger, key, ledger.ceiling_inputs(name))


def _barriers(ledger: Ledger, chosen: Sequence[Run]) -> Iterator[Measurement]:
    for pair in ledger.pairs:
        key = ledger.barrier_key(pair)
        if pair.run in chosen and key in ledger.measurements:
            yield _measurement(ledger, key, ledger.barrier_inputs(pair))


def _measurement(ledger: Ledger, key: str, inputs: dict[str, Any]) -> Measurement:
    entry = ledger.measurements.sound(key, inputs["measure"])
    if entry is None:
        raise StoreError(f"measurement {key[:12]} cannot be used; run netstab sweep, then this")
    return Measurement(key=key, inputs=inputs, entry=entry)
