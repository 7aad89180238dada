"""What was measured on runs beside their histories, read and checked: stability and sharpness."""

import json
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from netstab.study.measuring import NETWORK

DISTANCES = ("step", "epoch", "floor")
"""What lies between two states that are compared: a step, an epoch, or nothing at all."""

STABILITY = (
    "forward_change",
    "forward_cosine",
    "forward_cka",
    "backward_change",
    "backward_cosine",
    "backward_cka",
    "path",
    "changed_pct",
    "kl_nats",
)
"""Measures in `stability.csv`; NaN where one has no meaning or cannot be computed."""

CEILING = ("forward_cka", "backward_cka", "changed_pct", "kl_nats")
"""Measures in `ceiling.json`."""


class UnusableFileError(Exception):
    """A file that is missing or damaged; the message says which and why."""


class Curvature(BaseModel):
    """Sharpness of the training loss at the start of an epoch, of the network or of one block."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    epoch: Annotated[int, Field(ge=0)]
    """The number of epochs of the run stands for its end."""
    block: str
    eigenvalue: float | None
    """Largest eigenvalue of the Hessian; None where it did not converge."""
    lower_bound: float | None
    """Largest vector's quotient, converged or not; None where curvature is not finite."""
    residual: float | None
    """None where the eigenvalue is exactly zero."""
    products: int
    trace: float | None
    trace_se: float | None
    adaptive_eigenvalue: float | None
    adaptive_lower_bound: float | None
    adaptive_residual: float | None
    adaptive_products: int
    adaptive_trace: float | None
    adaptive_trace_se: float | None


class Sharpness(BaseModel):
    """`sharpness.json`: how sharpness was measured, and what came out."""

    model_config = ConfigDict(frozen=True)

    protocol: dict[str, Any]
    measurements: tuple[Curvature, ...]

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        seen: set[tuple[int, str]] = set()
        for found in self.measurements:
            if (found.epoch, found.block) in seen:
                raise ValueError(f"epoch {found.epoch}, {found.block} is there twice")
            seen.add((found.epoch, found.block))
        return self

    def at(self, epoch: int, block: str = NETWORK) -> Curvature | None:
        """The measurement of a block (default: the whole network) at the start of an epoch."""
        found = (m for m in self.measurements if (m.epoch, m.block) == (epoch, block))
        return next(found, None)

    def of(self, block: str = NETWORK) -> tuple[Curvature, ...]:
        """The measurements of a block (default: the whole network) over epochs."""
        found = (m for m in self.measurements if m.block == block)
        return tuple(sorted(found, key=lambda m: m.epoch))


def read_table(path: Path, columns: list[str], names: tuple[str, ...] = ()) -> pd.DataFrame:
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
    """`stability.csv` as a table: epoch, distance, block and `STABILITY`.

    Args:
        path: the file.
        blocks: names of the filter blocks.
        epochs: number of epochs of the run.

    Raises:
        UnusableFileError: missing or damaged.
    """
    columns = ["epoch", "distance", "block", *STABILITY]
    table = read_table(path, columns, ("distance", "block"))
    if table.empty:  # a view measures nothing of its own
        kinds = {"epoch": "int64", **dict.fromkeys(STABILITY, "float64")}
        return table[columns].astype(kinds)
    problem = _stability_problem(table, (*blocks, NETWORK), epochs)
    if problem:
        raise UnusableFileError(f"{path} is damaged: {problem}")
    return table[columns].astype(dict.fromkeys(STABILITY, "float64"))


def _stability_problem(table: pd.DataFrame, blocks: tuple[str, ...], epochs: int) -> str:
    """What is wrong with a table of stability; empty if nothing is."""
    if table["epoch"].dtype.kind != "i" or not table["epoch"].between(0, epochs - 1).all():
        return f"epochs are not within 0 to {epochs - 1}"
    if not table["distance"].isin(DISTANCES).all():
        return f"distance is none of {', '.join(DISTANCES)}"
    if table["block"].isna().any():
        return "a row names no block"
    for column in STABILITY:
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


def read_sharpness(path: Path, blocks: tuple[str, ...], epochs: int) -> Sharpness:
    """`sharpness.json`, checked.

    Raises:
        UnusableFileError: missing or damaged.
    """
    try:
        told = Sharpness.model_validate_json(path.read_bytes())
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


class _Comparison(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    variant: str
    epoch: int
    block: str
    forward_cka: float | None
    backward_cka: float | None
    changed_pct: float | None
    kl_nats: float | None


class _Ceiling(BaseModel):
    seeds: tuple[int, ...]
    comparisons: tuple[_Comparison, ...]


def read_ceiling(path: Path, seeds: tuple[int, ...]) -> pd.DataFrame:
    """`ceiling.json` as a table: variant, epoch, block and `CEILING`; two seeds compared.

    Args:
        path: the file; it need not be there where no seeds are asked for.
        seeds: that the parameters ask for.

    Raises:
        UnusableFileError: missing, damaged, or of other seeds.
    """
    columns = ["variant", "epoch", "block", *CEILING]
    if not seeds:
        return _ceiling_table([], columns)
    try:
        told = _Ceiling.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UnusableFileError(f"{path} is missing") from None
    except (OSError, ValidationError) as error:
        raise UnusableFileError(f"{path} is damaged: {one_line(error)}") from error
    if told.seeds != seeds:
        raise UnusableFileError(
            f"{path} is stale: it compares the seeds {json.dumps(told.seeds)}, "
            f"not {json.dumps(seeds)}"
        )
    return _ceiling_table([row.model_dump() for row in told.comparisons], columns)


def _ceiling_table(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"epoch": "int64", **dict.fromkeys(CEILING, "float64")})


def one_line(error: Exception) -> str:
    """What an exception says, short and without line breaks."""
    return " ".join(str(error).split())[:200]


def few(names: list[str]) -> str:
    """Names in a row; of more than four the first and how many more."""
    return ", ".join(names) if len(names) <= 4 else f"{names[0]} and {len(names) - 1} more"
