"""Words for people, whatever they are about."""

import html
import re
from collections.abc import Iterable, Sequence


def duration(seconds: float) -> str:
    """Seconds in the unit that a person would use: `42 s`, `12 min`, `4.5 h`, `4 days`."""
    if seconds < 99.5:
        return f"{round(seconds, 4):.2g} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    hours = f"{round(seconds / 3600, 1):g} h"
    return hours if seconds < 72 * 3600 else f"{seconds / 86400:.0f} days"


def one_line(error: Exception) -> str:
    """What an exception says, short and without line breaks."""
    return " ".join(str(error).split())[:200]


def few(names: list[str]) -> str:
    """Names in a row; of more than four the first and how many more."""
    return ", ".join(names) if len(names) <= 4 else f"{names[0]} and {len(names) - 1} more"


def number(value: float, sign: str = "") -> str:
    """A figure: the more digits before the point, the fewer behind it; `+` as sign shows it."""
    digits = 2 if abs(value) >= 10 else 3 if abs(value) >= 0.1 else 4
    return f"{value:{sign}.{digits}f}"


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in GitHub's Markdown; texts are taken as they are, and not as markup."""
    lines = [headings, ["---"] * len(headings)]
    lines += [[_as_markdown(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _as_markdown(text: str) -> str:
    # An underscore within a word is no markup.
    escaped = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*\[\]|~]|\b_|_\b)", r"\\\1", escaped)
