"""The claims of a report as its files have them, read and checked for the terminal."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pandas as pd
from pydantic import BaseModel, ValidationError, model_validator

from netstab import paths
from netstab.errors import NetstabError
from netstab.evidence.claims.judge import CLAIMS, PART_COLUMNS
from netstab.evidence.claims.judgement import Verdict
from netstab.text import one_line


class _Effect(BaseModel):
    """What an entry of `claims.json` and a row of `claims.csv` have in common."""

    verdict: Verdict
    n: int
    effect: float | None
    low: float | None
    high: float | None
    unit: str | None

    @model_validator(mode="after")
    def _has_both_ends_or_none(self) -> Self:
        if (self.low is None) != (self.high is None):
            raise ValueError("an interval has one end")
        return self


class _Claim(_Effect):
    p_holm: float | None


class _Part(_Effect):
    claim: str
    part: str | None
    wanted: str | None
    p: float | None
    note: str | None


Figures = Mapping[str, Any]
"""An entry of `claims.json`, or a row of `claims.csv`."""


def read_claims(path: Path) -> dict[str, Figures]:
    """Every claim's entry by its id, from `claims.json`.

    Raises:
        NetstabError: it is not there or cannot be read; with the remedy.
    """
    try:
        content = json.loads(path.read_bytes())
        entries: dict[str, Figures] = {
            name: _Claim.model_validate(content[name]).model_dump()
            for name, claim in CLAIMS.items()
            if name in content or not claim.asked
        }
    except FileNotFoundError:
        raise NetstabError(_absent(path)) from None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise NetstabError(_unreadable(path, error)) from error
    return entries


def read_parts(path: Path) -> list[Figures]:
    """Every row of `claims.csv`; see `read_claims`."""
    try:
        table = pd.read_csv(path, keep_default_na=False, na_values=[""]).astype({"note": object})
        cells = table[list(PART_COLUMNS)].to_dict("records")
        rows = [{str(k): None if pd.isna(v) else v for k, v in row.items()} for row in cells]
        return [_Part.model_validate(row).model_dump() for row in rows]
    except FileNotFoundError:
        raise NetstabError(_absent(path)) from None
    except (OSError, ValueError, KeyError) as error:
        raise NetstabError(_unreadable(path, error)) from error


def _unreadable(path: Path, error: Exception) -> str:
    ours = _is_ours(path)
    remedy = "dvc repro -f report" if ours else f"netstab study {path.parent.name}, if it was that"
    return f"{path}: cannot be read ({_why(error)}). Make it anew: {remedy}"


def _is_ours(path: Path) -> bool:
    return path.parent.resolve() == (paths.project_root() / paths.METRICS).resolve()


def _absent(path: Path) -> str:
    root = paths.project_root()
    if not _is_ours(path):
        return f"{path}: is not there; name a folder that holds a report, such as demo"
    said = f"{path}: is not there yet. Make it: dvc repro report"
    others = [f.name for f in paths.studies(root) if (f / path.name).is_file()]
    also = f" (of another study: netstab claims --results {others[0]})" if others else ""
    return said + also


def _why(error: Exception) -> str:
    return one_line(error) if isinstance(error, ValidationError) else repr(error)
