"""Runs that are collected ahead: by one stage, for the stages that DVC runs after it.

DVC starts a process for every run, and that spends far longer on importing what checks parameters
and records than on collecting. So the stage of a finished run collects the other finished runs of
its experiment as well, into a folder of their own, and their stages only move the files. They do so
where nothing has changed that the files are made from. Nothing of pydantic here.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from netstab import paths
from netstab.files import write_file
from netstab.locks import results_lock

FOLDER = Path(".netstab") / "ahead"
"""Of a checkout: a folder for each run that is collected ahead."""
NEW = ".new"
MADE_FROM = "made-from.json"
"""In such a folder, written last: what its files are made from."""


def take(name: str) -> bool:
    """Put the files of a run in their place, if they are collected ahead and still right.

    Returns:
        Whether they were.

    Raises:
        NetstabError: the checkout cannot be written.
    """
    folder = FOLDER / name
    if not folder.is_dir():
        return False
    with results_lock(FOLDER.name), results_lock(name):
        try:
            told = json.loads((folder / MADE_FROM).read_text(encoding="utf-8"))
            state = told.get("state") if isinstance(told, dict) else None
            # Who removes the store wants to see it trained again.
            good = (
                isinstance(state, str)
                and told == {**_made_from(), "state": state}
                and Path(state).is_file()
            )
            (folder / MADE_FROM).unlink()
            if good:
                target = paths.run_dir(name)
                target.mkdir(parents=True, exist_ok=True)
                for file in sorted(folder.iterdir()):
                    file.replace(target / file.name)
        except (OSError, ValueError, RecursionError):
            good = False  # whoever collects it now tells what is wrong
        shutil.rmtree(folder, ignore_errors=True)
    return good


@contextmanager
def place(name: str, state: Path) -> Iterator[Path]:
    """A folder to write the files of a run into, as into a checkout, for its stage to take.

    Args:
        name: of the run.
        state: file of its last state in the store.

    Raises:
        NetstabError: the checkout cannot be written.
    """
    with results_lock(FOLDER.name):
        new, made_from = FOLDER / NEW, _made_from()
        shutil.rmtree(new, ignore_errors=True)
        yield new
        written = new / paths.run_dir(name)
        write_file(written / MADE_FROM, json.dumps({**made_from, "state": str(state)}))
        shutil.rmtree(FOLDER / name, ignore_errors=True)
        written.rename(FOLDER / name)
        shutil.rmtree(new)


def _made_from() -> dict[str, Any]:
    """All that a run's files are made from but the store: parameters, images, and the code."""
    texts = [path.read_text(encoding="utf-8") for path in (paths.PARAMS, paths.MANIFEST)]
    package = paths.NUMERICS.parents[1]
    files = (
        os.path.join(folder, name)
        for folder, _, names in os.walk(package)
        if not folder.endswith("__pycache__")
        for name in names
    )
    code = {file: [(found := os.stat(file)).st_size, found.st_mtime_ns] for file in files}
    return {"texts": texts, "code": code}
