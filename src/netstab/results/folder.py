"""The folder of a study's results beside the checkout's own, such as `demo/`."""

import os
import shutil
from pathlib import Path

from netstab import paths
from netstab.errors import NetstabError
from netstab.locks import locked
from netstab.text import few

VARIABLE = "NETSTAB_RESULTS"
"""Names the folder to the stage `report` of a study: it fills it as soon as the report is made."""
NEW = ".netstab-new"
"""What is written before it replaces what is there; within the folder, which may be a link, or a
file system of its own."""
INPUTS = (paths.PARAMS, paths.MANIFEST)
"""The study's own, beside its results: by these `netstab store` knows what its states are for."""


def refuse(folder: Path) -> None:
    """Refuse a folder that cannot take a study's results, or that is the user's own.

    Raises:
        NetstabError: with the way out.
    """
    if folder.is_symlink() and not folder.exists():
        raise NetstabError(
            f"{folder}: is a link to {os.readlink(folder)}, which is not there. The study's "
            "results go there: make that folder, or remove the link"
        )
    if folder.exists() and not folder.is_dir():
        raise NetstabError(
            f"{folder}: is a file, and the study's results go into a folder of that name; move "
            "the file away"
        )
    there = folder.is_dir()
    try:
        (folder / NEW).mkdir(parents=True, exist_ok=True)
        names = sorted(path.name for path in folder.iterdir() if path.name != NEW)
        shutil.rmtree(folder / NEW)
        if not there:
            folder.rmdir()
    except OSError as error:
        raise NetstabError(
            f"{folder}: cannot be written ({error.strerror}), and the study's results go there. "
            "Mend the rights, or make it a link to a folder that can be written"
        ) from error
    if names and paths.REPORT.name not in names:
        raise NetstabError(
            f"{folder}: holds {few(names)}, and no report of a study, whose results would go "
            f"there. Move it away: mv {folder.name} my-{folder.name}"
        )


def fill(folder: Path, root: Path, params: str | None = None) -> None:
    """Put the results of a checkout, with their inputs, in place of what the folder holds of such.

    Each file and folder is replaced whole, and only once all of them are written. Whatever else is
    in the folder stays.

    Args:
        folder: the study's.
        root: the checkout, or a temporary copy of one.
        params: text of the study's `params.yaml`; None for the one that is there.

    Raises:
        NetstabError: the folder cannot be written.
    """
    new = folder / NEW
    try:
        # Two studies of a size may end at the same time.
        with locked(paths.main_root() / paths.LOCKS / f"{folder.name}.lock"):
            shutil.rmtree(new, ignore_errors=True)
            shutil.copytree(root / paths.METRICS, new)
            # First the page, by which the folder is known for one of results.
            names = sorted(os.listdir(new), key=lambda name: name != paths.REPORT.name)
            for part in INPUTS:
                (new / part).parent.mkdir(exist_ok=True)
                shutil.copyfile(root / part, new / part)
            if params is not None:
                (new / paths.PARAMS).write_text(params, encoding="utf-8")
            for part in (*map(Path, names), *INPUTS):
                _replace(new / part, folder / part)
            shutil.rmtree(new)
    except OSError as error:
        raise NetstabError(
            f"{error.filename or folder}: cannot be written ({error.strerror}), and the study's "
            "results go there. Make room or mend the rights, then run the same command again: all "
            "that was trained is in the store"
        ) from error


def _replace(new: Path, there: Path) -> None:
    there.parent.mkdir(exist_ok=True)
    if there.is_dir() and not there.is_symlink():
        shutil.rmtree(there)
    elif new.is_dir():
        there.unlink(missing_ok=True)
    new.replace(there)
