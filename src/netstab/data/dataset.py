"""What the plan has to know of the images."""

from dataclasses import dataclass
from typing import Self

from netstab.data.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Dataset:
    """What the plan has to know of the data.

    Attributes:
        identity: content hash of the tensors; None while they are not prepared.
        training_images: how many.
        channels: of an image.
        classes: how many.
    """

    identity: str | None
    training_images: int
    channels: int
    classes: int

    @classmethod
    def prepared(cls, manifest: Manifest) -> Self:
        """The data that a manifest describes."""
        return cls(
            manifest.content_sha256,
            manifest.train.count,
            manifest.image_shape[2],
            len(manifest.classes),
        )


OFFICIAL = {
    "cifar10": Dataset(None, 50_000, 3, 10),
    "cifar100": Dataset(None, 50_000, 3, 100),
    "digits": Dataset(None, 1_442, 1, 10),
}
"""What a data set will look like once it is prepared; `data.source` may differ."""
