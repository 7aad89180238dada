"""When a run is measured, and the keys under which measurements are stored.

A measurement is named by the state that it was taken on and by its own settings: another setting
measures anew and leaves every state as it is.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from netstab.params import NETWORK as NETWORK
from netstab.params import Params
from netstab.plain_json import digest
from netstab.study.schedule import Schedule

Measure = Literal["barrier", "ceiling", "field", "sharpness", "stability"]
"""What measurements are of: each has a version of its own."""
MEASURES: tuple[Measure, ...] = get_args(Measure)
FIRST: dict[str, int] = dict.fromkeys(MEASURES, 0)
"""Versions, where nobody asks for others."""
OVER_EPOCHS = ("stability", "field")
"""What is measured over an epoch: the drift of signals, and the shift of gradients."""


def epochs_of(params: Params, schedule: Schedule, measure: str) -> list[int]:
    """Epochs over which a measure of `OVER_EPOCHS` is taken; none where it is not asked for."""
    every = getattr(params.measure, measure).every_epochs
    if every is None:
        return []
    turns = {epoch for sweep in schedule.sweeps for epoch in sweep.turns}
    regular = range(0, schedule.epochs, max(1, params.train.at_scale(every)))
    return sorted({*regular, *(turns if measure == "stability" else ())})


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


def epoch_inputs(
    params: Params, measure: str, state_key: str, batch_size: int, *, floor: bool
) -> dict[str, Any]:
    """What determines a measurement of `OVER_EPOCHS`.

    Args:
        params: the parameters.
        measure: which.
        state_key: of the state at the end of the epoch, which says all of its past.
        batch_size: whose noise the field is held against.
        floor: whether the same weights are measured twice as well.
    """
    settings = getattr(params.measure, measure)
    noise = {"seed": settings.seed, "batch_size": batch_size} if measure == "field" else {}
    return {
        "measure": measure,
        "state": state_key,
        "images": settings.images,
        "floor": floor,
        "blocks": {name: parts_of(params, name) for name in params.blocks},
        **noise,
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


def measurement_key(versions: Mapping[str, int], inputs: Mapping[str, Any]) -> str:
    """SHA-256 (hex) that names a measurement; `versions` are of what each measure computes."""
    return digest({"version": versions[inputs["measure"]], **inputs}, compact=True)


def boundaries(params: Params) -> dict[str, tuple[str, str]]:
    """Block -> paths of its first and its last module: where signals come in and go out."""
    paths = params.part_paths
    members = {name: parts_of(params, name) for name in params.blocks}
    return {name: (paths[parts[0]][0], paths[parts[-1]][-1]) for name, parts in members.items()}
