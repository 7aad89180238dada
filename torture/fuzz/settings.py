"""Targets: `params.yaml`, as a text and as what YAML made of one."""

import json
from pathlib import Path
from random import Random

from netstab import params
from netstab.params import Params
from netstab.study.plan import tree
from tests.checkout import SHIPPED
from torture.fuzz.bounds import Target
from torture.fuzz.nonsense import TEXTS, as_json, broken, damaged

TEXT = Path("params.yaml").read_text(encoding="utf-8")
EXPENSIVE = 20_000
"""Epochs of a run from which on its tree of pasts is not drawn: it is large, not wrong."""

TOKENS = [
    *("&a [*a]", "*a", "&a", "!!python/object/apply:torture.fuzz.bounds.canary [x]", "!!binary x"),
    *("!!timestamp 2001-99-99t99:99:99.9-99:99", "2001-12-14t21:59:43.10-99:99", "1:30:99", "0o9"),
    *("{<<: *a}", "<<: {x: 1}", "? [a, b]", "!!set {a}", "!!omap [a: 1]", "|2\n x", ">-", "---"),
    *("{64: 1}", "{null: 1}", "{1.5: x}"),
    *("0x" + "f" * 5000, "1" * 5000, "1e99999", "+.inf", ".NaN", "1_000", "0b2", "~", "no", "on"),
    *("[" * 400, "{" * 400, "- " * 200 + "x", "\t", "%YAML 9.9", "!!float x", "!!int ''", "'", '"'),
]
LAUGHS = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
)
"""Nine to the twelfth values by reference."""


def _text(random: Random) -> bytes:
    lines = TEXT.split("\n")
    # Comments make most of the file, and nothing that can be wrong.
    lines = [line.split(" #")[0] for line in lines if line.strip() and line.strip()[0] != "#"]
    for _ in range(random.randint(0, 2)):
        at = random.randrange(len(lines))
        token, kind = random.choice(TOKENS + TEXTS), random.randrange(7)
        if kind <= 2:
            lines[at] = lines[at].split(":")[0] + ": " + token
        elif kind == 3:
            lines.insert(at, random.choice(lines))
        elif kind == 4:
            del lines[at]
        elif kind == 5:
            lines[at] = " " * random.randrange(5) + lines[at].strip()
        elif random.randrange(4) == 0:
            lines = [LAUGHS, *lines, f"own: *a{random.randrange(12)}"]
        else:
            lines.insert(at, token)
    text = "\n".join(lines).encode("utf-8", "surrogatepass")
    return damaged(text, random) if random.randrange(5) == 0 else text


def _read(content: bytes, folder: Path) -> bool:
    path = folder / "params.yaml"
    path.write_bytes(content)
    return _usable(params.read(path))


def _check(content: bytes, folder: Path) -> bool:
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        return _read(content, folder)
    return _usable(params.check(parsed))


def _usable(found: Params) -> bool:
    if found.train.run_epochs < EXPENSIVE:
        assert tree(found).epochs > 0
    return True


def _content(random: Random) -> bytes:
    return as_json(broken(SHIPPED, random), random)


TARGETS = (
    Target("params-text", _text, _read, ("params.yaml",)),
    Target("params", _content, _check, ("params.yaml",)),
)
