"""`netstab claims`: what the study says of each statement."""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from netstab import paths
from netstab.commands.claims_files import Figures, read_claims, read_parts
from netstab.commands.crate import opened
from netstab.errors import NetstabError, visible
from netstab.evidence.claims.checks import PERCENT
from netstab.evidence.claims.judge import CLAIMS
from netstab.evidence.claims.judgement import Verdict
from netstab.evidence.summary.terminal import plain_table
from netstab.evidence.verify import verify
from netstab.text import markdown_table, number

WIDE = 110
"""Columns from which on effect and interval stand side by side."""

_STYLES = {Verdict.SUPPORTED: "green", Verdict.CONTRADICTED: "red", Verdict.INCONCLUSIVE: ""}
_HEADINGS = {True: ("effect", "interval"), False: ("effect, interval",)}
_NONE = "\N{EN DASH}"


def show(
    ids: Sequence[str],
    console: Console,
    results: Path | None = None,
    *,
    as_json: bool = False,
    as_markdown: bool = False,
) -> None:
    """Print a row a claim or, for the claims of these ids, a row for each of their parts.

    Args:
        ids: of claims, in any case.
        console: where to.
        results: a folder as `netstab study` leaves one, or a crate; default: `metrics`, of
            params.yaml.
        as_json: whether it is printed as JSON; see docs/JSON.md.
        as_markdown: whether it is printed as a table in Markdown.

    Raises:
        NetstabError: there is no report yet, it cannot be read, or an id is none.
        typer.BadParameter: two forms are asked for.
    """
    if as_json and as_markdown:
        raise typer.BadParameter("does not go with --json", param_hint="--markdown")
    known = {name.casefold(): name for name in CLAIMS}
    unknown = [name for name in ids if name.casefold() not in known]
    if unknown:
        raise NetstabError(f"{unknown[0]}: is not a claim; known are {', '.join(CLAIMS)}")
    with _folder(results) as folder:
        entries = read_claims(folder / paths.CLAIMS.name)
        parts = read_parts(folder / paths.CLAIM_PARTS.name) if ids else []
    asked = dict.fromkeys(known[name.casefold()] for name in ids)
    unasked = [name for name in asked if name not in entries]
    if unasked:
        raise NetstabError(f"{unasked[0]}: this study does not ask it; see docs/VARIANTS.md")
    shown = {name: entries[name] for name in asked or entries}
    if as_json:
        print(json.dumps(_as_json(shown, parts), indent=2))
    elif as_markdown:
        print(_as_markdown(shown, parts))
    elif not ids:
        _overview(entries, console)
    else:
        for name, entry in shown.items():
            _details(name, entry, _of(name, parts), console)


@contextmanager
def _folder(results: Path | None) -> Iterator[Path]:
    """The folder with a study's results; of a crate, once they are what its runs give."""
    if results is None or not results.is_file():
        yield results or paths.project_root() / paths.METRICS
        return
    with opened(results) as folder:
        found, wrong = verify(folder)
        if wrong:
            said = f"{results}: is not what its runs give:\n  "
            raise NetstabError(said + "\n  ".join(wrong))
        count = len(found.collection.histories)
        said = f"verdicts, final figures and curves are what the histories of its {count} runs give"
        print(f"{results}: {said}", file=sys.stderr)
        yield folder


def _of(name: str, parts: Sequence[Figures]) -> list[Figures]:
    return [row for row in parts if row["claim"] == name]


def _overview(entries: Mapping[str, Figures], console: Console) -> None:
    wide = console.width >= WIDE
    table = _table("id", "statement", *_HEADINGS[wide])
    table.columns[0].no_wrap = True
    table.add_column("n", justify="right")
    table.add_column("verdict", no_wrap=True)
    group = ""
    for name, entry in entries.items():
        if group and name[0] != group:
            table.add_section()
        group = name[0]
        table.add_row(
            name, CLAIMS[name].statement, *_effect(entry, wide), str(entry["n"]), _verdict(entry)
        )
    console.print(table)
    console.print(
        "Effect and interval are those of the part that decided; all parts: netstab claims ID",
        style="dim",
    )


def _details(name: str, entry: Figures, rows: Sequence[Figures], console: Console) -> None:
    wide = console.width >= WIDE
    console.print(Text.assemble((name, "bold"), f"  {CLAIMS[name].statement}"))
    console.print(Text("verdict: ").append_text(_verdict(entry)))
    if entry["p_holm"] is not None:
        console.print(f"p over all claims (Holm): {entry['p_holm']:.2g}")
    for row in rows:
        if row["part"] is None:
            console.print(_plain(f"note: {row['note']}"))
    rows = [row for row in rows if row["part"] is not None]
    if rows:
        table = _table("part", "wanted", *_HEADINGS[wide])
        table.add_column("n", justify="right")
        table.add_column("p", justify="right", no_wrap=True)
        table.add_column("verdict", no_wrap=not wide)
        for row in rows:
            told = f"{row['part']} ({row['note']})" if row["note"] else row["part"]
            p = _NONE if row["p"] is None else f"{row['p']:.2g}"
            effect = _effect(row, wide)
            table.add_row(
                _plain(told), _plain(row["wanted"]), *effect, _plain(row["n"]), p, _verdict(row)
            )
        console.print(table)
    console.print()


def _as_json(shown: Mapping[str, Figures], parts: Sequence[Figures]) -> dict[str, Any]:
    claims = []
    for name, entry in shown.items():
        told = {"id": name, "statement": CLAIMS[name].statement, **entry}
        rows = [{k: v for k, v in row.items() if k != "claim"} for row in _of(name, parts)]
        claims.append({**told, "parts": rows} if parts else told)
    return {"claims": claims}


def _as_markdown(shown: Mapping[str, Figures], parts: Sequence[Figures]) -> str:
    """A table of claims, or of their parts; before it how many came to each verdict."""
    found = Counter(Verdict(entry["verdict"]) for entry in shown.values())
    counts = ", ".join(f"{found[v]} {v}" for v in Verdict if found[v])
    headings = ["id", "statement", "effect", "interval", "n", "verdict"]
    rows = [_cells(name, CLAIMS[name].statement, entry) for name, entry in shown.items()]
    if parts:
        tested = [row for row in parts if row["claim"] in shown and row["part"] is not None]
        headings[1] = "part"
        rows = [_cells(row["claim"], f"{row['part']}: {row['wanted']}", row) for row in tested]
    return f"{len(shown)} claims: {counts}\n\n{markdown_table(headings, rows)}"


def _cells(name: str, what: str, figures: Figures) -> list[str]:
    effect, interval = map(str, _effect(figures, wide=True))
    return [name, visible(what), effect, interval, str(figures["n"]), figures["verdict"].value]


def _plain(told: object) -> Text:
    """A text of a file, which is neither markup nor commands for the terminal."""
    return Text(visible(str(told)))


def _table(*headings: str) -> Table:
    table = plain_table()
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _effect(figures: Figures, wide: bool) -> list[str | Text]:
    """Effect with its unit, and interval: two cells, or two lines of one."""
    if figures["effect"] is None:
        return [_NONE, _NONE] if wide else [_NONE]
    sign = "" if figures["unit"] == PERCENT else "+"  # a level has none, a difference has
    effect = visible(f"{number(figures['effect'], sign)} {figures['unit']}")
    if figures["low"] is None:
        return [Text(effect), _NONE] if wide else [Text(effect)]
    interval = f"{number(figures['low'], sign)} to {number(figures['high'], sign)}"
    return [Text(effect), interval] if wide else [Text(f"{effect}\n{interval}")]


def _verdict(figures: Figures) -> Text:
    verdict = Verdict(figures["verdict"])
    return Text(verdict.value, style=_STYLES.get(verdict, "dim"))
