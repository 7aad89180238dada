"""A run's small files under `metrics/runs/`: git carries them, the report is made from them."""

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from netstab import paths
from netstab.data.manifest import Manifest
from netstab.errors import NetstabError
from netstab.exchange.piece import STABILITY_COLUMNS, measurement_fault
from netstab.store.ledger import Ledger
from netstab.store.measurements import Entry
from netstab.store.states import Record
from netstab.study.experiments import Run

HISTORY = "history.csv"
STABILITY = "stability.csv"
SHARPNESS = "sharpness.json"
PROVENANCE = "provenance.json"


def write(ledger: Ledger, run: Run, record: Record, data: dict[str, Any], *, root: Path) -> None:
    """Write history, measurements and provenance of a finished run, each replaced whole.

    Args:
        ledger: has the run's measurements.
        run: whose files.
        record: of its last state.
        data: `name`, `official` and `content_sha256` of the images.
        root: the project's folder.

    Raises:
        NetstabError: the folder cannot be written; what was there stays.
    """
    folder = root / paths.run_dir(run.name)
    drifts = {
        at: _entry(ledger, key, "stability") for at, key in ledger.stability_keys(run).items()
    }
    curvatures = {
        at: _entry(ledger, key, "sharpness") for at, key in ledger.sharpness_keys(run).items()
    }
    entries = [*drifts.values(), *curvatures.values()]
    provenance = {
        "run": run.name,
        "variant": run.variant.name,
        "seed": run.seed,
        "key": record.key,
        "numerics_version": ledger.numerics,
        "epochs": record.epoch,
        "data": data,
        "segments": record.provenance,
        "measurements": _measuring(entries),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / HISTORY, _csv(list(record.history[0]), record.history))
        _replace(folder / STABILITY, _csv(STABILITY_COLUMNS, _stability_rows(drifts)))
        _replace(folder / SHARPNESS, json.dumps(_sharpness(curvatures), indent=1) + "\n")
        _replace(folder / PROVENANCE, json.dumps(provenance, indent=2) + "\n")
    except OSError as error:
        raise NetstabError(
            f"{folder}: cannot be written ({error}); free some room or mend the rights, "
            "then run the same command again: the finished run is in the store"
        ) from error


def complete(ledger: Ledger, run: Run) -> Record | None:
    """The record of a run's end, if it is trained and all measurements are there and sound.

    A damaged measurement is set aside by this, and is missing from then on.
    """
    drifts, curvatures = ledger.stability_keys(run), ledger.sharpness_keys(run)
    for measure, keys in (("stability", drifts.values()), ("sharpness", curvatures.values())):
        for key in keys:
            sound_entry(ledger, key, measure)
    record = ledger.finished(run)
    return None if record is None or record.interim or any(ledger.unmeasured(run)) else record


def images(manifest: Manifest) -> dict[str, Any]:
    """What a run's provenance says of the images."""
    return {
        "name": manifest.name,
        "official": manifest.official,
        "content_sha256": manifest.content_sha256,
    }


def ceiling(ledger: Ledger) -> dict[str, Any] | None:
    """Content of metrics/ceiling.json; None where the notebook lacks a comparison."""
    keys = ledger.ceiling_keys().values()
    entries = [e for key in keys if (e := sound_entry(ledger, key, "ceiling")) is not None]
    if len(entries) < len(keys):
        return None
    rows = [row for entry in entries for row in entry["rows"]]
    return {"seeds": list(ledger.params.ceiling_pair), "comparisons": rows}


def write_json(path: Path, content: object) -> None:
    """Write a small file of results, replaced whole.

    Raises:
        NetstabError: it cannot be written; what was there stays.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, json.dumps(content, indent=1) + "\n")
    except OSError as error:
        raise NetstabError(
            f"{path}: cannot be written ({error}); free some room or mend the rights, "
            "then run the same command again"
        ) from error


def sound_entry(ledger: Ledger, key: str, measure: str) -> Entry | None:
    """A measurement, or None where it is missing, or damaged and set aside by this."""
    entry = ledger.notebook.read(key)
    if entry is not None and measurement_fault(measure, entry):
        ledger.notebook.set_aside(key)
        return None
    return entry


def _entry(ledger: Ledger, key: str, measure: str) -> Entry:
    entry = sound_entry(ledger, key, measure)
    if entry is None:
        # It was there a moment ago, or it was damaged and is set aside by now.
        raise NetstabError(f"measurement {key[:12]} cannot be used; run the same command again")
    return entry


def _stability_rows(entries: Mapping[int, Entry]) -> Iterator[dict[str, Any]]:
    for epoch, entry in entries.items():
        for row in entry["rows"]:
            yield {"epoch": epoch, **row}


def _sharpness(entries: Mapping[tuple[int, str], Entry]) -> dict[str, Any]:
    protocols = [entry["protocol"] for entry in entries.values()]
    rows = [
        {"epoch": epoch, "block": scope, **{k: v for k, v in row.items() if k != "scope"}}
        for (epoch, scope), entry in entries.items()
        for row in entry["rows"]
    ]
    return {"protocol": protocols[0] if protocols else {}, "measurements": rows}


def _measuring(entries: list[Entry]) -> list[dict[str, Any]]:
    """Where the measurements were taken, and the seconds that it took: a row a device."""
    groups: dict[tuple[str, str], float] = {}
    for told in (entry["provenance"] for entry in entries):
        where = (told["device"], told["torch"])
        groups[where] = groups.get(where, 0.0) + told["seconds"]
    return [
        {"device": device, "torch": torch, "seconds": seconds}
        for (device, torch), seconds in groups.items()
    ]


def _csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=columns, lineterminator="\n")
    writer.writeheader()
    # repr of a float is the shortest text that reads back to the same bits; None is empty.
    writer.writerows(rows)
    return text.getvalue()


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
