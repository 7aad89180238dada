"""How a run's files are written: plain values in, files replaced whole."""

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from netstab.errors import NetstabError
from netstab.results.schema import (
    HISTORY,
    HISTORY_COLUMNS,
    PROVENANCE,
    SHARPNESS,
    STABILITY,
    STABILITY_COLUMNS,
    Provenance,
    Row,
)


def write_run(
    folder: Path,
    *,
    history: Iterable[Row],
    stability: Iterable[Mapping[str, Any]],
    sharpness: Mapping[str, Any],
    provenance: Provenance,
) -> None:
    """Write a run's files, each replaced whole.

    Args:
        folder: of the run.
        history: rows of `HISTORY_COLUMNS`.
        stability: rows of `STABILITY_COLUMNS`; None where a measure has no value.
        sharpness: content of a `SharpnessFile`.
        provenance: of the run.

    Raises:
        NetstabError: the folder cannot be written; what was there stays.
    """
    told = provenance.model_dump(by_alias=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / HISTORY, _csv(HISTORY_COLUMNS, history))
        _replace(folder / STABILITY, _csv(STABILITY_COLUMNS, stability))
        _replace(folder / SHARPNESS, json.dumps(sharpness, indent=1) + "\n")
        _replace(folder / PROVENANCE, json.dumps(told, indent=2) + "\n")
    except OSError as error:
        raise NetstabError(
            f"{folder}: cannot be written ({error}); free some room or mend the rights, "
            "then run the same command again: the finished run is in the store"
        ) from error


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
