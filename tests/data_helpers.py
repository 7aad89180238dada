"""Small sources of images, good and bad, in every layout."""

import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from netstab.data.manifest import Manifest, Origin, Split
from netstab.params import Data

CLASSES = ("cat", "dog", "owl")
Files = dict[str, bytes]
_SPLIT = Split(
    count=500,
    per_class={"cat": 250, "dog": 250},
    images_sha256="1" * 64,
    labels_sha256="2" * 64,
)
MANIFEST = Manifest(
    name="cats and dogs",
    official=False,
    dataset="cifar10",
    origin=Origin(kind="file", name="pets.zip", sha256="3" * 64),
    classes=("cat", "dog"),
    image_shape=(32, 32, 3),
    train=_SPLIT,
    test=_SPLIT,
    mean=(0.5, 0.5, 0.5),
    std=(0.2, 0.2, 0.2),
    content_sha256="4" * 64,
)
"""Of images that nobody has."""


def data(**changes: Any) -> Data:
    return Data(**({"dataset": "cifar10", "image_size": 8} | changes))


def pixels(seed: int, size: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def encoded(image: np.ndarray, kind: str = "PNG", mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).convert(mode).save(buffer, kind)
    return buffer.getvalue()


def image_files(classes: Iterable[str] = CLASSES, train: int = 3, test: int = 2) -> Files:
    """An image folder; the seed of an image is its place in sorted order."""
    names = [
        f"{split}/{name}/{number:04}.png"
        for split, count in (("train", train), ("test", test))
        for name in sorted(classes)
        for number in range(count)
    ]
    return {name: encoded(pixels(seed)) for seed, name in enumerate(names)}


def rows(seed: int, count: int, classes: int) -> tuple[np.ndarray, list[int]]:
    """Images as official batches hold them, uint8 [count, 3072], and labels."""
    drawn = np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)
    return drawn, [(seed + number) % classes for number in range(count)]


def cifar10_files(protocol: int = 4, classes: int = 10, top: str = "cifar-10-batches-py/") -> Files:
    meta = {"label_names": [f"class {number}" for number in range(classes)], "num_vis": 3072}
    files = {"batches.meta": meta}
    for seed, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        images, labels = rows(seed, classes + 2, classes)
        files[name] = {"batch_label": name, "labels": labels, "data": images, "filenames": ["x"]}
    return {top + name: pickle.dumps(content, protocol) for name, content in files.items()}


def cifar100_files(classes: int = 100) -> Files:
    names = [f"fine {number}" for number in range(classes)]
    files: dict[str, Any] = {"meta": {"fine_label_names": names, "coarse_label_names": ["all"]}}
    for seed, name in enumerate(("train", "test")):
        images, labels = rows(seed, classes, classes)
        files[name] = {"fine_labels": labels, "coarse_labels": [0] * classes, "data": images}
    return {"cifar-100-python/" + name: pickle.dumps(made, 2) for name, made in files.items()}


def packed(files: Files, path: Path, folders: Iterable[str] = ()) -> Path:
    """An archive of the kind that the path's suffix names, or a `.folder`."""
    if path.suffix == ".folder":
        return laid_out(files, path)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in folders:
                archive.writestr(name + "/", b"")
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    compression = path.suffix.removeprefix(".") if path.suffix != ".tar" else ""
    with tarfile.open(path, f"w:{compression}") as tar:
        for name in folders:
            member = tarfile.TarInfo(name)
            member.type = tarfile.DIRTYPE
            tar.addfile(member)
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


class RawName(zipfile.ZipInfo):
    """A member whose name is stored in some encoding, with nothing that says in which."""

    def __init__(self, name: str, encoding: str, *, system: int) -> None:
        super().__init__(name)
        self.encoding = encoding
        self.create_system = system

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.filename.encode(self.encoding), self.flag_bits


DOS, UNIX = 0, 3
"""Systems that a zip says its members were made on."""


def zipped(
    files: Files, path: Path, encoding: str, *, system: int, folders: Iterable[str] = ()
) -> Path:
    """A zip as tools write it that know nothing of UTF-8's flag."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in folders:
            archive.writestr(RawName(name, encoding, system=system), b"")
        for name, content in files.items():
            archive.writestr(RawName(name, encoding, system=system), content)
    return path


def laid_out(files: Files, folder: Path) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def python2_pickle(content: dict[str, Any]) -> bytes:
    """Protocol 2 as Python 2 wrote the official archives: text and arrays as byte strings."""

    def spelt(value: Any) -> bytes:
        if isinstance(value, str):
            return b"U" + bytes([len(value)]) + value.encode()
        if isinstance(value, int):
            return b"J" + struct.pack("<i", value)
        if isinstance(value, list):
            return b"](" + b"".join(map(spelt, value)) + b"e"
        if isinstance(value, tuple):
            return b"(" + b"".join(map(spelt, value)) + b"t"
        dtype = b"cnumpy\ndtype\n" + spelt(("u1", 0, 1)) + b"R(K\x03U\x01|NNNJ\xff\xff\xff\xff"
        dtype += b"J\xff\xff\xff\xffK\x00tb"
        raw = b"T" + struct.pack("<i", value.nbytes) + value.tobytes()
        made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
        return made + b"(K\x01" + spelt(value.shape) + dtype + b"I00\n" + raw + b"tb"

    items = b"".join(spelt(key) + spelt(value) for key, value in content.items())
    return b"\x80\x02}(" + items + b"u."


class Command:
    """Pickles as a call that makes a folder: what a hostile archive would do, only worse."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.mkdir, (str(self.folder),)
