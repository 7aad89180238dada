"""JSON that others wrote, within bounds: size, values, depth, numbers and texts; and its hash.

A hash says that a file is whole, and not that it means well: whoever can write it can fit the hash.
"""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

MOST_TEXT = 64 * 2**20
"""Bytes of a record or measurement; that of 200 epochs has a tenth of a MiB."""
MOST_VALUES = 2_000_000
"""Lists and mappings in it, which take far more memory than they take text."""
DEEPEST = 30
"""Of lists and mappings in each other."""
LONGEST = 1000
"""Characters of a text, which must also be printable: it may end in a terminal or on a page."""
LARGEST = 2**63


def read(path: Path) -> Any:
    """The content of a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON within bounds.
    """
    with path.open("rb") as file:
        text = file.read(MOST_TEXT + 1)
    if len(text) > MOST_TEXT:
        raise ValueError(f"it has more than {MOST_TEXT // 2**20} MiB")
    return parse(text)


def parse(text: bytes, *, finite: bool = False) -> Any:
    """The content of a JSON text.

    Args:
        text: in UTF-8.
        finite: whether numbers that are not finite are refused.

    Raises:
        ValueError: it is no JSON within bounds.
    """
    if text.count(b"{") + text.count(b"[") > MOST_VALUES:
        raise ValueError("it has too many values")
    real = _finite if finite else float
    try:
        content = json.loads(
            text.decode("utf-8"), parse_float=real, parse_constant=real, parse_int=_bounded
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _check(content)
    return content


def digest(content: object, *, compact: bool = False) -> str:
    """SHA-256 (hex) of a content's canonical JSON: names sorted, ASCII alone.

    Args:
        content: what JSON can hold.
        compact: without spaces, as what determines a state is hashed; files are hashed with them.
    """
    separators = (",", ":") if compact else None
    text = json.dumps(content, sort_keys=True, separators=separators)
    return hashlib.sha256(text.encode()).hexdigest()


def _check(content: Any) -> None:
    texts: set[str] = set()
    level, depth = [content], 0
    while level:
        if depth > DEEPEST:
            raise ValueError("it is nested too deeply")
        below: list[Any] = []
        for value in level:
            kind = type(value)
            if kind is str:
                texts.add(value)
            elif kind is dict:
                texts.update(value)
                below += value.values()
            elif kind is list:
                below += value
        level, depth = below, depth + 1
    for text in texts:
        if not (text.isprintable() and len(text) <= LONGEST):
            raise ValueError(f"it holds text that is too long or not printable: {text[:20]!a}")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is not a finite number")
    return value


def _bounded(text: str) -> int:
    value = int(text)
    if abs(value) > LARGEST:
        raise ValueError(f"{text[:20]}... is too large a number")
    return value
