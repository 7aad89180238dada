"""What was measured on runs beside their histories, read and checked: stability and sharpness."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from netstab.results.schema import (
    CEILING_COLUMNS,
    CEILING_MEASURES,
    DISTANCES,
    STABILITY_COLUMNS,
    STABILITY_MEASURES,
    CeilingFile,
    SharpnessFile,
)
from netstab.study.measuring import NETWORK


class UnusableFileError(Exception):
    """A file that is missing or damaged; the message says which and why."""


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


def read_stability(path: Path, blocks: tuple[str, ...], epochs: int) -> pd.DataFrame:
    """`stability.csv` as a table of `STABILITY_COLUMNS`.

    Args:
        path: the file.
        blocks: names of the filter blocks.
        epochs: number of epochs of the run.

    Raises:
        UnusableFileError: missing or damaged.
    """
    columns = list(STABILITY_COLUMNS)
    table = read_table(path, columns, ("distance", "block"))
    if table.empty:  # a view measures nothing of its own
        kinds = {"epoch": "int64", **dict.fromkeys(STABILITY_MEASURES, "float64")}
        return table[columns].astype(kinds)
    problem = _stability_problem(table, (*blocks, NETWORK), epochs)
    if problem:
        raise UnusableFileError(f"{path} is damaged: {problem}")
    return table[columns].astype(dict.fromkeys(STABILITY_MEASURES, "float64"))


def _stability_problem(table: pd.DataFrame, blocks: tuple[str, ...], epochs: int) -> str:
    """What is wrong with a table of stability; empty if nothing is."""
    if table["epoch"].dtype.kind != "i" or not table["epoch"].between(0, epochs - 1).all():
        return f"epochs are not within 0 to {epochs - 1}"
    if not table["distance"].isin(DISTANCES).all():
        return f"distance is none of {', '.join(DISTANCES)}"
    if table["block"].isna().any():
        return "a row names no block"
    for column in STABILITY_MEASURES:
        # An empty column is read as floats.
        if table[column].dtype.kind not in "if" or np.isinf(table[column]).any():
            return f"{column} holds what is no finite number"
    when = ["epoch", "distance"]
    named = table[when].assign(block=table["block"].astype(str))
    wrong = (
        ~named["block"].isin(blocks)
        | named.duplicated()
        | (named.groupby(when)["block"].transform("size") != len(blocks))
    )
    if wrong.any():
        epoch, distance = table.loc[wrong, when].iloc[0]
        return f"epoch {epoch}, distance {distance} has not each of {', '.join(blocks)} once"
    return ""


def read_sharpness(path: Path, blocks: tuple[str, ...], epochs: int) -> SharpnessFile:
    """`sharpness.json`, checked.

    Raises:
        UnusableFileError: missing or damaged.
    """
    try:
        told = SharpnessFile.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UnusableFileError(f"{path} is missing") from None
    except (OSError, ValidationError) as error:
        raise UnusableFileError(f"{path} is damaged: {one_line(error)}") from error
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
        UnusableFileError: missing, damaged, or of other seeds.
    """
    if not seeds:
        return _ceiling_table([])
    try:
        told = CeilingFile.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UnusableFileError(f"{path} is missing") from None
    except (OSError, ValidationError) as error:
        raise UnusableFileError(f"{path} is damaged: {one_line(error)}") from error
    if told.seeds != seeds:
        raise UnusableFileError(
            f"{path} is stale: it compares the seeds {json.dumps(told.seeds)}, "
            f"not {json.dumps(seeds)}"
        )
    return _ceiling_table([row.model_dump() for row in told.comparisons])


def _ceiling_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(CEILING_COLUMNS))
    return table.astype({"epoch": "int64", **dict.fromkeys(CEILING_MEASURES, "float64")})


def one_line(error: Exception) -> str:
    """What an exception says, short and without line breaks."""
    return " ".join(str(error).split())[:200]


def few(names: list[str]) -> str:
    """Names in a row; of more than four the first and how many more."""
    return ", ".join(names) if len(names) <= 4 else f"{names[0]} and {len(names) - 1} more"
