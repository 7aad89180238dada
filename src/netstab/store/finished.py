"""Finished runs: whether the store has all of one, and what it has, as the files of the run."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from netstab import paths
from netstab.data.manifest import Manifest
from netstab.errors import DivergedError, NetstabError, TrainingError
from netstab.results.schema import (
    Barrier,
    BarriersFile,
    MeasuringTime,
    Origin,
    Provenance,
    TrainedSegment,
    Unmeasured,
)
from netstab.results.write import write_run
from netstab.store import ahead
from netstab.store.documents import Entry
from netstab.store.ledger import Ledger, open_ledger
from netstab.store.records import Record
from netstab.store.wanted import Asked
from netstab.study.experiments import Run, runs


def complete(ledger: Ledger, run: Run) -> Record | None:
    """The record of a run's end, if it is trained and all measurements are there and sound.

    A damaged measurement is set aside by this, and is missing from then on.
    """
    for asked in ledger.asked(run):
        ledger.measurements.sound(asked.key, asked.measure)
    return ledger.finished(run) if ledger.is_measured(run) else None


def write(
    ledger: Ledger, run: Run, found: Record | DivergedError, data: Origin, *, root: Path
) -> None:
    """Write history, measurements and provenance of a run, each replaced whole.

    One that could not be trained to its end says so, and has no measurements. Its stage is done by
    that, so that the report of the other runs can be made.

    Args:
        ledger: has the run's measurements.
        run: whose files.
        found: record of its last state; or the epochs before, and why there are no more.
        data: the images.
        root: the project's folder.

    Raises:
        NetstabError: a measurement cannot be used, or the folder cannot be written; what was there
            stays.
    """
    taken: list[tuple[Asked, Entry]] = []
    failure = None
    segments: Sequence[Mapping[str, Any]]
    if isinstance(found, Record):
        segments = found.provenance
        taken = [(asked, _entry(ledger, asked)) for asked in ledger.asked(run)]
    else:
        segments, failure = found.segments, found.why
    provenance = Provenance(
        run=run.name,
        variant=run.variant.name,
        seed=run.seed,
        key=ledger.end_key(run),
        numerics_version=ledger.numerics,
        epochs=len(found.history),
        data=data,
        segments=tuple(map(TrainedSegment.model_validate, segments)),
        measurements=_measuring([entry for _, entry in taken]),
        failure=failure,
    )
    write_run(
        root / paths.run_dir(run.name),
        history=map(dict, found.history),
        parts=ledger.params.parts,
        stability=_rows(taken, "stability"),
        field=_rows(taken, "field"),
        sharpness=_sharpness(taken),
        provenance=provenance,
    )


def collect_ahead(ledger: Ledger, run: Run, data: Origin) -> None:
    """Collect the other finished runs of a run's experiment for their stages; see `ahead`."""
    if ledger.params.model.is_own:
        return  # its code may lie anywhere
    for other in runs(ledger.params):
        if other == run or other.variant.experiment != run.variant.experiment:
            continue
        record = complete(ledger, other)
        if record is None or record.key not in ledger.store:
            continue
        # What fails here fails in the run's own stage, which is the one to tell of it.
        state, *_ = ledger.store.files(record)
        with suppress(NetstabError, OSError), ahead.place(other.name, state.absolute()) as new:
            write(ledger, other, record, data, root=new)


def refuse_outdated(ledger: Ledger, run: Run) -> None:
    """Refuse to write what the checkout's parameters no longer ask for.

    A stage whose `dvc` was killed lives on. By its end params.yaml may be that of another
    experiment, whose results it would replace by its own.

    Args:
        ledger: of the parameters that the run was trained by.
        run: that is to be written.

    Raises:
        TrainingError: the parameters or the images are other ones now.
    """
    now = open_ledger(Path(), ledger.store)
    if run not in runs(now.params) or now.keys(run) != ledger.keys(run):
        raise TrainingError(
            f"{run.name}: params.yaml or the images have changed while it was trained, so its "
            f"files in {paths.run_dir(run.name)} stay as they are. What was trained is in the "
            "store; run dvc repro"
        )


def images(manifest: Manifest) -> Origin:
    """What a run's provenance says of the images."""
    return Origin(
        name=manifest.name,
        official=manifest.official,
        content_sha256=manifest.content_sha256,
    )


def ceiling(ledger: Ledger) -> dict[str, Any] | None:
    """Content of metrics/ceiling.json; None where a comparison is not measured."""
    keys = ledger.ceiling_keys().values()
    entries = [e for key in keys if (e := ledger.measurements.sound(key, "ceiling")) is not None]
    if len(entries) < len(keys):
        return None
    rows = [row for entry in entries for row in entry["rows"]]
    return {"seeds": list(ledger.params.ceiling_pair), "comparisons": rows}


def barriers(ledger: Ledger, before: Iterable[Barrier] = (), why: str = "") -> BarriersFile:
    """Content of metrics/barriers.json: what is measured, and what is not with the reason.

    Args:
        ledger: of the study.
        before: barriers that the file has so far. One whose states and settings are those of today
            stays, wherever it was measured.
        why: those that could be measured here are not; empty where none could.
    """
    _, lacking = ledger.unmeasured_barriers()
    kept = {row.key: row for row in before}
    found, missing = [], []
    for pair in ledger.pairs:
        key, run = ledger.barrier_key(pair), pair.run.name
        entry = ledger.measurements.sound(key, "barrier")
        if entry is not None:
            losses = tuple(row["loss"] for row in entry["rows"])
            found.append(
                Barrier(
                    run=run,
                    against=pair.against,
                    epoch=pair.epoch,
                    key=key,
                    losses=losses,
                )
            )
        elif key in kept:
            found.append(kept[key].model_copy(update={"run": run}))
        else:
            reason = lacking.get(pair, why or "it was damaged; run the same command again")
            missing.append(Unmeasured(run=run, against=pair.against, why=reason))
    return BarriersFile(
        measures=ledger.measures["barrier"], barriers=tuple(found), missing=tuple(missing)
    )


def _entry(ledger: Ledger, asked: Asked) -> Entry:
    key = asked.key
    entry = ledger.measurements.sound(key, asked.measure)
    if entry is None:
        # It was there a moment ago, or it was damaged and is set aside by now.
        raise NetstabError(f"measurement {key[:12]} cannot be used; run the same command again")
    return entry


def _rows(taken: list[tuple[Asked, Entry]], measure: str) -> Iterator[dict[str, Any]]:
    for asked, entry in taken:
        for row in entry["rows"] if asked.measure == measure else ():
            yield {"epoch": asked.epoch, **row}


def _sharpness(taken: list[tuple[Asked, Entry]]) -> dict[str, Any]:
    found = [(asked, entry) for asked, entry in taken if asked.measure == "sharpness"]
    rows = [
        {"epoch": asked.epoch, "block": asked.scope}
        | {name: value for name, value in row.items() if name != "scope"}
        for asked, entry in found
        for row in entry["rows"]
    ]
    return {"protocol": found[0][1]["protocol"] if found else {}, "measurements": rows}


def _measuring(entries: list[Entry]) -> tuple[MeasuringTime, ...]:
    """Where the measurements were taken, and the seconds that it took: a row a device."""
    groups: dict[tuple[str, str], float] = {}
    for told in (entry["provenance"] for entry in entries):
        where = (told["device"], told["torch"])
        groups[where] = groups.get(where, 0.0) + told["seconds"]
    return tuple(
        MeasuringTime(device=device, torch=torch, seconds=seconds)
        for (device, torch), seconds in groups.items()
    )
