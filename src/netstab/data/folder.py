"""Image folders: `train/<class>/<image>` and `test/<class>/<image>` (or `val/<class>/<image>`)."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netstab.data.archives import Entry
from netstab.data.decoding import decode
from netstab.data.tensors import Tensors
from netstab.errors import DataError

TRAIN = "train"
TESTS = ("test", "val", "valid", "validation")
"""Names of the folder of test images; a source has one of them."""

# Lazy, so that a class may be called `train` or `test`.
PLACE = re.compile(
    rf"(?:(?P<top>[^/]+)/)??(?P<split>{'|'.join((TRAIN, *TESTS))})"
    r"(?:/(?P<group>[^/]+)(?:/(?P<file>.+))?)?"
)
SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".webp")
MAX_FILE_BYTES = 16 * 2**20
MAX_PIXEL_BYTES = 16 * 2**30
"""Decoded images are held in memory."""

Images = dict[str, NDArray[np.uint8]]


class ImageFolder:
    """Gathers the images of one source as they come along."""

    def __init__(self, source: Path, size: int) -> None:
        self.source = source
        self.size = size
        self.tops: set[str] = set()
        self.splits: dict[str, dict[str, Images]] = {}
        self.pixel_bytes = 0
        self.turned = self.see_through = 0

    def limit(self, name: str) -> int:
        """For `archives.stream`.

        Raises:
            DataError: a file in a class folder is no image.
        """
        place = PLACE.fullmatch(name)
        if place is None or place["group"] is None:
            return 0
        is_image = name.lower().endswith(SUFFIXES)
        if place["file"] is not None and not is_image:
            raise DataError(
                f"{self.source}: {name} is in a class folder and is no image "
                f"({', '.join(SUFFIXES)}). Remove or convert it."
            )
        return MAX_FILE_BYTES if is_image else 0

    def add(self, entry: Entry) -> bool:
        """Take in an image or class folder; False where it is neither.

        Raises:
            DataError: an image lies in no class folder, is damaged or has another size.
        """
        place = PLACE.fullmatch(entry.name)
        if place is None or place["group"] is None:
            return False
        classes = self.splits.setdefault(place["split"], {})
        if entry.content is None:
            if place["file"] is None:
                classes.setdefault(place["group"], {})
                self.tops.add(place["top"] or ".")
            return True
        if not entry.name.lower().endswith(SUFFIXES):
            return False
        if place["file"] is None or "/" in place["file"]:
            raise DataError(
                f"{self.source}: {entry.name} has no label: an image belongs into "
                "train/<class>/ or test/<class>/. Move or remove it."
            )
        self.tops.add(place["top"] or ".")
        classes.setdefault(place["group"], {})[place["file"]] = self._pixels(
            entry.name, entry.content
        )
        return True

    @property
    def found(self) -> bool:
        """Whether there was any class folder."""
        return any(self.splits.values())

    def tensors(self) -> tuple[tuple[str, ...], Tensors]:
        """Classes in sorted order, and their images (RGB) by class and name.

        Raises:
            DataError: more than one data set, a split or class is missing, or a class is empty.
        """
        if len(self.tops) > 1:
            raise DataError(
                f"{self.source}: holds several data sets ({', '.join(sorted(self.tops))}). "
                "Keep one of them."
            )
        name = self._test_split()
        train, test = (self.splits.get(split, {}) for split in (TRAIN, name))
        for split, classes, other in ((TRAIN, train, test), (name, test, train)):
            for group in sorted(other.keys() - classes.keys()):
                raise DataError(
                    f"{self.source}: {split}/{group}/ is missing; train/ and {name}/ must have the "
                    "same classes. Add it with its images, or remove the other."
                )
            for group in sorted(classes):
                if not classes[group]:
                    raise DataError(
                        f"{self.source}: {split}/{group}/ holds no image. "
                        f"Add some, or remove the class from both train/ and {name}/."
                    )
        names = tuple(sorted(train))
        return names, Tensors(*_in_order(train), *_in_order(test))

    @property
    def notes(self) -> tuple[str, ...]:
        """How images were read where there is more than one way."""
        name = self._test_split()
        told = {
            f"{name}/ is taken for the test images": name != TESTS[0],
            f"images turned as their EXIF orientation says: {self.turned:,}": self.turned,
            f"images with transparency, drawn over white: {self.see_through:,}": self.see_through,
        }
        return tuple(note for note, holds in told.items() if holds)

    def _test_split(self) -> str:
        """The folder of test images.

        Raises:
            DataError: there is more than one that could be meant.
        """
        found = [split for split in TESTS if self.splits.get(split)]
        if len(found) > 1:
            raise DataError(
                f"{self.source}: has both {found[0]}/ and {found[1]}/ beside train/: keep the one "
                "to test on, and move the other out of the source."
            )
        return found[0] if found else TESTS[0]

    def _pixels(self, name: str, content: bytes) -> NDArray[np.uint8]:
        where = f"{self.source}: {name}"
        self.pixel_bytes += 3 * self.size**2
        if self.pixel_bytes > MAX_PIXEL_BYTES:
            raise DataError(
                f"{where}: more images than fit into memory. Use fewer or smaller ones."
            )
        picture = decode(content, where, self.size)
        self.turned += picture.turned
        self.see_through += picture.see_through
        return picture.pixels


def _in_order(classes: dict[str, Images]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    images = [classes[group][file] for group in sorted(classes) for file in sorted(classes[group])]
    counts = [len(classes[group]) for group in sorted(classes)]
    return np.stack(images), np.repeat(np.arange(len(counts), dtype=np.int64), counts)
