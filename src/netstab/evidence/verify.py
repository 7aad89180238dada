"""Whether a study's results are what its runs' files give, figure by figure."""

import csv
import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from netstab import paths
from netstab.data.manifest import read_manifest
from netstab.evidence.claims.judge import claims_csv, claims_json
from netstab.evidence.results import Results
from netstab.evidence.summary.curves import curves
from netstab.evidence.summary.summaries import to_file
from netstab.params import read
from netstab.results.runs import collect

TOLERANCE = 1e-5
"""Relative: figures are written with six digits, and another processor may round the last one."""


def verify(folder: Path) -> tuple[Results, list[str]]:
    """Sum up and judge a study's runs anew, and hold what lies beside them against that.

    Args:
        folder: with `params.yaml`, `data/manifest.json`, `runs/` and the results.

    Returns:
        What the runs come to, and what is otherwise in the folder: a line a file. Neither the page
        nor its figures are looked at.

    Raises:
        NetstabError: the parameters, the manifest or all runs cannot be used.
    """
    params = read(folder / paths.PARAMS)
    collection = collect(params, folder)
    results = Results.of(params, collection, read_manifest(folder))
    made: dict[str, str] = {
        paths.CLAIMS.name: claims_json(params, results.judgements),
        paths.CLAIM_PARTS.name: claims_csv(params, results.judgements),
        paths.CURVES.name: curves(params, results.bands).to_csv(index=False, float_format="%.6g"),
    }
    made |= {
        f"{paths.VARIANTS.name}/{name}.json": json.dumps(to_file(summary))
        for name, summary in results.summaries.items()
    }
    return results, list(_otherwise(folder, results, made))


def _otherwise(folder: Path, results: Results, made: dict[str, str]) -> Iterator[str]:
    manifest = read_manifest(folder)
    for run, told in results.collection.provenance.items():
        if told.data.content_sha256 != manifest.content_sha256:
            yield f"{run.name}: was trained on other images than {paths.MANIFEST} names"
    for name, text in made.items():
        path = folder / name
        try:
            found = _parsed(name, path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            yield f"{name}: is missing"
            continue
        except (OSError, ValueError, RecursionError) as error:
            yield f"{name}: cannot be read ({error})"
            continue
        if where := next(_apart(found, _parsed(name, text), ""), None):
            yield f"{name}: {where}"


def _parsed(name: str, text: str) -> Any:
    if name.endswith(".json"):
        return json.loads(text)
    return [[_number(cell) for cell in row] for row in csv.reader(io.StringIO(text))]


def _number(cell: str) -> str | float:
    try:
        return float(cell)
    except ValueError:
        return cell


def _apart(found: Any, made: Any, where: str) -> Iterator[str]:
    """Where two contents differ, in words."""
    if isinstance(found, dict) and isinstance(made, dict):
        for name in dict.fromkeys((*made, *found)):
            yield from _apart(found.get(name), made.get(name), f"{where}.{name}".lstrip("."))
    elif isinstance(found, list) and isinstance(made, list):
        if len(found) != len(made):
            yield f"{where or 'it'} has {len(found)} rows, and the runs give {len(made)}"
        for number, pair in enumerate(zip(found, made, strict=False)):
            yield from _apart(*pair, f"{where}[{number}]")
    elif not _equal(found, made):
        yield f"{where} is {found!r}, and the runs give {made!r}"


def _equal(found: Any, made: Any) -> bool:
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (found, made))
    if numbers and math.isfinite(found) and math.isfinite(made):
        return math.isclose(found, made, rel_tol=TOLERANCE, abs_tol=1e-9)
    return bool(found == made) or found is made
