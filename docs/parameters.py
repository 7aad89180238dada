"""Writes docs/PARAMETERS.md from the models: PYTHONPATH=src python docs/parameters.py.

`tests/test_docs.py` checks that the page is what this makes of them.
"""

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from ruamel.yaml import YAML

from netstab.params import Params

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "PARAMETERS.md"

INTRODUCTION = """\
# What does each parameter mean?

This page is made from the models in `src/netstab/params/` by `PYTHONPATH=src python
docs/parameters.py`. *Shipped* is the value in `params.yaml`. *demo* and *mini* are those sizes'
values, where they differ (`sizes.yaml`). An empty value is `null` in YAML.

- Epochs count from 0 and are stated at `train.time_scale` 1, which multiplies all of them but
  `claims.fewest_jitter_epochs`. A change at epoch 60 is in force when epoch 60 starts.
- Keys of mappings are quoted: names of blocks, epochs in `own`. Names start with a letter, then
  letters, digits and `_`, 60 at most.
- Everything wrong in `params.yaml` is listed at once, by key, before anything runs. DVC reads six
  keys before that (`seeds`, `experiments`, `blocks`, `expE`, `expF.shapes`, `own`): where one is
  empty or a single value, it says `'Value' object is not iterable`, and `netstab plan` says which
  and what to write.

| a change in | reruns |
|---|---|
| `expA` to `expD`, `strict`, `expE.NAME`, `expF`, `own.NAME` | it, and the report |
| `outpost` | it, the ceiling, and the report |
| `baseline` | the baseline and its views, the ceiling, and the report |
| `seeds`, `experiments` | the runs that it adds, and the report |
| `data`, `model`, `train` | everything |
| `freeze` | what freezes, but `strict` |
| `blocks` | the experiments; stability, field and sharpness by block |
| `measure`, `ceiling` | measurements, and the epochs that these need from a stored state |
| `measure.barriers` | barriers, in the report: no epoch and no other measurement |
| `report`, `claims` | the report |
| `runtime` | nothing: no stage tracks it |
"""


def page() -> str:
    """The page as text."""
    read = YAML(typ="safe", pure=True).load
    shipped = read((ROOT / "params.yaml").read_text(encoding="utf-8"))
    sizes = read((ROOT / "sizes.yaml").read_text(encoding="utf-8"))
    lines = [INTRODUCTION]
    found = dict(sections(Params))
    plain = [name for name in Params.model_fields if name not in found]
    lines.append("## Top level\n\n" + _table(Params, "", plain, shipped, sizes))
    for name, model in found.items():
        nested = dict(sections(model))
        lines.append(f"## `{name}`\n\n{_told(model)}\n")
        own = [field for field in model.model_fields if field not in nested]
        if own:
            lines.append(_table(model, f"{name}.", own, shipped[name], sizes))
        for inner, below in nested.items():
            key = f"{name}.{inner}"
            lines.append(f"### `{key}`\n\n{_told(below)}\n")
            fields = list(below.model_fields)
            lines.append(_table(below, f"{key}.", fields, shipped[name][inner], sizes))
    return "\n".join(lines)


def sections(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """Fields that are sections themselves, each with its model."""
    for name, field in model.model_fields.items():
        options = getattr(field.annotation, "__args__", (field.annotation,))
        for kind in options:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield name, kind


def _told(model: type[BaseModel]) -> str:
    """A model's docstring without its own name, as sentences."""
    text = " ".join((model.__doc__ or "").split())
    said = text.split("`: ", 1)[-1] if text.startswith("`") else text
    return f"{said[0].upper()}{said[1:]}"


def docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Field -> the string below it, in the model or those that it extends."""
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if kind is BaseModel or not issubclass(kind, BaseModel):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, below in zip(body.body, body.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                found[ast.unparse(field.target)] = ast.literal_eval(below.value)
    return {name: " ".join(text.split()) for name, text in found.items()}


def _table(
    model: type[BaseModel],
    above: str,
    fields: list[str],
    shipped: Mapping[str, Any],
    sizes: Mapping[str, Mapping[str, Any]],
) -> str:
    told, schemas = docstrings(model), model.model_json_schema()
    rows = ["| parameter | shipped | demo | mini | values | meaning |", "|---|---|---|---|---|---|"]
    for field in fields:
        value, key = shipped.get(field), above + field
        others = [sizes[size].get(key, value) for size in ("demo", "mini")]
        cells = [
            f"`{key}`",
            _value(value),
            *("" if other == value else _value(other) for other in others),
            _allowed(schemas["properties"][field], schemas.get("$defs", {})),
            told[field],
        ]
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(rows) + "\n"


def _value(value: object) -> str:
    if value is None:
        return "empty"
    if isinstance(value, dict):
        return "see there"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _allowed(schema: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    """What a field may be, from its JSON schema."""
    if not schema:
        return "anything"
    if "$ref" in schema:
        return _allowed(known[schema["$ref"].split("/")[-1]], known)
    if "anyOf" in schema:
        return " or ".join(_allowed(option, known) for option in schema["anyOf"])
    if "oneOf" in schema:
        return "rate or shape ([SCHEDULES](SCHEDULES.md))"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = schema["type"]
    if kind == "array":
        return f"list: {_allowed(schema['items'], known)}"
    if kind == "object":
        return f"mapping: {_allowed(schema['additionalProperties'], known)}"
    words = {"integer": "whole number", "number": "number", "string": "text"}
    words |= {"boolean": "`true` or `false`", "null": "empty"}
    return words[kind] + _bounds(schema)


def _bounds(schema: Mapping[str, Any]) -> str:
    """The limits of a number, or nothing."""
    # Validators of our own leave pydantic's names of limits in the schema.
    limits = (
        ("from", schema.get("minimum", schema.get("ge"))),
        ("above", schema.get("exclusiveMinimum", schema.get("gt"))),
        ("to", schema.get("maximum", schema.get("le"))),
        ("below", schema.get("exclusiveMaximum", schema.get("lt"))),
    )
    said = [f"{word} {limit:,}" for word, limit in limits if limit is not None]
    return f" {' '.join(said)}" if said else ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
