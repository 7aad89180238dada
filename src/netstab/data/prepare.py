"""From a source to `data/prepared` and `data/manifest.json`: both replaced whole, or not at all."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netstab import paths
from netstab.data import sources
from netstab.data.manifest import Manifest, Split
from netstab.data.tensors import NAMES, Tensors, digest, identity, moments
from netstab.errors import DataError
from netstab.params import Params


def prepare(
    params: Params, root: Path = Path("."), say: Callable[[str], None] | None = None
) -> Manifest:
    """Read the images that `params.data` names and write them below `root`.

    Writes `data/prepared/{train,test}_{images,labels}.npy` and `data/manifest.json`.

    Args:
        params: of the study.
        root: of the checkout.
        say: told what the source holds beside its images, if anything.

    Raises:
        DataError: the images cannot be had or used, or cannot be written; what was there before
            is then still there.
    """
    source = sources.read(params.data)
    manifest = describe(source)
    _replace(source.tensors, manifest, root)
    if say and source.passed_over:
        say(source.passed_over)
    return manifest


def describe(source: sources.Source) -> Manifest:
    """Facts and hashes of images that were read.

    Raises:
        DataError: there is one class alone, so that nothing is to be learnt; or a channel is the
            same all over, so that it cannot be normalised.
    """
    if len(source.classes) < 2:
        raise DataError(
            f"{source.origin.name}: all images are of class {source.classes[0]}, and nothing can "
            "be learnt from one class. Use images of two or more."
        )
    tensors = source.tensors
    digests = {name: digest(getattr(tensors, name)) for name in NAMES}
    mean, std = moments(tensors.train_images)
    if 0 in std:
        raise DataError(
            f"{source.origin.name}: channel {std.index(0)} is the same in all training images. "
            "Use images with contents."
        )

    def split(name: str, labels: NDArray[np.int64]) -> Split:
        counts = np.bincount(labels, minlength=len(source.classes)).tolist()
        return Split(
            count=len(labels),
            per_class=dict(zip(source.classes, counts, strict=True)),
            images_sha256=digests[f"{name}_images"],
            labels_sha256=digests[f"{name}_labels"],
        )

    height, width, channels = tensors.train_images.shape[1:]
    return Manifest(
        name=source.name,
        official=source.official,
        dataset=source.dataset,
        origin=source.origin,
        classes=source.classes,
        image_shape=(height, width, channels),
        train=split("train", tensors.train_labels),
        test=split("test", tensors.test_labels),
        mean=mean,
        std=std,
        content_sha256=identity(digests),
        notes=source.notes,
    )


def _replace(tensors: Tensors, manifest: Manifest, root: Path) -> None:
    prepared, told = root / paths.PREPARED, root / paths.MANIFEST
    # Fixed names, so that the next run clears away what a killed one left.
    new, old = prepared.with_name(".prepared.new"), prepared.with_name(".prepared.old")
    new_told = told.with_name(".manifest.new")
    try:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
        new.mkdir(parents=True)
        for name in NAMES:
            np.save(new / f"{name}.npy", getattr(tensors, name), allow_pickle=False)
        new_told.write_text(manifest.to_json(), encoding="utf-8")
        if prepared.exists():
            os.replace(prepared, old)
        try:
            os.replace(new, prepared)
            os.replace(new_told, told)
        except BaseException:
            shutil.rmtree(prepared, ignore_errors=True)
            if old.exists():
                os.replace(old, prepared)
            raise
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        # numpy only says how much it could not write.
        why = error.strerror or f"{error}; the disk may be full"
        raise DataError(
            f"{error.filename or prepared}: cannot be written ({why}). "
            "Make room or make it writable, then: dvc repro data"
        ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
        new_told.unlink(missing_ok=True)
