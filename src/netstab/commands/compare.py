"""`netstab compare`: what changed between two revisions, with interval, n and verdict."""

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from netstab import params, paths
from netstab.commands import preflight, revisions
from netstab.errors import NetstabError, ParameterError
from netstab.evidence.claims.comparison import HIGHER, LOWER, UNCHANGED, Comparison, compare
from netstab.evidence.claims.effects import Study
from netstab.evidence.summary.terminal import plain_table
from netstab.results.runs import collect
from netstab.text import few, markdown_table, number

WORKSPACE = "workspace"
"""What `dvc metrics diff` calls the working tree."""
PARTS = (paths.PARAMS, paths.RUNS)
"""What is read of a revision."""
HEADINGS = ("variant", "figure", "change", "interval", "n", "p (Holm)", "verdict")
NONE = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision's study.

    Attributes:
        name: as the user calls it.
        commit: its hash; None for the workspace.
        study: its parameters and runs.
    """

    name: str
    commit: str | None
    study: Study


def run(old: str, new: str | None, console: Console, *, as_json: bool, as_markdown: bool) -> None:
    """Compare the final figures of each variant between two revisions, and print what changed.

    Args:
        old: a revision or a DVC experiment.
        new: likewise; None for the workspace.
        console: where to.
        as_json: whether every figure is printed as JSON; see docs/JSON.md.
        as_markdown: whether what changed is printed as a table in Markdown.

    Raises:
        NetstabError: a revision is not there, or has no results that can be used.
        typer.BadParameter: two forms are asked for.
    """
    if as_json and as_markdown:
        raise typer.BadParameter("does not go with --json", param_hint="--markdown")
    root = paths.project_root()
    preflight.check(root)
    with _read(root, old) as before, _read(root, new) as after:
        found = compare(before.study, after.study)
        if as_json:
            print(json.dumps(_as_json(before, after, found), indent=2))
            return
        changed = [one for one in found if one.verdict != UNCHANGED]
        told = _summary(before, after, found)
        if as_markdown:
            rows = [_cells(one) for one in changed]
            print("\n\n".join([told, *([markdown_table(HEADINGS, rows)] if rows else [])]))
            return
        if changed:
            console.print(_table(changed))
        print(told)


@contextmanager
def _read(root: Path, name: str | None) -> Iterator[Revision]:
    """A revision's study, while its files are there."""
    if name is None:
        yield Revision(WORKSPACE, None, _study(WORKSPACE, root))
        return
    commit = revisions.resolve(root, name)
    with tempfile.TemporaryDirectory() as folder:
        revisions.extract(root, commit, PARTS, Path(folder))
        yield Revision(name, commit, _study(name, Path(folder)))


def _study(name: str, folder: Path) -> Study:
    if not (folder / paths.PARAMS).is_file() or not (folder / paths.RUNS).is_dir():
        raise NetstabError(
            f"{name}: has no results: params.yaml or {paths.RUNS} is not there; run dvc repro, and "
            "commit metrics"
        )
    try:
        content = params.read(folder / paths.PARAMS)
        found = collect(content, folder / paths.METRICS)
    except ParameterError as error:
        source = f"{name}: {paths.PARAMS}"
        if name != WORKSPACE:
            source += f" (of another version of netstab? git checkout {name}, and compare there)"
        raise ParameterError(source, error.faults) from None
    except NetstabError as error:
        raise NetstabError(f"{name}: {str(error).replace(f'{folder}/', '')}") from None
    if lacking := [run.name for run in found.expected if run not in found.histories]:
        said = f"warning: {name}: {few(lacking)}: no usable run, and so left out"
        print(said, file=sys.stderr)
    return Study(content, found)


def _summary(old: Revision, new: Revision, found: Sequence[Comparison]) -> str:
    """What is compared, and what the table leaves out."""
    variants = dict.fromkeys(one.variant for one in found)
    changed = {one.variant for one in found if one.verdict != UNCHANGED}
    confidence = new.study.params.claims.confidence
    said = [
        f"{old.name} to {new.name}: final figures of {len(changed)} of {len(variants)} variants "
        f"changed; {confidence:.0%} t-intervals of the change in each seed"
    ]
    if any(one.verdict == "too few seeds" for one in found):
        said.append("fewer than three seeds: no interval and no verdict")
    for name, only in _only(old, new).items():
        if only:
            said.append(f"only in {name}: {few(only)}")
    notes = dict.fromkeys(one.note for one in found if one.note)
    return ". ".join([*said, *notes])


def _only(old: Revision, new: Revision) -> dict[str, list[str]]:
    """Variants that one of two revisions has alone, by its name."""
    mine, theirs = ([v.name for v in r.study.collection.schedules] for r in (old, new))
    return {
        old.name: [name for name in mine if name not in theirs],
        new.name: [name for name in theirs if name not in mine],
    }


def _as_json(old: Revision, new: Revision, found: Sequence[Comparison]) -> dict[str, Any]:
    only = list(_only(old, new).values())
    return {
        "old": {"name": old.name, "commit": old.commit},
        "new": {"name": new.name, "commit": new.commit},
        "confidence": new.study.params.claims.confidence,
        "compared": [{**asdict(one), "n": len(one.seeds)} for one in found],
        "only_in_old": only[0],
        "only_in_new": only[1],
    }


def _table(changed: Sequence[Comparison]) -> Table:
    table = plain_table()
    for heading in HEADINGS:
        right = heading in ("change", "n", "p (Holm)")
        table.add_column(heading, justify="right" if right else "left", overflow="fold")
    previous = changed[0].variant
    for one in changed:
        if one.variant != previous:
            table.add_section()
            previous = one.variant
        style = {HIGHER: "bold", LOWER: "bold"}.get(one.verdict, "dim")
        *cells, verdict = _cells(one)
        table.add_row(*map(Text, cells), Text(verdict, style=style))
    return table


def _cells(one: Comparison) -> list[str]:
    change, interval = NONE, NONE
    if one.effect is not None:
        change = f"{number(one.effect, '+')} {one.unit}"
    if one.low is not None and one.high is not None:
        interval = f"{number(one.low, '+')} to {number(one.high, '+')}"
    figure = one.figure
    if one.old is not None and one.new is not None:
        figure += f" {number(one.old)} -> {number(one.new)}"
    p = NONE if one.p_holm is None else f"{one.p_holm:.2g}"
    return [one.variant, figure, change, interval, str(len(one.seeds)), p, one.verdict]
