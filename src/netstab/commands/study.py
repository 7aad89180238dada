"""`netstab study SIZE`: the whole study in a supported size, as a DVC experiment of its own."""

import json
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from netstab import params, paths
from netstab.commands import preflight
from netstab.commands.dvc import overridden, run_dvc
from netstab.commands.git import experiments, git
from netstab.commands.images import images
from netstab.errors import NetstabError
from netstab.evidence.summary.terminal import read_summaries, summary_table
from netstab.params import sizes
from netstab.params.sizes import Values
from netstab.results import folder
from netstab.text import duration

NOT_KEPT = (
    "experiment: none, for git keeps none in a shallow clone (git fetch --unshallow makes it whole)"
)


def run(size: str, source: str | None, extra: list[str], console: Console) -> None:
    """Run the study in a temporary workspace, whose results go to `SIZE/`, which git ignores.

    They go there as soon as the report is made, in place of what was there before, whatever DVC and
    git make of the experiment afterwards. With the metrics come the study's parameters and the
    images' manifest, so that `netstab store` knows what its states are for. The working tree and
    the branch stay as they are; the experiment can be seen with `dvc exp show`.

    Raises:
        NetstabError: there is no such size, or a stage failed.
    """
    root = paths.project_root()
    content = params.read(root / paths.PARAMS).model_dump(mode="json")
    values = _values(sizes.read_sizes(root / paths.SIZES), size, content)
    preflight.check(root)
    preflight.check_workspaces(root)
    target = root / size
    folder.refuse(target)
    sized = [f"{d.key}={_value(d.of_size)}" for d in sizes.differences(content, values)]
    if source is not None or _is_official({**content["data"], **values}, extra):
        # Added where params.yaml leaves the key out.
        sized += [f"++{key}={_value(v)}" for key, v in images(root, size, source).items()]
    # One process after another would import torch once a run.
    overrides = ["runtime.sweep=true", *sized, *extra]
    asked = overridden(root / paths.PARAMS, overrides)
    started = time.monotonic()
    name = f"{size}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    arguments = [word for override in overrides for word in ("-S", override)]
    command = ["exp", "run", "--temp", "--name", name, *arguments]
    page = target / paths.REPORT.name
    before = _version(page)
    env = {**_identity(root), **os.environ, folder.VARIABLE: str(target)}
    code = run_dvc(root, command, env)
    if _version(page) == before:
        if code:
            raise NetstabError(
                f"the study stopped (dvc exit code {code}); see above. Nothing trained is lost: "
                "the same command goes on from the last saved state"
            )
        # The checkout has this very study's report, so no stage made it anew.
        folder.fill(target, root, asked)
    console.print(summary_table(read_summaries(target / paths.VARIANTS.name)))
    print(f"took {duration(time.monotonic() - started)}")
    if not code:
        print(f"experiment: {name} (dvc exp show)" if experiments(root, name) else NOT_KEPT)
    print(f"claims: netstab claims --results {size}")
    print(f"report: {page}")
    if code:
        raise NetstabError(
            f"the results are in {target}, but not all went well (dvc exit code {code}); see above"
        )


def _values(known: Mapping[str, Values], size: str, content: Mapping[str, Any]) -> Values:
    """The values that the study takes in place of those in `params.yaml`.

    Beside the size's own keys, a `params.yaml` of the article's size keeps what the user changed
    in it. Where `netstab size` has written another size there, every key of the size counts.
    """
    whole = sizes.whole(known, size)
    if sizes.nearest(content, known) not in (sizes.ARTICLE, size):
        return whole
    return known[size] if size != sizes.ARTICLE else {}


def _value(value: object) -> str:
    """A value as DVC's -S reads it."""
    # Only now, for it takes a moment to import.
    from hydra.core.override_parser.types import Quote, QuotedString

    if isinstance(value, str):
        return QuotedString(value, Quote.single).with_quotes()
    return json.dumps(value)


def _is_official(data: Mapping[str, Any], extra: list[str]) -> bool:
    """Whether the study would be of all official CIFAR-10.

    Args:
        data: the section of `params.yaml`, and the size's values by dotted key.
        extra: the user's overrides.
    """
    if any(
        word.lstrip("+~").startswith(("data=", "data.source", "data.dataset")) for word in extra
    ):
        return False
    source, dataset = (data.get(f"data.{key}", data[key]) for key in ("source", "dataset"))
    return source is None and dataset == "cifar10"


def _identity(root: Path) -> dict[str, str]:
    """An author for the experiment where git knows none: dvc would stop on a changed tree."""
    asked = (git(root, "config", "--get", f"user.{what}") for what in ("name", "email"))
    if not any(told.returncode for told in asked):
        return {}
    author = {"NAME": "netstab", "EMAIL": "netstab@localhost"}
    return {f"GIT_{who}_{k}": v for who in ("AUTHOR", "COMMITTER") for k, v in author.items()}


def _version(page: Path) -> tuple[int, int] | None:
    """What tells a page from the one that replaces it; None where there is none."""
    try:
        found = page.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns
