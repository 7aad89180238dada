"""`netstab study SIZE`: the whole study in a supported size, as a DVC experiment of its own."""

import io
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from ruamel.yaml import YAML

from netstab import params, paths
from netstab.commands.dvc import run_dvc
from netstab.errors import NetstabError
from netstab.evidence.summary.terminal import read_summaries, summary_table
from netstab.text import duration

SIZES = Path("sizes.yaml")


def run(size: str, source: str | None, extra: list[str], console: Console) -> None:
    """Run the study in a temporary workspace and copy its results to `SIZE/`, which git ignores.

    What `SIZE/` held before is replaced; with the metrics come the study's parameters and the
    images' manifest, so that `netstab store` knows what its states are for. The working tree and
    the branch stay as they are; the experiment can be seen with `dvc exp show`.

    Raises:
        NetstabError: there is no such size, or a stage failed.
    """
    root = paths.project_root()
    # One process after another would import torch once a run.
    sized = _overrides(root / SIZES, size)
    if source is None and size == "mini" and _names_no_images(root, extra):
        from netstab.data import subset

        source = str(subset.official())
        sized.append(f"data.name='{subset.NAME}'")
    overrides = ["runtime.sweep=true", *sized, *_source(size, source), *extra]
    started = time.monotonic()
    name = f"{size}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    arguments = [word for override in overrides for word in ("-S", override)]
    command = ["exp", "run", "--temp", "--name", name, *arguments]
    code = run_dvc(root, command, {**_identity(root), **os.environ})
    if code:
        raise NetstabError(
            f"the study stopped (dvc exit code {code}); see above. Nothing trained is lost: "
            "the same command goes on from the last saved state"
        )
    target = root / size
    _copy_results(root, name, target)
    console.print(summary_table(read_summaries(target / paths.VARIANTS.name)))
    console.print(f"took {duration(time.monotonic() - started)}")
    console.print(f"experiment: {name} (dvc exp show)")
    console.print(f"claims: netstab claims --results {size}")
    console.print(f"report: {target / paths.REPORT.name}", soft_wrap=True)


def _overrides(path: Path, size: str) -> list[str]:
    sizes: dict[str, dict[str, Any]] = YAML(typ="safe", pure=True).load(path.read_text())
    if size not in sizes:
        raise NetstabError(f"{size}: is not a size; {path.name} has {', '.join(sizes)}")
    return [f"{key}={_plain(value)}" for key, value in sizes[size].items()]


def _plain(value: object) -> str:
    """A value as DVC's -S reads it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _names_no_images(root: Path, extra: list[str]) -> bool:
    """Whether the study would be of all official CIFAR-10."""
    if any(
        word.lstrip("+~").startswith(("data=", "data.source", "data.dataset")) for word in extra
    ):
        return False
    data = params.read(root / paths.PARAMS).data
    return data.source is None and data.dataset == "cifar10"


def _source(size: str, source: str | None) -> list[str]:
    if source is None:
        return []
    if size == "demo":
        raise NetstabError("demo takes no images: it uses scikit-learn's digits; try mini")
    if "://" not in source:
        path = Path(source).expanduser().resolve()
        if not path.exists():
            raise NetstabError(f"{source}: is not there; name an archive or a folder of images")
        source = str(path)
    # Quoted for the override's own grammar, in which = and , have a meaning, and a backslash one
    # only before a quote.
    quoted = re.sub(
        r"(\\*)('|$)", lambda found: 2 * found[1] + found[2].replace("'", "\\'"), source
    )
    return [f"data.source='{quoted}'"]


def _identity(root: Path) -> dict[str, str]:
    """An author for the experiment where git knows none: dvc would stop on a changed tree."""
    asked = (["git", "config", "--get", f"user.{what}"] for what in ("name", "email"))
    known = [
        subprocess.run(question, cwd=root, stdout=subprocess.DEVNULL, check=False).returncode == 0
        for question in asked
    ]
    if all(known):
        return {}
    author = {"NAME": "netstab", "EMAIL": "netstab@localhost"}
    return {f"GIT_{who}_{k}": v for who in ("AUTHOR", "COMMITTER") for k, v in author.items()}


def _copy_results(root: Path, name: str, target: Path) -> None:
    """Put an experiment's metrics and inputs, all committed, in place of what `target` held."""
    listing = _git(root, "for-each-ref", "--format=%(refname)", "refs/exps").decode()
    found = [line for line in listing.splitlines() if line.rsplit("/", 1)[-1] == name]
    if not found:
        raise NetstabError(f"dvc made no experiment named {name}; see its messages above")
    parts = [str(part) for part in (paths.METRICS, paths.PARAMS, paths.MANIFEST)]
    archive = _git(root, "archive", "--format=tar", found[0], *parts)
    with tempfile.TemporaryDirectory(dir=root / ".dvc" / "tmp") as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
        shutil.rmtree(target, ignore_errors=True)
        results = Path(folder) / paths.METRICS
        for part in (paths.PARAMS, paths.MANIFEST):
            (results / part).parent.mkdir(exist_ok=True)
            (Path(folder) / part).rename(results / part)
        results.rename(target)


def _git(root: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=root, check=True, stdout=subprocess.PIPE).stdout
