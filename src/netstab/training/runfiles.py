"""A run's small files under `metrics/runs/`: git carries them, the report is made from them."""

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

from netstab import paths
from netstab.errors import NetstabError
from netstab.study.experiments import Run
from netstab.training.store import Record

HISTORY = "history.csv"
PROVENANCE = "provenance.json"


def write(run: Run, record: Record, data: dict[str, Any], *, root: Path) -> None:
    """Write history and provenance of a finished run, each replaced whole.

    Args:
        run: whose files.
        record: of its last state.
        data: `name`, `official` and `content_sha256` of the images.
        root: the project's folder.

    Raises:
        NetstabError: the folder cannot be written; what was there stays.
    """
    folder = root / paths.run_dir(run.name)
    provenance = {
        "run": run.name,
        "variant": run.variant.name,
        "seed": run.seed,
        "key": record.key,
        "numerics_version": record.inputs["numerics"],
        "epochs": record.epoch,
        "data": data,
        "segments": record.provenance,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / HISTORY, _csv(record))
        _replace(folder / PROVENANCE, json.dumps(provenance, indent=2) + "\n")
    except OSError as error:
        raise NetstabError(
            f"{folder}: cannot be written ({error}); free some room or mend the rights, "
            "then run the same command again: the finished run is in the store"
        ) from error


def _csv(record: Record) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(record.history[0]), lineterminator="\n")
    writer.writeheader()
    # repr of a float is the shortest text that reads back to the same bits.
    writer.writerows(record.history)
    return text.getvalue()


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
