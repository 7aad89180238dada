"""A small subset of CIFAR-10, in the official layout: the first images of each official batch."""

import gzip
import io
import tarfile
from contextlib import closing
from pathlib import Path

from netstab import paths
from netstab.data import downloads, pickles
from netstab.data.archives import stream
from netstab.data.cifar import LAYOUTS, Batches
from netstab.data.passed_over import PassedOver
from netstab.errors import DataError
from netstab.files import write_file

IMAGES = 1017
"""Of each batch in the `mini` size: 5,085 to train on and 1,017 to validate on."""

NAME = "a tenth of CIFAR-10"
"""What reports call them, short enough for the subtitles of figures."""

DATASET, IMAGE_SIZE = "cifar10", 32


def official() -> Path:
    """The subset of the official archive, which is fetched if need be; made once, then kept.

    Raises:
        DataError: the archive cannot be fetched, or the subset cannot be written.
    """
    kept = paths.downloads() / "cifar10-head.tar.gz"
    if not kept.is_file():
        write(downloads.official(DATASET), kept, IMAGES)
    return kept


def write(source: Path, target: Path, images: int) -> None:
    """Write the first `images` of each batch of CIFAR-10, and their labels, into a tar.gz.

    The same source gives the same bytes, with the same zlib and numpy: no times, no users.

    Args:
        source: CIFAR-10 in the official layout, as a folder, tar or zip.
        target: the archive; there whole or not at all.
        images: how many of each batch.

    Raises:
        DataError: the source is damaged or has too few images, or the target cannot be written.
    """
    batches = Batches(source, IMAGE_SIZE)
    with closing(stream(source, batches.limit, PassedOver(source))) as entries:
        for entry in entries:
            if entry.content is not None:
                batches.add(entry.name, entry.content)
    if not batches.found:
        raise DataError(f"{source}: has no data_batch_1 ...; name CIFAR-10 in its official layout.")
    classes, _ = batches.tensors(DATASET)  # checks all of it
    (files,) = batches.files.values()
    layout = LAYOUTS[DATASET]
    contents: dict[str, object] = {layout.meta: {layout.classes: list(classes)}}
    for name in (*layout.train, *layout.test):
        batch = pickles.load(files[name], f"{source}: {name}")
        if len(batch["data"]) < images:
            raise DataError(
                f"{source}: {name} has {len(batch['data']):,} images, fewer than {images:,}."
            )
        labels = [int(label) for label in batch[layout.labels][:images]]
        contents[name] = {"data": batch["data"][:images].copy(), layout.labels: labels}
    try:
        write_file(target, _packed(contents), shared=True, sync=True)
    except OSError as error:
        raise DataError(f"{target}: cannot be written ({error}). Free some room there.") from error


def _packed(contents: dict[str, object]) -> bytes:
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, content in contents.items():
            pickled = pickles.dump(content)
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(pickled)
            tar.addfile(entry, io.BytesIO(pickled))
    return packed.getvalue()
