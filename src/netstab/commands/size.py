"""`netstab size`: which supported size `params.yaml` has, or another one written into it."""

import json
from pathlib import Path

from netstab import params, paths
from netstab.commands.images import images
from netstab.errors import NetstabError
from netstab.files import write_file
from netstab.params import sizes

IMAGES = ("data.source", "data.name")
"""What names the images; a user's own are no difference from a size."""


def show(*, as_json: bool) -> None:
    """Say which size `params.yaml` has, or is nearest to, and in which keys it differs.

    Raises:
        NetstabError: `params.yaml` or `sizes.yaml` cannot be used.
    """
    root = paths.project_root()
    known = sizes.read_sizes(root / paths.SIZES)
    content = params.read(root / paths.PARAMS).model_dump(mode="json")
    size = sizes.nearest(content, known)
    found = [d for d in sizes.differences(content, sizes.whole(known, size)) if d.key not in IMAGES]
    if as_json:
        rows = {d.key: {"value": d.value, "of_size": d.of_size} for d in found}
        print(json.dumps({"size": size, "differences": rows}, indent=2))
        return
    print(f"{size}{', but for' if found else ''}")
    for d in found:
        print(f"  {d.key}: {json.dumps(d.value)} instead of {json.dumps(d.of_size)}")


def write(size: str, source: str | None, *, as_json: bool) -> None:
    """Write a size's values into `params.yaml`, and show each key that changed, old -> new.

    Comments, order and everything that is not the size's stay. `mini` takes the first images of
    each CIFAR-10 batch, which it makes where they are not there.

    Args:
        size: demo, mini or article.
        source: images of the user's own, relative to the current folder; None for the size's.
        as_json: whether the changes are printed as JSON.

    Raises:
        NetstabError: there is no such size, `params.yaml` cannot be used or written, or the images
            cannot be made.
    """
    root = paths.project_root()
    path = root / paths.PARAMS
    content = params.read(path).model_dump(mode="json")
    named = images(root, size, source)
    values = sizes.whole(sizes.read_sizes(root / paths.SIZES), size) | named
    before = path.read_text(encoding="utf-8")
    for key in sizes.lacking(before, named):
        raise NetstabError(f"{paths.PARAMS}: lacks {key}, which {size} needs; add the key")
    after = sizes.write_values(before, values)
    if after != before:
        _write(path, after)
    changes = sizes.differences(content, values)
    if as_json:
        rows = {d.key: {"old": d.value, "new": d.of_size} for d in changes}
        print(json.dumps({"size": size, "changes": rows}, indent=2))
        return
    for d in changes:
        print(f"{d.key}: {json.dumps(d.value)} -> {json.dumps(d.of_size)}")
    if not changes:
        print(f"{paths.PARAMS} has this size already")


def _write(path: Path, text: str) -> None:
    try:
        write_file(path, text)
    except OSError as error:
        raise NetstabError(
            f"{path}: cannot be written ({error.strerror}); free some room or mend the rights"
        ) from error
