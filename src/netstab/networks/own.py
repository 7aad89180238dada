"""A network of one's own: any module that a function of the user's makes.

Importing the user's code runs it.
"""

import importlib
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from netstab.data.seeds import generator
from netstab.errors import ParameterError
from netstab.params import Params
from netstab.source_code import roots


def own_network(
    params: Params, channels: int, classes: int
) -> tuple[nn.Module, Callable[[nn.Module, int], None]]:
    """The network, checked, and what puts it into its first state: the function, seeded.

    Args:
        params: the parameters.
        channels: of an image.
        classes: number of classes.

    Raises:
        ParameterError: the function cannot be found, or what it makes is no such network.
    """
    function = _function(params.model.name)

    def make() -> nn.Module:
        return function(channels=channels, classes=classes, **params.model.arguments)

    def begin(module: nn.Module, seed: int) -> None:
        # As the function draws: by torch's own generator, on the CPU.
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(generator(seed, "initialisation").initial_seed())
            first = make().state_dict()
            for name, own in module.state_dict(keep_vars=True).items():
                own.copy_(first[name])

    with torch.random.fork_rng(devices=[]):
        module = make()
    _check(module, params, channels, classes)
    return module, begin


def _function(name: str) -> Callable[..., nn.Module]:
    module, _, function = name.partition(":")
    root = str(roots()[0])
    if root not in sys.path:
        # A command starts with its own folder there, a stage with the checkout.
        sys.path.insert(0, root)
    found: Callable[..., nn.Module] | None = getattr(
        importlib.import_module(module), function, None
    )
    if not callable(found):
        raise ParameterError("params.yaml", [f"model.name: {module} has no function {function}"])
    return found


def _check(module: object, params: Params, channels: int, classes: int) -> None:
    """Refuse what is no classifier of such images, or has not what `model` says."""
    name, size = params.model.name, params.data.image_size
    if not isinstance(module, nn.Module):
        kind = type(module).__name__
        raise ParameterError("params.yaml", [f"model.name: {name} makes a {kind}, no nn.Module"])
    calls, logits = _calls(module, params, torch.zeros(2, channels, size, size))
    shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
    faults = []
    if shape == (2, classes):
        faults += [f"model.name: {name} does not use {idle}" for idle in _idle(module, logits)]
    else:
        faults.append(f"model.name: {name} makes {shape} of 2 images, not logits (2, {classes})")
    if _has_batch_norm(module) != params.model.has_batch_norm:
        has = "has" if _has_batch_norm(module) else "has no"
        faults.append(f"model.norm: is {params.model.norm}, and {name} {has} batch norm; say so")
    order = [part for part in params.parts if part in calls]
    key = "model.parts" if params.model.parts else "blocks"
    faults += [
        f"{key}: {part} is called where {other} comes; name parts in the order of calls"
        for part, other in zip(dict.fromkeys(calls), order, strict=True)
        if part != other
    ]
    if faults:
        raise ParameterError("params.yaml", faults)
    for part in params.parts:
        if calls.count(part) != 1:
            print(
                f"warning: {name} calls its part {part} {calls.count(part)} times in a forward "
                "pass, not once: what goes into its block, or comes out, is not measured",
                file=sys.stderr,
            )


def _idle(module: nn.Module, logits: torch.Tensor) -> list[str]:
    """Parameters that the logits do not depend on: nothing of them can be trained or measured."""
    names, weights = zip(*module.named_parameters(), strict=True)
    gradients = torch.autograd.grad(logits.sum(), weights, allow_unused=True)
    return [name for name, found in zip(names, gradients, strict=True) if found is None]


def _has_batch_norm(module: nn.Module) -> bool:
    return any(isinstance(inner, nn.modules.batchnorm._BatchNorm) for inner in module.modules())


def _calls(module: nn.Module, params: Params, x: torch.Tensor) -> tuple[list[str], Any]:
    """Parts as the forward pass calls them (by their first modules), and what comes out of it."""
    calls: list[str] = []
    modules = dict(module.named_modules(remove_duplicate=False))
    hooks = [
        modules[first].register_forward_pre_hook(lambda _, __, part=part: calls.append(part))
        for part, paths in params.part_paths.items()
        if (first := next((path for path in paths if path in modules), None)) is not None
    ]
    try:
        logits = module.eval()(x)
    finally:
        for hook in hooks:
            hook.remove()
    return calls, logits
