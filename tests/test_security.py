"""SECURITY.md, held: nothing of the package can be made to execute what it reads."""

import ast
import json
import re
from importlib.metadata import distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from torture import audit

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "netstab").rglob("*.py"))
UNPICKLER = "pickles.py"
"""The one module that may name `pickle`: its unpickler finds arrays and nothing else."""
MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
CALLS = {"eval", "exec", "compile", "__import__"}
SHELLS = {"system", "popen"}
INSTALLERS = {"pip", "setuptools"}
"""What an environment is made with, before any constraint is read."""


def faults(tree: ast.AST, name: str) -> list[str]:
    """What in a module could execute what it reads."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            bad = MODULES & {part for text in names for part in text.split(".")}
            if bad and not (name == UNPICKLER and bad == {"pickle"}):
                found.append(f"imports {bad}")
            if "yaml" in names:
                found.append("imports yaml, whose loaders can construct anything")
        if isinstance(node, ast.Call):
            found += _of_call(node)
    return found


def _of_call(node: ast.Call) -> list[str]:
    called = ast.unparse(node.func)
    given = {k.arg: ast.unparse(k.value) for k in node.keywords}
    if called in CALLS:
        return [f"calls {called}"]
    if called.startswith("os.") and called.removeprefix("os.") in SHELLS:
        return [f"calls {called}"]
    if called == "torch.load" and given.get("weights_only") != "True":
        return ["calls torch.load without weights_only"]
    if called in ("np.load", "numpy.load") and given.get("allow_pickle") != "False":
        return ["calls numpy.load without allow_pickle=False"]
    if called == "YAML" and given.get("typ") not in (None, "'safe'", "'rt'"):
        return ["reads YAML by a loader that can construct anything"]
    if called in ("pickle.load", "pickle.loads", "pickle.Unpickler"):
        return [f"calls {called}"]
    if given.get("shell", "False") != "False":
        return ["starts a shell"]
    return []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_module_can_execute_what_it_reads(path: Path) -> None:
    assert faults(ast.parse(path.read_text(encoding="utf-8")), path.name) == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from pickle import loads",
        "import torch\ntorch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "eval(text)",
        "exec(text)",
        "import yaml",
        "YAML(typ='unsafe')",
        "os.system('ls')",
        "subprocess.run(text, shell=True)",
        "import joblib",
    ],
)
def test_the_check_sees_what_it_is_for(code: str) -> None:
    assert faults(ast.parse(code), "some.py")


def test_the_exception_is_for_a_restricted_unpickler_alone() -> None:
    assert faults(ast.parse("import pickle\npickle.loads(x)"), UNPICKLER)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_package_that_an_installation_brings_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    texts = [line.split("#")[0].strip() for line in lines]
    pinned = {canonical(Requirement(text).name): text for text in texts if text}
    assert all("==" in text for text in pinned.values())
    assert brought("netstab", "dev") - {"netstab", *INSTALLERS} - pinned.keys() == set()


def brought(name: str, extra: str) -> set[str]:
    """All packages that one installs with an extra, of those that are here."""
    here = {canonical(found.name) for found in distributions()}
    walked, waiting = set(), [(name, extra)]
    while waiting:
        name, extra = waiting.pop()
        if name not in here or (name, extra) in walked:
            continue
        walked.add((name, extra))
        for requirement in map(Requirement, distribution(name).requires or []):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                extras = {"", *requirement.extras}
                waiting += [(canonical(requirement.name), other) for other in extras]
    return {name for name, _ in walked}


def test_an_audit_that_asked_nobody_is_no_audit() -> None:
    package = {"name": "x", "version": "1", "vulns": []}
    weak = {**package, "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}
    skipped = {"name": "y", "skip_reason": "not found"}
    assert audit.judge(json.dumps({"dependencies": [package]})) == ([], "")
    assert audit.judge(json.dumps({"dependencies": [weak]}))[0] == ["x 1: CVE-1, mended in 2"]
    assert audit.judge(json.dumps({"dependencies": [weak, skipped]}))[1].startswith("1 of 2")
    for answer in ("", "[]", '{"dependencies": []}'):
        assert audit.judge(answer)[1]
