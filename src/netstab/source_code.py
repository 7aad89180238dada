"""The source code behind a name such as `networks.mine:net`, found and hashed without running it.

What a module imports from its own top-level package counts as its code, wherever that lies.
"""

import ast
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

from netstab import paths
from netstab.errors import NetstabError


def digest(name: str) -> str:
    """SHA-256 (hex) of the source code behind `package.module:function`.

    Raises:
        NetstabError: there is no such file, or it is no Python.
    """
    found = _sources(name.split(":")[0])
    told = hashlib.sha256()
    for module, path in sorted(found.items()):
        told.update(f"{module} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return told.hexdigest()


def lies_in(root: Path, name: str) -> bool:
    """Whether the module of `package.module:function` lies in a folder."""
    return _file(root, name.split(":")[0]) is not None


def roots() -> list[Path]:
    """Folders that modules are looked for in: the checkout, then where Python looks."""
    try:
        here = [paths.project_root()]
    except NetstabError:  # a node of a cluster has none
        here = []
    return [*here, *(Path(folder or ".") for folder in sys.path)]


def _sources(module: str) -> dict[str, Path]:
    """Module -> file, of a module and of what it imports from its own top-level package."""
    for root in roots():
        if _file(root, module) is not None:
            break
    else:
        raise NetstabError(
            f"model.name: there is no module {module} in the checkout, nor is it installed; write "
            "package.module:function, and git add its file: netstab study works in a copy"
        )
    top = module.split(".")[0]
    found: dict[str, Path] = {}
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen or name.split(".")[0] != top:
            continue
        seen.add(name)
        waiting.append(name.rpartition(".")[0])
        path = _file(root, name)
        if path is not None:
            found[name] = path
            waiting += _imported(name, path)
    return found


def _file(root: Path, module: str) -> Path | None:
    place = root.joinpath(*module.split("."))
    candidates = (place.parent / f"{place.name}.py", place / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


def _imported(module: str, path: Path) -> Iterator[str]:
    """Names that a module's import statements may stand for, wherever in it they are."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise NetstabError(f"model.name: {path} is no Python: {error}; mend it") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from names
