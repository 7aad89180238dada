"""How a run's files are written: plain values in, files replaced whole."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from netstab.errors import NetstabError
from netstab.files import write_file
from netstab.results.schema import (
    FIELD,
    FIELD_COLUMNS,
    HISTORY,
    PROVENANCE,
    SHARPNESS,
    STABILITY,
    STABILITY_COLUMNS,
    Provenance,
    Row,
    history_columns,
)


def write_run(
    folder: Path,
    *,
    history: Iterable[Row],
    parts: Iterable[str],
    stability: Iterable[Mapping[str, Any]],
    field: Iterable[Mapping[str, Any]],
    sharpness: Mapping[str, Any],
    provenance: Provenance,
) -> None:
    """Write a run's files, each replaced whole.

    Args:
        folder: of the run.
        history: rows of `history_columns`.
        parts: of the network.
        stability: rows of `STABILITY_COLUMNS`; None where a measure has no value.
        field: rows of `FIELD_COLUMNS`, likewise.
        sharpness: content of a `SharpnessFile`.
        provenance: of the run.

    Raises:
        NetstabError: the folder cannot be written; what was there stays.
    """
    told = provenance.model_dump(by_alias=True, exclude_none=True)
    try:
        write_file(folder / HISTORY, _csv(history_columns(parts), history))
        write_file(folder / STABILITY, _csv(STABILITY_COLUMNS, stability))
        write_file(folder / FIELD, _csv(FIELD_COLUMNS, field))
        write_file(folder / SHARPNESS, json.dumps(sharpness, indent=1) + "\n")
        write_file(folder / PROVENANCE, json.dumps(told, indent=2) + "\n")
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
        write_file(path, json.dumps(content, indent=1) + "\n")
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
