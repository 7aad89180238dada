"""Where images come from: an official archive, a source in its place, or scikit-learn."""

import os
import re
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from netstab import paths
from netstab.data import digits, downloads
from netstab.data.archives import stream
from netstab.data.cifar import Batches
from netstab.data.folder import ImageFolder
from netstab.data.manifest import Origin
from netstab.data.passed_over import PassedOver
from netstab.data.tensors import Tensors
from netstab.errors import DataError
from netstab.params import Data

OFFICIAL_NAMES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "digits": "scikit-learn digits"}

OFFICIAL_SIZE = 32
"""Height and width of the images of CIFAR-10 and CIFAR-100."""


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Images, and what is known of where they came from."""

    name: str
    dataset: Literal["cifar10", "cifar100", "digits"]
    official: bool
    origin: Origin
    classes: tuple[str, ...]
    tensors: Tensors
    notes: tuple[str, ...] = ()
    """How images were read where there is more than one way."""
    passed_over: str = ""
    """What else there was, in words; empty where there was nothing."""


def read(data: Data) -> Source:
    """All images that `data` names, checked, in memory; downloads what has to be.

    Raises:
        DataError: they cannot be had, are damaged, unsafe or incomplete, or do not fit `data`.
    """
    notes: tuple[str, ...] = ()
    beside = ""
    if data.source is None and data.dataset == "digits":
        classes, tensors = digits.tensors(data.image_size)
        origin = Origin(kind="package", name="scikit-learn", sha256=None)
    else:
        try:
            path, origin = _locate(data)
        except OSError as error:
            raise DataError(
                f"{error.filename}: cannot be read ({error.strerror}). Make it readable."
            ) from error
        classes, tensors, notes, beside = _unpack(path, data)
    official = data.source is None or (
        origin.sha256 is not None and origin.sha256 == downloads.OFFICIAL_SHA256.get(data.dataset)
    )
    name = OFFICIAL_NAMES[data.dataset]
    if not official:
        place = urlsplit(origin.name).path if origin.kind == "url" else origin.name
        name = f"{data.dataset} from {Path(place).name or origin.name}"
    return Source(
        data.name or name, data.dataset, official, origin, classes, tensors, notes, beside
    )


def _locate(data: Data) -> tuple[Path, Origin]:
    expected = data.sha256.lower() if data.sha256 else None
    if data.source is None:
        if data.image_size != OFFICIAL_SIZE:
            raise DataError(
                f"data.image_size: is {data.image_size}, but the images of "
                f"{OFFICIAL_NAMES[data.dataset]} are of size {OFFICIAL_SIZE}. Set it to that."
            )
        file = downloads.official(data.dataset)
        return file, Origin(kind="official", name=file.name, sha256=downloads.sha256(file))
    if re.match(r"https?://", data.source, re.IGNORECASE):
        file = downloads.fetch(data.source, expected)
        return file, Origin(kind="url", name=data.source, sha256=downloads.sha256(file))
    path = _local(data.source)
    if path.is_dir():
        if expected:
            raise DataError(
                f"data.sha256: {path} is a folder, which has no hash. "
                "Remove data.sha256, or pack the folder and name the archive."
            )
        return path, Origin(kind="folder", name=path.name, sha256=None)
    downloads.check(path, expected, str(path))
    return path, Origin(kind="file", name=path.name, sha256=downloads.sha256(path))


def _local(source: str) -> Path:
    if "://" in source:
        raise DataError(f"data.source: {source} is neither a path nor an http(s) URL. Correct it.")
    try:
        path = Path(source).expanduser()
    except RuntimeError as error:
        raise DataError(f"data.source: {source}: {error}. Write the path in full.") from error
    path = path if path.is_absolute() else paths.main_root() / path
    path = Path(os.path.abspath(path))
    if not path.is_dir() and not path.is_file():
        raise DataError(
            f"data.source: there is no file or folder {path}. Correct the path "
            "(relative ones start at the checkout), or set data.source to null to download."
        )
    return path


def _unpack(path: Path, data: Data) -> tuple[tuple[str, ...], Tensors, tuple[str, ...], str]:
    batches = Batches(path, data.image_size)
    folder = ImageFolder(path, data.image_size)
    beside = PassedOver(path)
    entries = stream(path, lambda name: batches.limit(name) or folder.limit(name), beside)
    with closing(entries):
        for entry in entries:
            if not folder.add(entry) and entry.content is not None:
                batches.add(entry.name, entry.content)
    if folder.found and batches.found:
        raise DataError(
            f"{path}: has both train/<class>/ and {batches.first}, a file of the official layout. "
            "Keep one of the two."
        )
    if folder.found or batches.found:
        beside.refuse_images()
    if folder.found:
        return *folder.tensors(), folder.notes, str(beside)
    if batches.found:
        return *batches.tensors(data.dataset), (), str(beside)
    raise DataError(
        f"{path}: its layout is not recognised: neither train/<class>/<image> and "
        "test/<class>/<image> nor the official files (data_batch_1, ...). Arrange it so, or "
        "correct data.source."
    )
