"""The official layout of CIFAR-10 and CIFAR-100: pickled batches of images.

Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009);
https://www.cs.toronto.edu/~kriz/cifar.html
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netstab.data import pickles
from netstab.data.archives import UNPRINTABLE
from netstab.data.tensors import Tensors
from netstab.errors import DataError

MAX_FILE_BYTES = 512 * 2**20
MAX_BYTES = 2 * 2**30
"""Of all files together, which are held in memory; the official ones have 0.2 GiB."""
MOST_CLASSES = 100_000
LONGEST_NAME = 300
"""Characters of a class's name."""
PLACE = re.compile(
    r"(?:(?P<top>[^/]+)/)?(?P<file>batches\.meta|data_batch_[1-5]|test_batch|meta|train|test)"
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Names of the files, and of the keys in them."""

    meta: str
    classes: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    labels: str


LAYOUTS = {
    "cifar10": Layout(
        meta="batches.meta",
        classes="label_names",
        train=tuple(f"data_batch_{number}" for number in range(1, 6)),
        test=("test_batch",),
        labels="labels",
    ),
    "cifar100": Layout(
        meta="meta",
        classes="fine_label_names",
        train=("train",),
        test=("test",),
        labels="fine_labels",
    ),
}


class Batches:
    """Gathers the pickles of one source as they come along."""

    def __init__(self, source: Path, size: int) -> None:
        self.source = source
        self.size = size
        self.files: dict[str, dict[str, bytes]] = {}

    def limit(self, name: str) -> int:
        """For `archives.stream`."""
        return MAX_FILE_BYTES if PLACE.fullmatch(name) else 0

    def add(self, name: str, content: bytes) -> None:
        """Take in a file that `limit` admitted.

        Raises:
            DataError: with those before it, it is larger than any data set in memory.
        """
        place = PLACE.fullmatch(name)
        assert place is not None
        self.files.setdefault(place["top"] or ".", {})[place["file"]] = content
        held = sum(len(one) for files in self.files.values() for one in files.values())
        if held > MAX_BYTES:
            raise DataError(
                f"{self.source}: {name}: more images than fit into memory. Use fewer of them."
            )

    @property
    def found(self) -> bool:
        """Whether there was any file of an official layout."""
        return bool(self.files)

    @property
    def first(self) -> str:
        """Name of the first file."""
        return next(file for files in self.files.values() for file in files)

    def tensors(self, dataset: str) -> tuple[tuple[str, ...], Tensors]:
        """Names of the classes, and the images in the files' order.

        Raises:
            DataError: more than one data set or another one; a file is missing or damaged; shapes,
                types or labels are not the official ones.
        """
        if len(self.files) > 1:
            raise DataError(
                f"{self.source}: holds several data sets ({', '.join(sorted(self.files))}). "
                "Name one of them in data.source."
            )
        (files,) = self.files.values()
        found = "cifar10" if any("batch" in file for file in files) else "cifar100"
        if found != dataset:
            raise DataError(
                f"{self.source}: has the layout of {found}, but data.dataset is {dataset}. "
                "Correct one of the two."
            )
        layout = LAYOUTS[dataset]
        for file in (layout.meta, *layout.train, *layout.test):
            if file not in files:
                raise DataError(f"{self.source}: {file} is missing. Fetch the archive again.")
        classes = self._classes(files[layout.meta], layout)
        train, test = (
            _joined([self._batch(file, files[file], layout, len(classes)) for file in names])
            for names in (layout.train, layout.test)
        )
        for split, labels in (("training", train[1]), ("test", test[1])):
            for index in np.flatnonzero(np.bincount(labels, minlength=len(classes)) == 0):
                raise DataError(
                    f"{self.source}: no {split} image is of class {classes[index]}. "
                    "Use a copy that has images of every class."
                )
        return classes, Tensors(*train, *test)

    def _classes(self, content: bytes, layout: Layout) -> tuple[str, ...]:
        where = f"{self.source}: {layout.meta}"
        names = pickles.load(content, where).get(layout.classes)
        if not isinstance(names, list) or not all(isinstance(name, str | bytes) for name in names):
            raise DataError(
                f"{where}: {layout.classes} is {_kind(names)}, not a list of names. "
                "Convert it, or fetch the archive again."
            )
        # Before anything is made of them: a list may hold one long name many times.
        if len(names) > MOST_CLASSES or any(len(name) > LONGEST_NAME for name in names):
            raise DataError(
                f"{where}: {layout.classes} has more than {MOST_CLASSES:,} names, or one of more "
                f"than {LONGEST_NAME} characters. Correct it."
            )
        classes = tuple(
            name.decode("utf-8", "replace") if isinstance(name, bytes) else name for name in names
        )
        if any(UNPRINTABLE.search(name) for name in classes):
            raise DataError(f"{where}: {layout.classes} has control characters. Correct it.")
        if not classes or len(set(classes)) < len(classes):
            raise DataError(f"{where}: {layout.classes} is empty or has a name twice. Correct it.")
        return classes

    def _batch(
        self, file: str, content: bytes, layout: Layout, classes: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        where = f"{self.source}: {file}"
        batch = pickles.load(content, where)
        data = batch.get("data")
        pixels = 3 * self.size**2
        if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2:
            raise DataError(
                f"{where}: data is {_kind(data)}, not an array of uint8 [N, {pixels}] "
                "(red, then green, then blue, from 0 to 255). "
                "Convert it, or fetch the archive again."
            )
        if data.shape[1] != pixels:
            raise DataError(
                f"{where}: an image has {data.shape[1]} values, not {pixels} as data.image_size "
                f"{self.size} needs (official images are of size 32). Correct data.image_size."
            )
        labels = _labels(where, layout.labels, batch.get(layout.labels), classes)
        if len(labels) != len(data):
            raise DataError(
                f"{where}: {len(data)} images but {len(labels)} {layout.labels}. "
                "Fetch the archive again."
            )
        return data.reshape(-1, 3, self.size, self.size), labels


def _labels(where: str, key: str, value: Any, classes: int) -> NDArray[np.int64]:
    if isinstance(value, list) and all(type(label) is int for label in value):
        # As objects, so that a label past 64 bits is out of range like any other.
        value = np.array(value, dtype=object)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuO" or value.ndim != 1:
        wanted = "of whole numbers" if isinstance(value, list) else "a list of whole numbers"
        raise DataError(
            f"{where}: {key} is {_kind(value)}, not {wanted}. Convert it: "
            "[int(label) for label in labels], or fetch the archive again."
        )
    wrong = np.flatnonzero((value < 0) | (value >= classes))
    if len(wrong):
        label = value[wrong[0]]
        # A number of thousands of digits cannot be written out.
        told = str(label) if abs(label) < 10**18 else "of many digits"
        raise DataError(
            f"{where}: label {told} of image {wrong[0]} is out of range: "
            f"there are {classes} classes. Correct {key}."
        )
    return value.astype(np.int64)


def _kind(value: Any) -> str:
    """What a value is, in words."""
    if value is None:
        return "missing"
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype.name} {list(value.shape)}"
    if not isinstance(value, list):
        return f"a {type(value).__name__}"
    kinds = {type(item).__name__.lstrip("_") for item in value}
    return f"a list of {' and '.join(sorted(kinds)) or 'nothing'}"


def _joined(
    batches: list[tuple[NDArray[np.uint8], NDArray[np.int64]]],
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    images = np.concatenate([images for images, _ in batches])
    labels = np.concatenate([labels for _, labels in batches])
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1)), labels
