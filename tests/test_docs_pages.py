"""README.md and the pages under `docs/`: links, files, commands and tables that are true."""

import ast
import importlib
import inspect
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer
from dvc.cli import DvcParserError
from dvc.cli.parser import get_main_parser

import netstab
from docs import parameters
from netstab.cli import app
from netstab.evidence.claims.judge import CLAIMS
from netstab.params import Params
from tests import small

ROOT = small.ROOT
PAGES = [
    *(ROOT / name for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs").glob("*/README.md")),
]
FOLDERS = ("src/", "tests/", "docs/", "benchmarks/", "torture/", ".ci/")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))


def test_every_page_is_looked_at() -> None:
    assert {"README.md", "PARAMETERS.md", "STORE.md", "ARCHITECTURE.md"} <= {p.name for p in PAGES}


# Links


def anchor(heading: str) -> str:
    """A heading's anchor as GitHub makes it."""
    plain = re.sub(r"[`*]|\[|\]\([^)]*\)", "", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {anchor(h) for h in re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)}


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("https://", "http://")):
            continue
        name, _, where = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        if where:
            assert where in anchors(file), target


# Files and modules


def spans(page: Path) -> Iterator[str]:
    """What stands in backquotes, on one line each; not what a page says was there at a commit."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    text = re.sub(r"`[^`]+`\s+at\s+[0-9a-f]{7,40}\b", "", text)
    for span in re.findall(r"`([^`]+)`", text):
        yield " ".join(span.split())


@each_page
def test_files_and_modules_that_are_named_are_there(page: Path) -> None:
    for span in spans(page):
        word = span.split(":")[0].rstrip("/")
        if re.fullmatch(r"[\w./*-]+", word) and f"{word}/".startswith(FOLDERS):
            assert list(ROOT.glob(word)), f"{span} is not there"
        if re.fullmatch(r"(netstab|benchmarks|torture)(\.\w+)+", span):
            assert is_there(span), f"{span} is not there"


def is_there(dotted: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        name = ".".join(parts[:count])
        try:
            found = find_spec(name)
        except ModuleNotFoundError:
            continue
        if found:
            inner: Any = importlib.import_module(name) if count < len(parts) else None
            for part in parts[count:]:
                inner = getattr(inner, part, None)
            return count == len(parts) or inner is not None
    return False


def test_the_packages_map_names_what_is_there() -> None:
    source = ROOT / "src" / "netstab"
    rooms = re.split(r"^\* ", netstab.__doc__ or "", flags=re.MULTILINE)[1:]
    assert {room.split("`")[1].rstrip("/") for room in rooms} == {
        path.parent.name for path in source.glob("*/__init__.py")
    }
    for room in rooms:
        bullet = room.split("\n\n")[0]
        first, *names = re.findall(r"`([^`]+)`", bullet)
        for name in names:
            found = [*source.glob(f"{first}**/{name}"), *source.glob(f"{first}**/{name}.py")]
            assert found or (source / f"{name}.py").is_file(), f"{first}: {name} is not there"


# Commands


def commands(page: Path) -> Iterator[list[str]]:
    """Every command that a page shows, as words."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    fenced = re.findall(r"^```(?:sh|bash|console|)\n(.*?)^```", text, re.M | re.S)
    shown = [line for block in fenced for line in block.splitlines()]
    shown += re.findall(r"^ {4,}(.+)$", text, re.MULTILINE)
    for line in [*shown, *spans(page)]:
        for one in re.split(r"&&|;", line):
            yield from as_words(one)


def as_words(line: str) -> Iterator[list[str]]:
    try:
        words = shlex.split(line.removeprefix("$ "), comments=True)
    except ValueError:  # prose with an apostrophe
        return
    while words and re.fullmatch(r"[A-Z_]+=\S*|srun|env", words[0]):
        words = words[1:]
    if len(words) > 1 and (words[0] in ("netstab", "dvc", "make") or words[:2] == ["python", "-m"]):
        yield words


def looked_up(words: list[str]) -> str | None:
    """What is wrong with a command; None where nothing is."""
    name, *rest = words
    if name == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        unknown = [word for word in rest if "=" not in word and word not in targets]
        return f"{unknown[0]} is not a target" if unknown else None
    if name == "dvc":
        try:
            get_main_parser().parse_args(rest)
        except DvcParserError:
            return "dvc has no such command, or no such option"
        return None
    if name == "python":
        return module_called(rest[1], rest[2:])
    return called(typer.main.get_command(app), rest)


def called(command: Any, words: list[str]) -> str | None:
    while hasattr(command, "commands"):
        if not words or words[0].startswith("-"):
            break
        if words[0] not in command.commands:
            return f"{words[0]} is not a command"
        command, words = command.commands[words[0]], words[1:]
    known = {option for param in command.params for option in param.opts}
    known |= {"--help", "--version", "--install-completion", "--show-completion"}
    for word in words:
        option = word.split("=")[0]
        if option.startswith("-") and option not in known:
            return f"{command.name} has no option {option}"
    return None


def module_called(name: str, words: list[str]) -> str | None:
    if name.split(".")[0] not in ("netstab", "benchmarks", "torture", "tests"):
        return None if find_spec(name) else f"{name} is not a module"
    if not is_there(name):
        return f"{name} is not a module"
    if name == "netstab":
        return called(typer.main.get_command(app), words)
    package = find_spec(name)
    name = f"{name}.__main__" if package and package.submodule_search_locations else name
    source = inspect.getsource(importlib.import_module(name))
    parameters_of = {a.arg for a in ast.walk(ast.parse(source)) if isinstance(a, ast.arg)}
    for word in words:
        option = word.split("=")[0].removeprefix("--")
        known = option in source or option.replace("-", "_") in parameters_of
        if word.startswith("--") and not known:
            return f"{name} has no option --{option}"
    return None


@each_page
def test_every_command_that_is_shown_exists(page: Path) -> None:
    wrong = {" ".join(words): looked_up(words) for words in commands(page)}
    assert not {command: fault for command, fault in wrong.items() if fault}


@pytest.mark.parametrize(
    "line",
    [
        "netstab planned",
        "netstab store shrink",
        "netstab plan --never",
        "make coffee",
        "dvc reproduce",
        "dvc exp run --never",
        "python -m benchmarks.nothing",
        "python -m benchmarks.epoch --never",
    ],
)
def test_a_command_that_does_not_exist_is_found(line: str) -> None:
    (words,) = as_words(line)
    assert looked_up(words)


def test_the_readmes_commands_are_found() -> None:
    shown = {" ".join(words) for words in commands(ROOT / "README.md")}
    wanted = {"make demo", "dvc repro", "dvc exp run -S expB.freeze_epoch=90", "dvc metrics diff"}
    assert wanted <= shown


# What is made from the code, or says what it says


def test_the_page_of_parameters_is_what_the_models_say() -> None:
    made = "PYTHONPATH=src python docs/parameters.py"
    assert parameters.PAGE.read_text(encoding="utf-8") == parameters.page(), f"make it: {made}"


def test_every_parameter_is_explained() -> None:
    def unexplained(model: Any, above: str = "") -> Iterator[str]:
        told, nested = parameters.docstrings(model), dict(parameters.sections(model))
        for name in model.model_fields:
            if name in nested:
                yield from unexplained(nested[name], f"{above}{name}.")
            elif not told.get(name):
                yield above + name

    assert not list(unexplained(Params)), "write a docstring below the field"


def test_the_page_of_claims_states_each_as_the_code_does() -> None:
    text = (ROOT / "docs" / "VARIANTS.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (\S+) \| (.+?) \| .+ \|$", text, re.MULTILINE))
    assert {name: rows.get(name) for name in CLAIMS} == {
        name: claim.statement for name, claim in CLAIMS.items()
    }


def test_the_readmes_results_are_those_of_the_mini_study() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    judged = json.loads((ROOT / "docs" / "mini" / "claims.json").read_text(encoding="utf-8"))
    rows = re.findall(r"^\|.+\| (\S+): (\w+) \|$", text, re.MULTILINE)
    assert len(rows) == 5
    for name, verdict in rows:
        assert judged[name]["verdict"] == verdict, name


# The project's own figures


def test_the_version_is_stated_once_and_the_changes_are_told() -> None:
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" not in content["project"] and content["project"]["dynamic"] == ["version"]
    assert "version:" not in re.sub("cff-version:", "", (ROOT / "CITATION.cff").read_text())
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    latest = re.search(r"^## (\S+)", changes, re.MULTILINE)
    assert latest and latest[1] == netstab.__version__


def test_the_licence_is_named_alike() -> None:
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert content["license"] == "MIT"
    assert (ROOT / content["license-files"][0]).read_text().startswith("MIT License\n")
    assert re.search("^license: MIT$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
