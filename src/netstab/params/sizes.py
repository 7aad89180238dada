"""The supported sizes of a study (`sizes.yaml`): values for some keys of `params.yaml`."""

from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.error import YAMLError

from netstab.errors import NetstabError

ARTICLE = "article"
"""The size that `params.yaml` has as shipped."""

Value = str | int | float | bool | list[int] | None
Values = Mapping[str, Value]
"""Dotted key -> value, e.g. `train.time_scale` -> 0.1."""

_ABSENT = object()


def read_sizes(path: Path) -> dict[str, Values]:
    """The values of every size, by its name.

    Raises:
        NetstabError: the file cannot be read, or is not such a file.
    """
    try:
        found = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, YAMLError) as error:
        raise NetstabError(
            f"{path}: cannot be read ({error}); restore it: git checkout -- {path.name}"
        ) from error
    if not isinstance(found, dict) or not all(isinstance(v, dict) for v in found.values()):
        raise NetstabError(f"{path}: holds no sizes; restore it: git checkout -- {path.name}")
    if ARTICLE not in found:
        raise NetstabError(f"{path}: lacks {ARTICLE}; restore it: git checkout -- {path.name}")
    return found


def whole(sizes: Mapping[str, Values], size: str) -> dict[str, Value]:
    """Every value of one size: what it leaves out is the article's.

    Raises:
        NetstabError: there is no such size.
    """
    if size not in sizes:
        raise NetstabError(f"{size}: is not a size; sizes.yaml has {', '.join(sizes)}")
    return {**sizes[ARTICLE], **sizes[size]}


@dataclass(frozen=True, slots=True)
class Difference:
    """A key whose value in `params.yaml` is not the size's."""

    key: str
    value: Any
    of_size: Value


def differences(content: Mapping[str, Any], values: Values) -> list[Difference]:
    """What `params.yaml` says otherwise than a size does.

    A key that `params.yaml` lacks is no difference: it belongs to an intervention that is removed.
    """
    # A network of one's own has no width that a size could set.
    is_own = ":" in str(at(content, "model.name"))
    found = (
        (key, at(content, key), value)
        for key, value in values.items()
        if not (is_own and key == "model.width")
    )
    return [Difference(*one) for one in found if one[1] is not _ABSENT and one[1] != one[2]]


def nearest(content: Mapping[str, Any], sizes: Mapping[str, Values]) -> str:
    """The size from which `params.yaml` differs in the fewest keys; the first of several."""
    return min(sizes, key=lambda size: len(differences(content, whole(sizes, size))))


def at(content: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted key; a sentinel of this module where it is absent."""
    place: Any = content
    for name in key.split("."):
        if not isinstance(place, Mapping) or name not in place:
            return _ABSENT
        place = place[name]
    return place


def write_values(text: str, values: Values) -> str:
    """The text of `params.yaml` with other values for some keys; comments and order stay.

    A key that is absent stays absent. Where a value changes, the file takes the form in which DVC
    writes it (a list below its key, one space before a comment that has no room), so that a later
    `dvc exp run -S` changes one line.

    Args:
        text: a valid `params.yaml`.
        values: by dotted key.
    """
    yaml = YAML()
    tree = yaml.load(text)
    found = [(k, v) for k, v in values.items() if at(tree, k) not in (_ABSENT, v)]
    for key, value in found:
        above, _, name = key.rpartition(".")
        place = at(tree, above) if above else tree
        old: Any = place[name]
        place[name] = value
        # To the library a comment below a list is its last item's.
        below = old.ca.items.get(len(old) - 1) if isinstance(old, CommentedSeq) else None
        if below and isinstance(value, list) and value:
            place[name] = CommentedSeq(value)
            place[name].ca.items[len(value) - 1] = below
        elif below:
            place.ca.items[name] = [None, None, below[0], None]
    written = StringIO()
    yaml.dump(tree, written)
    return written.getvalue() if found else text


def lacking(text: str, values: Values) -> list[str]:
    """Keys that `write_values` would leave absent though they have a value."""
    content = YAML(typ="safe", pure=True).load(text)
    return [k for k, value in values.items() if value is not None and at(content, k) is _ABSENT]
