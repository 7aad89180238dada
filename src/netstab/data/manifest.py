"""What the prepared images are, as one small file that git carries.

Neither numpy nor torch: stages whose results exist finish without either.
"""

import json
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from netstab import paths
from netstab.errors import DataError

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=1)]
Level = Annotated[float, Field(ge=0, le=1)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Origin(_Record):
    """Where the images came from."""

    kind: Literal["official", "file", "folder", "url", "package"]
    """Official archive; file, folder or URL in its place; data that a package brings along."""
    name: str
    """Name of the file or folder without its path, the URL, or the package."""
    sha256: Sha256 | None
    """Hash of the archive; null where there is none."""


class Split(_Record):
    """The training or the test images."""

    count: Count
    per_class: dict[str, Count]
    """Number of images of each class, in the order of the labels."""
    images_sha256: Sha256
    """Hash of the images' dtype, shape and bytes."""
    labels_sha256: Sha256
    """Hash of the labels' dtype, shape and bytes."""


class Manifest(_Record):
    """`data/manifest.json`: identity and facts of the images in `data/prepared`."""

    name: str
    """What reports call the data."""
    official: bool
    """Whether nothing stands in for the data set's own images, told by the archive's hash."""
    dataset: Literal["cifar10", "cifar100", "digits"]
    origin: Origin
    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of the classes; a label is an index into them."""
    image_shape: tuple[Count, Count, Count]
    """Height and width in pixels, and channels."""
    train: Split
    test: Split
    mean: tuple[Level, ...]
    """Mean of each channel over the training images' pixels, of values in 0 ... 1."""
    std: tuple[Level, ...]
    """Standard deviation (of the population) likewise."""
    content_sha256: Sha256
    """Identity of the data: hash of all four tensors, wherever they came from."""
    notes: tuple[str, ...] = ()
    """How images were read where there is more than one way; left out where there is none."""

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        for split in (self.train, self.test):
            if tuple(split.per_class) != self.classes:
                raise ValueError("per_class and classes name different classes")
            if sum(split.per_class.values()) != split.count:
                raise ValueError("per_class does not sum to count")
        if not len(self.mean) == len(self.std) == self.image_shape[2]:
            raise ValueError("mean, std and image_shape differ in channels")
        return self

    def to_json(self) -> str:
        """The file's text: the same for the same manifest."""
        content = self.model_dump(mode="json", exclude=None if self.notes else {"notes"})
        return json.dumps(content, indent=2) + "\n"


def read_manifest(root: Path = Path(".")) -> Manifest:
    """Read `data/manifest.json` of the checkout at `root`.

    Raises:
        DataError: it is missing, cannot be read, or is not such a file.
    """
    path = root / paths.MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: is missing. Prepare the images: dvc repro data") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Make it readable.") from error
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(map(str, fault["loc"]))
        raise DataError(
            f"{path}: is damaged ({where + ': ' if where else ''}{fault['msg']}). "
            "Prepare the images again: dvc repro data"
        ) from error
