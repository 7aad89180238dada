"""A network of one's own: any module that a function of the user's makes.

Importing the user's code runs it.
"""

import importlib
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from netstab.data.seeds import generator
from netstab.errors import NetstabError, ParameterError
from netstab.params import Params
from netstab.source_code import roots
from netstab.text import few, one_line


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
    model, size = params.model, params.data.image_size
    function = _function(model.name)
    images = torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(0))

    def make() -> nn.Module:
        given = ", ".join(["channels", "classes", *model.arguments])
        with _running(model.name, f"{model.name} cannot be called with {given}"):
            made: object = function(channels=channels, classes=classes, **model.arguments)
        if not isinstance(made, nn.Module):
            kind = type(made).__name__
            raise ParameterError(
                "params.yaml", [f"model.name: {model.name} makes a {kind}, no nn.Module"]
            )
        if any(nn.parameter.is_lazy(weight) for weight in made.parameters()):
            _forward(made, params, images)
        return made

    def begin(module: nn.Module, seed: int) -> None:
        # As the function draws: by torch's own generator, on the CPU.
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(generator(seed, "initialisation").initial_seed())
            first = make().state_dict()
            for name, own in module.state_dict(keep_vars=True).items():
                own.copy_(first[name])

    with torch.random.fork_rng(devices=[]):
        module = make()
    _check(module, params, images, classes)
    return module, begin


@contextmanager
def _running(name: str, fault: str) -> Iterator[None]:
    """Refuse with a fault, and where it is in the user's files, what the user's code raises."""
    try:
        yield
    except NetstabError:
        raise
    except Exception as error:  # whatever the user's code raises
        package = name.split(":")[0].split(".")[0]
        frames = traceback.extract_tb(error.__traceback__)
        files = {f.filename: Path(f.filename) for f in frames if f.filename != __file__}
        own = [
            f
            for f in frames
            if (at := files.get(f.filename)) and package in at.with_suffix("").parts
        ]
        where = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
        why = f"{type(error).__name__}: {one_line(error)}{where}"
        raise ParameterError("params.yaml", [f"model.name: {fault}: {why}"]) from error


def _forward(module: nn.Module, params: Params, images: Tensor) -> Any:
    """What comes out of a network in mode `eval`."""
    shape = tuple(images.shape)
    with _running(params.model.name, f"{params.model.name} cannot take images {shape}"):
        return module.eval()(images)


def _function(name: str) -> Callable[..., nn.Module]:
    module, _, function = name.partition(":")
    root = str(roots()[0])
    if root not in sys.path:
        # A command starts with its own folder there, a stage with the checkout.
        sys.path.insert(0, root)
    with _running(name, f"{module} cannot be imported"):
        found: Callable[..., nn.Module] | None = getattr(
            importlib.import_module(module), function, None
        )
    if not callable(found):
        raise ParameterError("params.yaml", [f"model.name: {module} has no function {function}"])
    return found


def _check(module: nn.Module, params: Params, images: Tensor, classes: int) -> None:
    """Refuse what is no classifier of such images, or has not what `model` says."""
    name = params.model.name
    fixed = [weight for weight, p in module.named_parameters() if not p.requires_grad]
    if fixed:
        told = f"asks for no gradient of {few(fixed)}; make buffers of them, or train them"
        raise ParameterError("params.yaml", [f"model.name: {name} {told}"])
    calls, logits = _calls(module, params, images)
    shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
    faults = []
    if shape == (2, classes):
        faults += [f"model.name: {name} does not use {idle}" for idle in _idle(module, logits)]
        if not torch.equal(logits, _forward(module, params, images)):
            faults.append(
                f"model.name: {name} makes other logits of the same images when asked again; in "
                "mode eval it must draw nothing and remember nothing"
            )
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
        logits = _forward(module, params, x)
    finally:
        for hook in hooks:
            hook.remove()
    return calls, logits
