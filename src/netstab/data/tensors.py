"""The prepared images as four arrays: their identity, and reading them back, checked."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netstab import paths
from netstab.data.manifest import Manifest
from netstab.errors import DataError

NAMES = ("train_images", "train_labels", "test_images", "test_labels")


@dataclass(frozen=True, slots=True, eq=False)
class Tensors:
    """All images of a data set.

    Attributes:
        train_images: uint8 [N, H, W, C], contiguous.
        train_labels: int64 [N], indices into the manifest's `classes`.
        test_images: likewise.
        test_labels: likewise.
    """

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]


def digest(array: NDArray[Any]) -> str:
    """SHA-256 over an array's dtype, shape and bytes, little-endian and in C order."""
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    hashed = hashlib.sha256(f"{array.dtype.str} {array.shape}\n".encode())
    hashed.update(array.data)
    return hashed.hexdigest()


def identity(digests: dict[str, str]) -> str:
    """`content_sha256` of a manifest, from the `digest` of each of the four tensors by name."""
    text = "".join(f"{name} {digests[name]}\n" for name in NAMES)
    return hashlib.sha256(text.encode()).hexdigest()


def moments(images: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of [N, H, W, C], of values in 0 ... 1.

    From sums of whole numbers, so that every machine gets the same bits.
    """
    channels = range(images.shape[-1])
    totals, squares = [0 for _ in channels], [0 for _ in channels]
    # In pieces that fit the processor's cache.
    for start in range(0, len(images), 1000):
        for channel in channels:
            # The largest square is 255^2 = 65,025.
            values = images[start : start + 1000, ..., channel].astype(np.uint16)
            totals[channel] += int(values.sum(dtype=np.int64))
            squares[channel] += int(np.square(values).sum(dtype=np.int64))
    count = images.size // images.shape[-1]
    mean = tuple(total / (255 * count) for total in totals)
    std = tuple(
        math.sqrt(count * square - total**2) / (255 * count)
        for total, square in zip(totals, squares, strict=True)
    )
    return mean, std


def load(manifest: Manifest, root: Path = Path(".")) -> Tensors:
    """Read `data/prepared` of the checkout at `root` and hold it against its manifest.

    Raises:
        DataError: an array is missing, damaged, or other than the manifest says.
    """
    return checked({n: _read(root / paths.PREPARED / f"{n}.npy") for n in NAMES}, manifest, root)


def checked(
    arrays: Mapping[str, NDArray[Any]], manifest: Manifest, root: Path = Path(".")
) -> Tensors:
    """Hold the four arrays, wherever they came from, against their manifest; see `load`."""
    digests = {}
    for name, array in arrays.items():
        split = manifest.train if name.startswith("train") else manifest.test
        images = name.endswith("images")
        shape = (split.count, *manifest.image_shape) if images else (split.count,)
        expected = split.images_sha256 if images else split.labels_sha256
        same = array.shape == shape and array.dtype == (np.uint8 if images else np.int64)
        # Of other types there may be no digest.
        digests[name] = digest(array) if same else ""
        if digests[name] != expected:
            raise _stale(
                root / paths.PREPARED / f"{name}.npy", f"is not what {paths.MANIFEST} says"
            )
    told = manifest.content_sha256, (manifest.mean, manifest.std)
    if told != (identity(digests), moments(arrays["train_images"])):
        raise _stale(root / paths.MANIFEST, f"is not what the images in {paths.PREPARED} give")
    return Tensors(**arrays)


def _read(path: Path) -> NDArray[Any]:
    try:
        # Mapped first: a damaged header then allocates nothing.
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(mapped, np.ndarray):
            return np.array(mapped, order="C")
    except FileNotFoundError:
        raise _stale(path, "is missing") from None
    except (OSError, ValueError, EOFError, SyntaxError, TokenError) as error:
        # The last two: numpy parses the header as Python.
        raise _stale(path, f"cannot be read ({error})") from error
    raise _stale(path, "is not an array")


def _stale(path: Path, fault: str) -> DataError:
    return DataError(f"{path}: {fault}. Prepare the images again: dvc repro data")
