"""Target: what is typed behind a command: names of runs, seeds, sources of images."""

import json
from contextlib import chdir
from pathlib import Path
from random import Random
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from typer.testing import CliRunner

from netstab.cli import app
from netstab.commands import images, study
from netstab.study.choice import choose
from tests import pieces
from torture.fuzz.bounds import Target
from torture.fuzz.nonsense import NUMBERS, TEXTS

STUDY = pieces.study()
COMMANDS = ["plan", "sweep", "study", "claims", "store", "ls", "export", "import", "verify", "gc"]
OPTIONS = ["--only", "--seed", "-S", "--source", "--dry-run", "--help", "--only=", "--seed=", "--"]
NAMES = ["reference", "expA", "expB-64", "expA,expB", ",", "A1", "demo", "mini", "x.json.gz", "0"]


def _words(random: Random) -> bytes:
    def word() -> str:
        kind = random.randrange(4)
        if kind == 0:
            return random.choice(TEXTS)
        if kind == 1:
            return str(random.choice(NUMBERS))[:300]
        return random.choice(NAMES if kind == 2 else OPTIONS)

    words = [word() for _ in range(random.randint(0, 5))]
    return json.dumps([random.choice(COMMANDS), *words]).encode()


def _type(content: bytes, place: Path) -> bool:
    """The command line in a folder that is no checkout; names and sources by themselves."""
    try:
        words: Any = json.loads(content)
    except (ValueError, RecursionError):
        words = content.decode("utf-8", "surrogateescape").split("\n")
    words = [str(word).replace("\0", "") for word in words] if isinstance(words, list) else ["x"]
    with chdir(place):
        result = CliRunner().invoke(app, words, catch_exceptions=False)
    said = result.output
    assert result.exit_code in (0, 1, 2), result.exit_code
    assert result.exit_code == 0 or said.strip(), "refused without a word"
    assert "\x1b" not in said, "escapes reach the terminal"
    for word in words:
        _source(word, place)
    choose(STUDY, words[1:], [])
    return True


def _source(word: str, place: Path) -> None:
    """A file's name must come out of the override's grammar as it went in."""
    path = place / "images" / Path(word).name
    try:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    except (OSError, ValueError):
        return
    if not path.is_file():
        return
    source = images.own(place / "checkout", str(path))
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return
    parsed = OverridesParser.create().parse_override(f"data.source={study._value(source)}")
    assert parsed.value() == str(path.resolve()), f"{parsed.value()!r} for {str(path)!r}"


NAMED = ("is no run", "no run is named", "is not a size", "is not there", "it uses scikit")
TARGETS = (Target("words", _words, _type, NAMED),)
