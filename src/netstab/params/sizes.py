"""The supported sizes of a study (`sizes.yaml`): values for some keys of `params.yaml`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

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
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise NetstabError(
            f"{path}: cannot be read ({error}); restore it: git checkout -- {path.name}"
        ) from error
    if not isinstance(found, dict) or not all(isinstance(v, dict) for v in found.values()):
        raise NetstabError(f"{path}: holds no sizes; restore it: git checkout -- {path.name}")
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
    """The text of `params.yaml` with other values for some keys; nothing else of it changes.

    A key that is absent stays absent. Values are written as DVC writes them, so that a later
    `dvc exp run -S` changes one line.

    Args:
        text: a valid `params.yaml`.
        values: by dotted key.
    """
    tree = YAML(typ="safe", pure=True).compose(text)
    lines = text.splitlines(keepends=True)
    places = {".".join(path): nodes for path, nodes in _places(tree, ())}
    # From the end, so that the line numbers of what is still to be written stay right.
    found = [(*places[key], value) for key, value in values.items() if key in places]
    for name, old, value in sorted(found, key=lambda f: f[0].start_mark.line, reverse=True):
        if _value_of(old) == value:
            continue
        first, last = name.start_mark.line, _last_line(name, old)
        indent = " " * name.start_mark.column
        # What stands behind a value on its own line is a comment, and stays.
        behind = lines[first][_end_column(name, old) :].rstrip("\n") if last == first else ""
        head, *items = _written(name.value, value)
        lines[first : last + 1] = [
            f"{indent}{head}{behind}\n",
            *(f"{indent}{item}\n" for item in items),
        ]
    return "".join(lines)


def lacking(text: str, values: Values) -> list[str]:
    """Keys that `write_values` would leave absent though they have a value."""
    content = YAML(typ="safe", pure=True).load(text)
    return [k for k, value in values.items() if value is not None and at(content, k) is _ABSENT]


def _places(node: Node, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Path, and the nodes of key and value, of everything in nested mappings."""
    if isinstance(node, MappingNode):
        for name, value in node.value:
            here = (*path, name.value)
            yield here, (name, value)
            yield from _places(value, here)


def _value_of(node: Node) -> Any:
    yaml = YAML(typ="safe", pure=True)
    return yaml.constructor.construct_document(node)


def _last_line(name: Node, value: Node) -> int:
    if isinstance(value, SequenceNode) and not value.flow_style:
        return int(value.value[-1].end_mark.line)
    # Where nothing stands behind the key, the empty value may begin on a later line.
    return int(name.end_mark.line if _is_nothing(value) else value.end_mark.line)


def _end_column(name: Node, value: Node) -> int:
    return int(name.end_mark.column + 1 if _is_nothing(value) else value.end_mark.column)


def _is_nothing(value: Node) -> bool:
    return isinstance(value, ScalarNode) and value.start_mark.index == value.end_mark.index


def _written(name: str, value: Value) -> list[str]:
    if isinstance(value, list) and value:
        return [f"{name}:", *(f"- {item}" for item in value)]
    if value is None:
        return [f"{name}:"]
    if isinstance(value, bool):
        return [f"{name}: {str(value).lower()}"]
    return [f"{name}: {value}"]
