"""Images that measures are taken on: the same for every run and seed, never augmented."""

import torch
from torch import Tensor

from netstab.data.batches import Images, normalised
from netstab.data.seeds import generator

PROBE_SEED = 0
"""One for all seeds, so that they can be compared with each other."""


def probe(
    images: Images, count: int, purpose: str, seed: int = PROBE_SEED
) -> tuple[Tensor, Tensor]:
    """A fixed random subset of the training images, all of them where there are no more.

    Args:
        images: training images on the device.
        count: how many.
        purpose: such as `stability`; each has a subset of its own.
        seed: which subset.

    Returns:
        Normalised images [N, C, H, W], channels last, and labels int64 [N].
    """
    order = torch.randperm(len(images), generator=generator(seed, "probe", purpose))
    index = order[:count].to(images.labels.device)
    (height, width), p = images.size, images.padding
    pixels = images.pixels[index, p : p + height, p : p + width]
    return normalised(pixels, images), images.labels[index]
