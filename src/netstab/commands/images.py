"""Which images a size takes: the user's own, or the CIFAR-10 subset of `mini`."""

from pathlib import Path

from netstab import paths
from netstab.data import subset
from netstab.errors import NetstabError
from netstab.params.sizes import Value

MINI = "mini"


def images(root: Path, size: str, source: str | None) -> dict[str, Value]:
    """Values of the keys that name the images of a size; none where they stay as they are.

    Args:
        root: the checkout.
        size: demo, mini or article.
        source: an archive, a folder or a URL of the user's own, relative to the current folder;
            None for the size's images, which are made where they are not there.

    Raises:
        NetstabError: the size takes no images, they are not there, or cannot be made.
    """
    if source is None:
        if size != MINI:
            return {}
        named = paths.named_in(root, subset.official())
        return {"data.source": str(named), "data.name": subset.NAME}
    if size == "demo":
        raise NetstabError("demo takes no images: it uses scikit-learn's digits; try mini")
    # What the name says is of other images.
    return {"data.source": own(root, source), "data.name": None}


def own(root: Path, source: str) -> str:
    """How parameters name images of the user's own.

    Args:
        root: the checkout.
        source: an archive, a folder or a URL, relative to the current folder.

    Raises:
        NetstabError: they are not there.
    """
    if "://" in source:
        return source
    path = Path(source).expanduser().resolve()
    if not path.exists():
        raise NetstabError(f"{source}: is not there; name an archive or a folder of images")
    # A path of this machine would go out with the study's results.
    return str(paths.named_in(root, path))
