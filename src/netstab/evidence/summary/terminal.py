"""The study's figures as a table for the terminal."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from netstab import paths
from netstab.errors import NetstabError, visible
from netstab.evidence.summary.summaries import Summary, from_file, shown
from netstab.study.experiments import REFERENCES

_COLUMNS = (
    ("val top-1 %", "final_val_top1_pct", 2),
    ("its jitter", "jitter_val_top1_pct", 2),
    ("val loss", "final_val_loss", 4),
    ("train loss", "final_train_loss", 4),
)


def read_summaries(folder: Path = paths.VARIANTS) -> dict[str, Summary]:
    """The summaries that a report left, by variant; references first, then by name.

    Raises:
        NetstabError: there are none, or one cannot be read.
    """
    found = {path.stem: path for path in folder.glob("*.json")}
    if not found:
        raise NetstabError(f"{folder}: holds no figures yet. Make them: dvc repro report")
    return {name: _read(found[name]) for name in sorted(found, key=_order)}


def summary_table(summaries: Mapping[str, Summary], title: str | None = None) -> Table:
    """A row a variant: number of seeds, final figures and jitter, each with its sd over seeds."""
    table = plain_table(title)
    table.add_column("variant", overflow="fold")
    table.add_column("n", justify="right")
    for heading, _, _ in _COLUMNS:
        table.add_column(heading, justify="right", no_wrap=True)
    previous = None
    for name, summary in summaries.items():
        group = _group(name)
        if previous is not None and group != previous:
            table.add_section()
        previous = group
        cells = (_with_spread(summary, key, digits) for _, key, digits in _COLUMNS)
        table.add_row(Text(visible(name)), str(summary.get("n_seeds", 0)), *cells)
    return table


def plain_table(title: str | None = None) -> Table:
    """A table without rows, and without edges, which would take room from its columns."""
    return Table(
        title=title,
        title_justify="left",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        collapse_padding=True,
    )


def _with_spread(summary: Summary, key: str, digits: int) -> str:
    value, spread = shown(summary, key, digits)
    return f"{value} ± {spread}" if spread else value


def _read(path: Path) -> Summary:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise NetstabError(f"{path}: cannot be read ({error}). Run: dvc repro report") from error
    # To Python a bool is an int, but it is no figure.
    if not isinstance(content, dict) or any(
        not isinstance(value, int | float | None) or isinstance(value, bool)
        for value in content.values()
    ):
        raise NetstabError(f"{path}: is not a summary, name by number. Run: dvc repro report")
    return from_file(content)


def _group(name: str) -> str:
    experiment = name.split("-")[0]
    return "reference" if experiment in REFERENCES else experiment


def _order(name: str) -> tuple[int, list[tuple[int, str]]]:
    rank = {**{r: i for i, r in enumerate(REFERENCES)}, "expE": 60, "expF": 70, "own": 99}.get(
        name.split("-")[0], 50
    )
    pieces = re.findall(r"\d+|\D+", name)
    return rank, [(int(p), "") if p.isdigit() else (-1, p) for p in pieces]
