"""Writing results so that a crash leaves the old ones or the new ones, never a part."""

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path


def write_file(path: Path, text: str) -> None:
    """Write a file whole: beside its place first, then moved there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)


def read_folder(folder: Path) -> dict[str, str]:
    """The files of a folder that can be read as text, by name; none where it is not there."""
    texts = {}
    for path in sorted(folder.glob("*")):
        with suppress(OSError, UnicodeDecodeError):
            texts[path.name] = path.read_text(encoding="utf-8")
    return texts


def write_folder(folder: Path, texts: Mapping[str, str]) -> None:
    """Replace a folder by one that holds exactly these files (name -> text).

    The new folder is complete before the old one moves aside, and in place before that one goes.
    """
    new = folder.with_name(f".{folder.name}.new")
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for name, text in texts.items():
        (new / name).write_text(text, encoding="utf-8")
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
