"""Batches from images that stay on the device.

Order and augmentation of an epoch are drawn on the CPU from (seed, epoch) alone: the same on
every device, and nothing to save.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from netstab.data.seeds import generator
from netstab.data.tensors import Tensors


@dataclass(frozen=True, slots=True)
class Images:
    """One split of the data on the device.

    Attributes:
        pixels: uint8 [N, H + 2 p, W + 2 p, C], with a black border of p pixels.
        labels: int64 [N].
        padding: p; 0 for validation images.
        mean: of each channel of the training images in 0 ... 1, compute dtype, [C].
        std: likewise.
    """

    pixels: Tensor
    labels: Tensor
    padding: int
    mean: Tensor
    std: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> "Images":
        """The first of them; all, where there are not so many."""
        return replace(self, pixels=self.pixels[:count], labels=self.labels[:count])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a batch's images."""
        return self.pixels.shape[1] - 2 * self.padding, self.pixels.shape[2] - 2 * self.padding


def to_device(
    pixels: Tensor,
    labels: Tensor,
    *,
    mean: list[float],
    std: list[float],
    padding: int,
    device: torch.device,
    dtype: torch.dtype,
) -> Images:
    """Put a split (uint8 [N, H, W, C], int64 [N]) onto the device, with its border."""
    return Images(
        functional.pad(pixels, (0, 0, padding, padding, padding, padding)).to(device),
        labels.to(device),
        padding,
        torch.tensor(mean, dtype=dtype, device=device),
        torch.tensor(std, dtype=dtype, device=device),
    )


def splits(
    tensors: Tensors,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    padding: int,
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[Images, Images]:
    """Training images (with a border for crops) and validation images (without) on the device."""
    split = partial(to_device, mean=list(mean), std=list(std), device=device, dtype=dtype)
    train = map(torch.from_numpy, (tensors.train_images, tensors.train_labels))
    test = map(torch.from_numpy, (tensors.test_images, tensors.test_labels))
    return split(*train, padding=padding), split(*test, padding=0)


@dataclass(frozen=True, slots=True)
class Draws:
    """What chance decides in one epoch, for its images in order; the incomplete batch is dropped.

    Attributes:
        order: indices of the images, int64 [steps * batch].
        top: first row of each image's crop, int64 [steps * batch].
        left: first column, likewise.
        flip: whether it is mirrored, bool [steps * batch].
    """

    order: Tensor
    top: Tensor
    left: Tensor
    flip: Tensor


def draw_epoch(
    count: int, batch_size: int, *, padding: int, flip: bool, seed: int, epoch: int
) -> Draws:
    """Order, crops and flips of an epoch, as functions of (seed, epoch).

    Each is drawn for all images and by image, so that neither the batch size nor switching one
    off changes the others.
    """
    used = count - count % batch_size
    order = torch.randperm(count, generator=generator(seed, "order", epoch))[:used]
    crops = torch.randint(0, 2 * padding + 1, (2, count), generator=generator(seed, "crop", epoch))
    coin = torch.randint(0, 2, (count,), generator=generator(seed, "flip", epoch)) == 1
    return Draws(order, crops[0][order], crops[1][order], coin[order] & flip)


def training_batches(
    images: Images, draws: Draws, batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Augmented, normalised batches of an epoch.

    Yields:
        Images [B, C, H, W] in the compute dtype, channels last in memory, and labels int64 [B].
    """
    device = images.labels.device
    height, width = images.size
    rows = draws.top.to(device)[:, None] + torch.arange(height, device=device)
    columns = torch.arange(width, device=device)
    flips = draws.flip.to(device)[:, None]
    columns = draws.left.to(device)[:, None] + torch.where(flips, columns.flip(0), columns)
    order = draws.order.to(device)
    for start in range(0, len(order), batch_size):
        batch = slice(start, start + batch_size)
        index = order[batch]
        # One gather does crop and flip: [B, H, W, C], which is channels-last seen as [B, C, H, W].
        pixels = images.pixels[
            index[:, None, None], rows[batch][:, :, None], columns[batch][:, None, :]
        ]
        yield normalised(pixels, images), images.labels[index]


def validation_batches(images: Images, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """All images in order, not augmented; as `training_batches`, but the last may be short."""
    for start in range(0, len(images), batch_size):
        batch = slice(start, start + batch_size)
        yield normalised(images.pixels[batch], images), images.labels[batch]


def normalised(pixels: Tensor, images: Images) -> Tensor:
    """uint8 [B, H, W, C] -> (pixels / 255 - mean) / std, [B, C, H, W] channels last."""
    scaled = pixels.to(images.mean.dtype).div_(255).sub_(images.mean).div_(images.std)
    return scaled.permute(0, 3, 1, 2)
