"""Scikit-learn's handwritten digits: small, and there without a network."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from netstab.data.tensors import Tensors

SIDE = 8


def tensors(size: int) -> tuple[tuple[str, ...], Tensors]:
    """The 1,797 digits of 8 x 8 pixels, one channel, scaled to `size` x `size`.

    Nearest neighbour where `size` is a multiple of 8, bilinear otherwise. The last fifth of each
    class, in scikit-learn's order, is the test set: 1,442 and 355 images.
    """
    # Takes a second to import.
    from sklearn.datasets import load_digits

    bunch = load_digits()
    labels = bunch.target.astype(np.int64)
    # Grey levels are the integers 0 ... 16.
    levels = (bunch.images.astype(np.int64) * 255 + 8) // 16
    images = _scaled(levels.astype(np.uint8), size)[..., None]
    test = np.zeros(len(labels), dtype=bool)
    for label in range(10):
        own = np.flatnonzero(labels == label)
        test[own[len(own) - len(own) // 5 :]] = True
    names = tuple(str(label) for label in range(10))
    return names, Tensors(images[~test], labels[~test], images[test], labels[test])


def _scaled(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    if size % SIDE == 0:
        return images.repeat(size // SIDE, axis=1).repeat(size // SIDE, axis=2)
    bilinear = Image.Resampling.BILINEAR
    return np.stack(
        [np.asarray(Image.fromarray(image).resize((size, size), bilinear)) for image in images]
    )
