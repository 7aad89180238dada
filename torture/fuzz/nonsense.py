"""What any kind of input can be broken with: values, texts, bytes, trees of plain values."""

import copy
import json
from collections.abc import Iterator
from random import Random
from typing import Any

TEXTS = [
    *("", " ", "x", "64", "frozen", "baseline", "network", "step", "null", "true", "NaN", "1e999"),
    *("</script><img src=x onerror=window.sung=1>", "<!--", "{{7*7}}", "{% raw %}", "&lt;", "'\"`"),
    *("[bold]x[/bold]", "[link=https://a.test]x[/link]", "[/]", "\x1b[31mred\x1b[0m", "\x9b31m"),
    *("\x00", "\ud800", "\u2028", "\u202e", "\ufeff", "a\nb", "a\rb", "\t", "ü" * 400, "x" * 5000),
    *("../../x", "/etc/passwd", "C:\\x", "~root/x", "file:///etc/passwd", "__proto__", "$(id)"),
]
"""Texts that some reader, terminal or page has once taken for more than text."""

NUMBERS: list[Any] = [
    *(0, 1, -1, 2, 60, 199, 200, 10**6, 2**31, 2**63, -(2**63) - 1, 10**30, 10**400),
    *(0.0, -0.0, 0.5, 1e308, -1e308, 5e-324, float("nan"), float("inf"), float("-inf")),
]


DEEP = {
    f"@{kind}{depth}@": ends[0] * depth + "1" + ends[1] * depth
    for depth in (3, 100, 900, 5000)
    for kind, ends in {"list": ("[", "]"), "mapping": ('{"a":', "}")}.items()
}
"""What stands for a list in a list in a list, or mappings: too deep to be copied -> as JSON."""


def value(random: Random) -> Any:
    """Any plain value."""
    kind = random.randrange(6)
    if kind == 0:
        return random.choice(TEXTS)
    if kind <= 2:
        return random.choice(NUMBERS)
    if kind == 3:
        return random.choice([None, True, False, [], {}, [[]], [{}], {"": {}}])
    if kind == 4:
        return {random.choice(TEXTS): random.choice(NUMBERS)}
    return random.choice(list(DEEP))


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a tree of mappings and lists."""
    if path:
        yield path
    inner = content if isinstance(content, dict) else {}
    inner = dict(enumerate(content)) if isinstance(content, list) else inner
    for key, below in inner.items():
        yield from places(below, (*path, key))


def drawn_place(content: Any, random: Random) -> tuple[Any, Any]:
    """A place in a tree that has any: the mapping or list that it is in, and its key there."""
    *above, last = random.choice(list(places(content)))
    for step in above:
        content = content[step]
    return content, last


def broken(content: Any, random: Random, most: int = 3) -> Any:
    """A copy of a tree with up to so many faults: values replaced, removed, renamed, doubled."""
    content = copy.deepcopy(content)
    for _ in range(random.randint(0, most)):
        if not any(places(content)):
            return value(random)
        place, last = drawn_place(content, random)
        kind = random.randrange(6)
        if kind == 0:
            del place[last]
        elif kind == 1 and isinstance(place, dict):
            place[random.choice(TEXTS)] = place.pop(last)
        elif kind == 1:
            place.insert(0, copy.deepcopy(place[last]))
        elif kind == 2:
            other, key = drawn_place(content, random)
            place[last] = copy.deepcopy(other[key])
        else:
            place[last] = value(random)
    return content


def as_json(content: Any, random: Random) -> bytes:
    """A tree as JSON text, now and then with faults that no tree has."""
    # Surrogates are written as \ud800, which JSON can say and UTF-8 cannot.
    text = deepened(json.dumps(content)).encode()
    return damaged(text, random) if random.randrange(8) == 0 else text


def deepened(text: str) -> str:
    """JSON with what `DEEP` stands for."""
    for name, deep in DEEP.items():
        text = text.replace(f'"{name}"', deep)
    return text


def damaged(content: bytes, random: Random) -> bytes:
    """Bytes cut, flipped, doubled, or with others between them."""
    for _ in range(random.randint(1, 3)):
        at, kind = random.randrange(len(content) + 1), random.randrange(5)
        if kind == 0:
            content = content[:at]
        elif kind == 1 and at < len(content):
            flipped = content[at] ^ (1 << random.randrange(8))
            content = content[:at] + bytes([flipped]) + content[at + 1 :]
        elif kind == 2:
            content = content[:at] + random.randbytes(random.randint(1, 8)) + content[at:]
        elif kind == 3:
            content = content[:at] + content[at : at + random.randint(1, 600)] + content[at:]
        elif at + 4 <= len(content):
            size = random.choice([0, 1, 2**16, 2**31 - 1, 2**32 - 1]).to_bytes(4, "little")
            content = content[:at] + size + content[at + 4 :]
    return content
