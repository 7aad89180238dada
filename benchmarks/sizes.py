"""The supported sizes: their parameters, and images to measure with. No torch."""

from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from netstab import paths
from netstab.data.manifest import Manifest, Origin
from netstab.data.prepare import describe
from netstab.data.prepare import prepare as prepare_source
from netstab.data.sources import Source
from netstab.data.tensors import NAMES, Tensors
from netstab.params import Params, check
from netstab.params.sizes import read_sizes, whole, write_values
from tests.checkout import ROOT, changed

RANDOM_COUNTS = {"mini": (5_085, 1_017), "article": (50_000, 10_000)}
"""Training and test images of a size, where random ones stand in for real ones."""


def content(size: str, **changes: Any) -> dict[str, Any]:
    """What `params.yaml` says at a size (demo, mini or article), with changes: see `changed`."""
    text = (ROOT / paths.PARAMS).read_text(encoding="utf-8")
    sized = write_values(text, whole(read_sizes(ROOT / "sizes.yaml"), size))
    made: dict[str, Any] = changed(YAML(typ="safe", pure=True).load(sized), **changes)
    return made


def params(
    size: str,
    source: Path | None = None,
    device: str = "auto",
    threads: int | None = None,
    **changes: Any,
) -> Params:
    """The parameters of a size, with images from somewhere and on a device; see `content`."""
    images = {"source": str(source.resolve())} if source else {}
    runtime = {"device": device, "threads": threads}
    return check(content(size, **{"data": images, "runtime": runtime, **changes}))


def prepare(study: Params, size: str, folder: Path) -> Manifest:
    """Prepared images below `folder`: the ones the parameters name, or random ones in their place.

    Random ones where a size would have to download: what is in them changes no time and no memory.
    """
    if study.data.source is not None or study.data.dataset == "digits":
        return prepare_source(study, folder)
    return random_images(folder, *RANDOM_COUNTS[size], study.data.image_size)


def random_images(folder: Path, training: int, test: int, image_size: int) -> Manifest:
    """Write random colour images of ten classes as the stage `data` writes real ones."""
    random = np.random.default_rng(0)

    def images(count: int) -> np.ndarray:
        shape = (count, image_size, image_size, 3)
        return random.integers(0, 256, shape, dtype=np.uint8)

    tensors = Tensors(
        images(training), np.arange(training) % 10, images(test), np.arange(test) % 10
    )
    origin = Origin(kind="package", name="numpy", sha256=None)
    classes = tuple(f"class {number}" for number in range(10))
    manifest = describe(Source("random images", "cifar10", False, origin, classes, tensors))
    (folder / paths.PREPARED).mkdir(parents=True)
    for name in NAMES:
        np.save(folder / paths.PREPARED / f"{name}.npy", getattr(tensors, name))
    (folder / paths.MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return manifest
