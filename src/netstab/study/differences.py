"""What tells two states apart: the parameters that determine them, with both values.

A state's key is the hash of its schedule, in which the parameters that made it no longer have
names. So a state is stored with these parameters beside it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from netstab.params import BLOCK_EXPERIMENTS, Params
from netstab.study.experiments import Variant, schedule, view
from netstab.study.keys import ARTICLES, IN_SCHEDULE
from netstab.study.schedule import Frozen


@dataclass(frozen=True, slots=True)
class Change:
    """Something that determines states, with two values.

    Attributes:
        name: as in `params.yaml`, with dots; or `numerics`, `data`, `seed`.
        old: as JSON has it; None also where there was none.
        new: likewise.
    """

    name: str
    old: Any
    new: Any


def settings(params: Params, variant: Variant) -> dict[str, Any]:
    """What of `params.yaml` makes a variant's schedule or, of a view, also its evaluation."""
    content, experiment = params.model_dump(mode="json"), variant.experiment
    section = content[experiment]
    if experiment in ("expE", "own"):
        section = {variant.block: section[variant.block]}
    elif experiment == "expF":
        section = {name: value for name, value in section.items() if name != "shapes"}
    found = {
        "train": {name: content["train"][name] for name in sorted(IN_SCHEDULE)},
        experiment: section,
    }
    if experiment in BLOCK_EXPERIMENTS:
        found["blocks"] = {variant.block: content["blocks"][variant.block]}
    elif experiment == "own":
        found["blocks"] = content["blocks"]
    elif view(params, variant):
        found["baseline"] = content["baseline"]
    phases = schedule(params, variant).phases
    if experiment != "strict" and any(isinstance(s, Frozen) for p in phases for s in p.settings):
        found["freeze"] = content["freeze"]
    return found


def parted(
    old: Mapping[str, Any],
    old_settings: Mapping[str, Any],
    new: Mapping[str, Any],
    new_settings: Mapping[str, Any],
) -> tuple[Change, ...]:
    """What of two states' inputs is different; empty also where the settings are not known.

    Args:
        old: what determines one state (`keys.identity` with its schedule).
        old_settings: what made its schedule; empty where that is not known.
        new: what determines the other one.
        new_settings: what made its schedule.
    """
    apart = ("schedule", "view")
    whole = [{k: v for k, v in inputs.items() if k not in apart} for inputs in (old, new)]
    made = changes(old_settings, new_settings) if old_settings else ()
    return (*changes(*whole), *made)


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    """The values that differ between two nested mappings, by dotted name."""
    before, after = dict(_flat(_plain(old))), dict(_flat(_plain(new)))
    names = dict.fromkeys((*before, *after))
    found = (Change(name, before.get(name), after.get(name)) for name in names)
    return tuple(change for change in found if change.old != change.new)


def _plain(content: Mapping[str, Any]) -> Any:
    plain = json.loads(json.dumps(content))
    if "name" not in plain.get("model", ARTICLES):
        plain["model"] = ARTICLES | plain["model"]
    return plain


def _flat(content: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield above + name, value
