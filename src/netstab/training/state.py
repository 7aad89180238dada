"""Everything that a run is at an epoch boundary, as named tensors."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from netstab.errors import StoreError
from netstab.measure.views import copy_into
from netstab.store.records import Record
from netstab.store.states import Store
from netstab.training.engine import Engine

Tensors = dict[str, Tensor]
"""`model.NAME` (parameters and buffers) and `momentum.NAME` (of parts that have one), CPU."""


def capture(engine: Engine) -> Tensors:
    """Copy the state of an engine."""
    tensors = {f"model.{name}": t for name, t in engine.model.state_dict().items()}
    for name, parameter in engine.model.named_parameters():
        momentum = engine.optimizer.state.get(parameter, {}).get("momentum_buffer")
        if momentum is not None:
            tensors[f"momentum.{name}"] = momentum
    return {name: t.detach().to("cpu", copy=True).contiguous() for name, t in tensors.items()}


def fits(model: nn.Module, tensors: Tensors) -> bool:
    """Whether tensors are a state of this network, by names, shapes and dtypes, and nothing else.

    Copied without this, a tensor of one number would fill a whole layer.
    """
    own = model.state_dict(keep_vars=True)
    wanted = {f"model.{name}": t for name, t in own.items()}
    weights = {f"momentum.{name}": t for name, t in model.named_parameters()}
    return wanted.keys() <= tensors.keys() and _same_kind(wanted | weights, tensors)


def fits_average(model: nn.Module, tensors: Tensors) -> bool:
    """Whether tensors are an average of this network's weights, or nothing at all."""
    wanted = {f"average.{name}": t for name, t in model.named_parameters()}
    return tensors.keys() in (wanted.keys(), set()) and _same_kind(wanted, tensors)


def _same_kind(wanted: Mapping[str, Tensor], tensors: Tensors) -> bool:
    return all(
        name in wanted and (wanted[name].shape, wanted[name].dtype) == (t.shape, t.dtype)
        for name, t in tensors.items()
    )


def restore(engine: Engine, tensors: Tensors) -> None:
    """Put an engine into a captured state, in its own memory layout."""
    restore_model(engine.model, tensors)
    engine.optimizer.state.clear()
    for name, parameter in engine.model.named_parameters():
        if f"momentum.{name}" in tensors:
            momentum = torch.empty_like(parameter, requires_grad=False)
            momentum.copy_(tensors[f"momentum.{name}"])
            engine.optimizer.state[parameter]["momentum_buffer"] = momentum


def restore_model(model: nn.Module, tensors: Tensors) -> None:
    """Put the weights and buffers of a captured state into a network, in its own memory layout."""
    copy_into(
        model, {n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")}
    )


def equal(left: Tensors, right: Tensors) -> bool:
    """Whether two states have the same tensors to the bit (-0.0 and 0.0 differ, NaNs agree)."""
    return left.keys() == right.keys() and all(
        t.dtype == right[n].dtype and t.shape == right[n].shape and _bytes(t) == _bytes(right[n])
        for n, t in left.items()
    )


def _bytes(tensor: Tensor) -> bytes:
    raw: bytes = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return raw


def write(tensors: Tensors, path: Path) -> None:
    """Write a state as a safetensors file: plain numbers, nothing that could be executed."""
    # Bytes first: the library's own writer reports a full disk as an error of the format.
    path.write_bytes(save(tensors))


def read_checked(
    store: Store, record: Record, fitting: Callable[[Tensors], bool]
) -> Tensors | None:
    """The tensors of a stored state; None, and the state set aside, where they do not fit.

    The store's hash says that they are what was stored, and not that they fit this network.
    """
    path = store.tensors_file(record)
    if path is None:
        return None
    try:
        tensors = read(path)
    except StoreError:
        store.set_aside(record.key, "its tensors are no readable state")
        return None
    if not fitting(tensors):
        store.set_aside(record.key, "its tensors are not those of this network")
        return None
    return tensors


def read(path: Path) -> Tensors:
    """Read what `write` wrote.

    Raises:
        StoreError: the file is no safetensors file.
    """
    try:
        tensors: Tensors = load_file(path)
    except SafetensorError as error:
        raise StoreError(f"{path}: is no readable state ({error})") from error
    return tensors
