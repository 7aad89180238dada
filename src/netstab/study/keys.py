"""The key under which a state is stored: a hash of everything that determines it, and no more.

States that are determined by the same have the same key, whatever run of whatever study trains
them. What of a schedule comes after the state is not in it.
"""

from collections.abc import Mapping
from typing import Any

from netstab.params import Model, Params
from netstab.plain_json import digest
from netstab.study.experiments import Variant, view
from netstab.study.schedule import Schedule

IN_SCHEDULE = {"epochs", "time_scale", "learning_rate", "batch_size"}
"""Of the section `train`: what the schedule states."""
ARTICLES = {"name": "resnet18", "norm": "batch"}
"""Of the article's network, whose keys do not say so."""


def identity(
    params: Params, seed: int, *, data: str, numerics: int, code: str | None = None
) -> dict[str, Any]:
    """Everything but the schedule that determines a state, in full and never as a difference.

    The `train` section goes in without what the schedule states (epochs, rate, batch size).
    The blocks are absent: they only name which parts a schedule changes.

    Args:
        params: the parameters.
        seed: of initialisation, order and augmentation.
        data: content hash of the prepared tensors.
        numerics: version of the numbers that the code computes.
        code: hash of the source code of a network of one's own.
    """
    return {
        "numerics": numerics,
        "data": data,
        "model": _network(params.model, code),
        "train": params.train.model_dump(exclude=IN_SCHEDULE),
        "seed": seed,
    }


def _network(model: Model, code: str | None) -> dict[str, Any]:
    """What of `model` makes the network; of the article's the width, as in every key so far."""
    told: dict[str, Any]
    if model.is_own:
        told = model.model_dump(include={"name", "arguments", "parts"}) | {"code": code}
    elif model.model_dump(include=set(ARTICLES)) == ARTICLES:
        told = model.model_dump(include={"width"})
    else:
        told = model.model_dump(include={"name", "norm", "width"})
    return told


def view_identity(params: Params, variant: Variant, epoch: int) -> dict[str, Any]:
    """What a view adds to the identity of the baseline's states; nothing before its start.

    Args:
        params: the parameters.
        variant: any; only views add something.
        epoch: of the state.
    """
    how = view(params, variant)
    start = params.train.at_scale(how.start_epoch) if how else 0
    if how is None or epoch <= start:
        return {}
    settings = how.model_dump(exclude={"start_epoch"})
    return {"view": {"name": variant.block, "start": start, **settings}}


def state_key(who: dict[str, Any], schedule: Schedule, epoch: int) -> str:
    """SHA-256 (hex) that names the state at the start of `epoch`: identity and past, no more."""
    return key_of({**who, "schedule": schedule.before(epoch)})


def key_of(inputs: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of what determines a state: identity, and the schedule before it."""
    return digest(inputs, compact=True)


def before(inputs: Mapping[str, Any], epoch: int) -> dict[str, Any]:
    """What determines the state that was trained through at an epoch on the way to another one.

    Args:
        inputs: what determines the later state; that of a view leads to its host's.
        epoch: at the start of which the earlier state is.
    """
    phases, left = [], epoch
    for phase in inputs["schedule"]:
        if left > 0:
            phases.append({**phase, "epochs": min(left, phase["epochs"])})
            left -= phase["epochs"]
    return {**{k: v for k, v in inputs.items() if k != "view"}, "schedule": phases}


def shared_epochs(one: Mapping[str, Any], other: Mapping[str, Any]) -> int:
    """Number of first epochs in which two states have the same past; 0 for different seeds."""
    apart = {"schedule", "view"}
    if any(one.get(name) != other.get(name) for name in (one.keys() | other.keys()) - apart):
        return 0
    shared = 0
    for mine, theirs in zip(one["schedule"], other["schedule"], strict=False):
        if {**mine, "epochs": 0} != {**theirs, "epochs": 0}:
            break
        shared += min(mine["epochs"], theirs["epochs"])
        if mine["epochs"] != theirs["epochs"]:
            break
    return shared
