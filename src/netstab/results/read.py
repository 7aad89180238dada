"""How a run's files are read: checked, and refused by name where they are missing or damaged."""

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from pydantic import BaseModel, ValidationError

from netstab.results.schema import (
    CEILING_COLUMNS,
    CEILING_MEASURES,
    DISTANCES,
    FIELD,
    FIELD_COLUMNS,
    MEASURES,
    STABILITY,
    STABILITY_COLUMNS,
    CeilingFile,
    SharpnessFile,
    history_columns,
)
from netstab.study.measuring import NETWORK
from netstab.study.schedule import Frozen, Schedule
from netstab.text import few, one_line

Model = TypeVar("Model", bound=BaseModel)


KEYS = ("epoch", "distance", "block")
"""Columns that say of what a row of shifts is."""


class UnusableFileError(Exception):
    """A file that is missing or damaged; the message says which and why."""


class FailedRunError(UnusableFileError):
    """A run that could not be trained; the message says why and what to do."""


def read_table(path: Path, columns: Sequence[str], names: tuple[str, ...] = ()) -> pd.DataFrame:
    """A CSV file as a table that has at least these columns.

    Args:
        path: the file.
        columns: that it must have.
        names: those of them that hold text, which may be any: `NA` and `null` name blocks too.

    Raises:
        UnusableFileError: missing, not to be read, or without one of the columns.
    """
    missing = {column: [""] if column in names else ["", "nan"] for column in columns}
    try:
        table = pd.read_csv(
            path, dtype=dict.fromkeys(names, str), keep_default_na=False, na_values=missing
        )
    except FileNotFoundError:
        raise UnusableFileError(f"{path} is missing") from None
    except (OSError, ValueError) as error:
        raise UnusableFileError(f"{path} is damaged: {one_line(error)}") from error
    absent = [column for column in columns if column not in table]
    if absent:
        raise UnusableFileError(f"{path} is damaged: no column {few(absent)}")
    return table


def read_history(path: Path, expected: Schedule) -> pd.DataFrame:
    """`history.csv` as a table of `MEASURES`, a row an epoch, held against the schedule.

    Args:
        path: the file.
        expected: schedule of the run.

    Raises:
        UnusableFileError: missing, damaged, or of a run with another schedule.
    """
    parts = expected.phases[0].parts
    columns = history_columns(parts)
    table = read_table(path, columns)
    for column in columns:
        if table[column].dtype.kind not in "iuf" or not np.isfinite(table[column].to_numpy()).all():
            raise UnusableFileError(f"{path} is damaged: {column} holds what is no finite number")
    if table["epoch"].tolist() != list(range(expected.epochs)):
        raise UnusableFileError(
            f"{path} is damaged or stale: epochs are not 0 to {expected.epochs - 1}"
        )
    for part in parts:
        wanted = [p.setting(part) for p in expected.phases for _ in range(p.start, p.end)]
        rates = [0.0 if isinstance(setting, Frozen) else setting for setting in wanted]
        frozen = [isinstance(setting, Frozen) for setting in wanted]
        other = ~np.isclose(table[f"lr_{part}"], rates, rtol=1e-6, atol=1e-12)
        other |= table[f"frozen_{part}"].to_numpy() != frozen
        if other.any():
            raise UnusableFileError(
                f"{path} is stale: from epoch {int(other.argmax())} on, {part} was not trained as "
                "params.yaml says"
            )
    return table[list(MEASURES)].astype(float)


def read_shifts(path: Path, blocks: tuple[str, ...], epochs: int) -> pd.DataFrame:
    """What shifts over a distance, from epochs on: a row a block and the network.

    Args:
        path: a `stability.csv` or `field.csv`, which has the columns of its name.
        blocks: names of the filter blocks.
        epochs: number of epochs of the run.

    Raises:
        UnusableFileError: missing or damaged.
    """
    columns = {STABILITY: STABILITY_COLUMNS, FIELD: FIELD_COLUMNS}[path.name]
    table = read_table(path, columns, ("distance", "block"))
    measures = [column for column in columns if column not in KEYS]
    kinds = dict.fromkeys(measures, "float64")
    if table.empty:  # a view measures nothing of its own
        return table[list(columns)].astype({"epoch": "int64", **kinds})
    problem = _problem_of_shifts(table, measures, (*blocks, NETWORK), epochs)
    if problem:
        raise UnusableFileError(f"{path} is damaged: {problem}")
    whole = {name: kind for name, kind in kinds.items() if table[name].dtype.kind == "i"}
    return table[list(columns)].astype(whole) if whole else table[list(columns)]


def _problem_of_shifts(
    table: pd.DataFrame, measures: Sequence[str], blocks: tuple[str, ...], epochs: int
) -> str:
    """What is wrong with such a table; empty if nothing is."""
    if table["epoch"].dtype.kind != "i" or not table["epoch"].between(0, epochs - 1).all():
        return f"epochs are not within 0 to {epochs - 1}"
    if not table["distance"].isin(DISTANCES).all():
        return f"distance is none of {', '.join(DISTANCES)}"
    if table["block"].isna().any():
        return "a row names no block"
    for column in measures:
        # An empty column is read as floats.
        if table[column].dtype.kind not in "if" or np.isinf(table[column].to_numpy()).any():
            return f"{column} holds what is no finite number"
    named = defaultdict(list)
    for epoch, distance, block in zip(*(table[key].tolist() for key in KEYS), strict=True):
        named[epoch, distance].append(block)
    every = sorted(blocks)
    for (epoch, distance), found in named.items():
        if sorted(found) != every:
            return f"epoch {epoch}, distance {distance} has not each of {', '.join(blocks)} once"
    return ""


def read_sharpness(path: Path, blocks: tuple[str, ...], epochs: int) -> SharpnessFile:
    """`sharpness.json`, checked.

    Raises:
        UnusableFileError: missing or damaged.
    """
    told = read_json(path, SharpnessFile)
    for found in told.measurements:
        if found.block not in (*blocks, NETWORK):
            raise UnusableFileError(f"{path} is stale: {found.block} is no block")
        if found.epoch > epochs:
            raise UnusableFileError(f"{path} is stale: epoch {found.epoch} is past the end")
    return told


def read_ceiling(path: Path, seeds: tuple[int, ...]) -> pd.DataFrame:
    """`ceiling.json` as a table of `CEILING_COLUMNS`; two seeds compared.

    Args:
        path: the file; it need not be there where no seeds are asked for.
        seeds: that the parameters ask for.

    Raises:
        FailedRunError: a run that is compared could not be trained.
        UnusableFileError: missing, damaged, or of other seeds.
    """
    if not seeds:
        return _ceiling_table([])
    told = read_json(path, CeilingFile)
    if told.seeds != seeds:
        raise UnusableFileError(
            f"{path} is stale: it compares the seeds {json.dumps(told.seeds)}, "
            f"not {json.dumps(seeds)}"
        )
    if told.failure is not None:
        raise FailedRunError(told.failure)
    return _ceiling_table([row.model_dump() for row in told.comparisons])


def _ceiling_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(CEILING_COLUMNS))
    return table.astype({"epoch": "int64", **dict.fromkeys(CEILING_MEASURES, "float64")})


def read_json(path: Path, model: type[Model]) -> Model:
    """A file such as `provenance.json` as its model.

    Raises:
        UnusableFileError: missing or damaged.
    """
    try:
        return model.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UnusableFileError(f"{path} is missing") from None
    except (OSError, ValidationError) as error:
        raise UnusableFileError(f"{path} is damaged: {one_line(error)}") from error
