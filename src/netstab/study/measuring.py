"""When a run is measured, and the keys under which measurements are stored.

A measurement is named by the state that it was taken on and by its own settings: another setting
measures anew and leaves every state as it is.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from netstab.params import NETWORK as NETWORK
from netstab.params import Params
from netstab.plain_json import digest
from netstab.study.schedule import Schedule


def stability_epochs(params: Params, schedule: Schedule) -> list[int]:
    """Epochs over which the drift of signals is measured, from the state at their start."""
    every = max(1, params.train.at_scale(params.measure.stability.every_epochs))
    turns = {epoch for sweep in schedule.sweeps for epoch in sweep.turns}
    return sorted({*range(0, schedule.epochs, every), *turns})


def field_epochs(params: Params, schedule: Schedule) -> list[int]:
    """Epochs over which the shift of gradients is measured; none where it is not asked for."""
    every = params.measure.field.every_epochs
    if every is None:
        return []
    return list(range(0, schedule.epochs, max(1, params.train.at_scale(every))))


def sharpness_scopes(params: Params, schedule: Schedule) -> dict[int, tuple[str, ...]]:
    """Epoch of a state -> what of it is measured: the network, or each block alone as well."""
    settings, at_scale = params.measure.sharpness, params.train.at_scale
    last = schedule.epochs
    epochs = {last}
    for change in schedule.interventions:
        epochs |= {change, min(last, change + at_scale(settings.settle_epochs))}
    if settings.every_epochs is not None:
        epochs |= set(range(0, last, max(1, at_scale(settings.every_epochs))))
    return {
        epoch: (NETWORK, *params.blocks)
        if settings.blocks == "always" or epoch == last
        else (NETWORK,)
        for epoch in sorted(epochs)
    }


def parts_of(params: Params, scope: str) -> tuple[str, ...]:
    """The parts that the network or a block consists of, from input to output."""
    members = params.parts if scope == NETWORK else params.blocks[scope]
    return tuple(part for part in params.parts if part in members)


def stability_inputs(params: Params, state_key: str, *, floor: bool) -> dict[str, Any]:
    """What determines a measurement of stability.

    Args:
        params: the parameters.
        state_key: of the state at the end of the epoch, which says all of its past.
        floor: whether the same weights are measured twice as well.
    """
    return {
        "measure": "stability",
        "state": state_key,
        "images": params.measure.stability.images,
        "floor": floor,
        "blocks": {name: parts_of(params, name) for name in params.blocks},
    }


def field_inputs(params: Params, state_key: str, batch_size: int, *, floor: bool) -> dict[str, Any]:
    """What determines a measurement of the field; see `stability_inputs`.

    Args:
        params: the parameters.
        state_key: of the state at the end of the epoch.
        batch_size: whose noise the shift is held against.
        floor: whether the same weights are measured twice as well.
    """
    settings = params.measure.field
    return {
        "measure": "field",
        "state": state_key,
        "images": settings.images,
        "seed": settings.seed,
        "batch_size": batch_size,
        "floor": floor,
        "blocks": {name: parts_of(params, name) for name in params.blocks},
    }


def sharpness_inputs(params: Params, state_key: str, scope: str) -> dict[str, Any]:
    """What determines a measurement of sharpness."""
    when = {"every_epochs", "settle_epochs", "blocks"}
    return {
        "measure": "sharpness",
        "state": state_key,
        "scope": scope,
        "parts": parts_of(params, scope),
        **params.measure.sharpness.model_dump(exclude=when),
    }


def ceiling_inputs(params: Params, state_keys: Sequence[str]) -> dict[str, Any]:
    """What determines the comparison of two seeds' networks; `state_keys` are of their ends."""
    return {
        "measure": "ceiling",
        "states": list(state_keys),
        "images": params.measure.stability.images,
        "blocks": {name: parts_of(params, name) for name in params.blocks},
    }


def barrier_inputs(params: Params, state_keys: Sequence[str]) -> dict[str, Any]:
    """What determines the loss on the line between two states; `state_keys` are theirs."""
    settings = params.measure.barriers.model_dump()
    return {"measure": "barrier", "states": list(state_keys), **settings}


def measurement_key(version: int, inputs: Mapping[str, Any]) -> str:
    """SHA-256 (hex) that names a measurement; `version` is of the numbers that measures compute."""
    return digest({"version": version, **inputs}, compact=True)


def boundaries(params: Params) -> dict[str, tuple[str, str]]:
    """Block -> paths of its first and its last module: where signals come in and go out."""
    paths = params.part_paths
    members = {name: parts_of(params, name) for name in params.blocks}
    return {name: (paths[parts[0]][0], paths[parts[-1]][-1]) for name, parts in members.items()}
