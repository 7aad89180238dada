"""A network and its parts, whichever it is."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from netstab.errors import ParameterError
from netstab.networks.layers import initialise
from netstab.networks.own import own_network
from netstab.networks.resnet import ResNet
from netstab.networks.vit import VisionTransformer
from netstab.networks.wide import WideResNet
from netstab.params import Params

Parts = Mapping[str, Sequence[str]]
"""Part -> paths of what it consists of, modules or single parameters, as in `named_modules`."""


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A network, its parts in the order of its forward pass, and how it begins.

    Attributes:
        module: images [N, C, H, W] -> logits [N, classes].
        parts: every parameter and buffer belongs to exactly one.
        initialise: puts the module into its first state, which the seed alone decides.
    """

    module: nn.Module
    parts: Parts
    initialise: Callable[[nn.Module, int], None]


def build(params: Params, channels: int, classes: int) -> Network:
    """The network that the parameters ask for, in no particular state.

    Args:
        params: the parameters.
        channels: of an image.
        classes: number of classes.

    Raises:
        ParameterError: its parts are no partition of its parameters, or a network of one's own
            cannot be found or is not what `model` says.
    """
    if params.model.is_own:
        module, begin = own_network(params, channels, classes)
    else:
        module, begin = _shipped(params, channels, classes), initialise
    by_part(module, params.part_paths)
    return Network(module, params.part_paths, begin)


def _shipped(params: Params, channels: int, classes: int) -> nn.Module:
    model = params.model
    assert model.width is not None
    shape = model.width, channels, classes
    if model.name == "wide_resnet":
        return WideResNet(*shape, model.norm)
    if model.name == "vit":
        return VisionTransformer(*shape, params.data.image_size)
    depths = (3, 4, 6, 3) if model.name == "resnet34" else (2, 2, 2, 2)
    return ResNet(*shape, depths, model.norm, shortcuts=model.name != "plain")


def names_of(module: nn.Module, params: Params, parts: Iterable[str]) -> list[str]:
    """Names of the parameters of some parts, in the network's order."""
    paths = tuple(f"{path}." for part in parts for path in params.part_paths[part])
    return [name for name, _ in module.named_parameters() if f"{name}.".startswith(paths)]


def by_part(module: nn.Module, parts: Parts) -> dict[str, dict[str, nn.Parameter]]:
    """Parameters by part: part -> full name -> parameter.

    Raises:
        ParameterError: the parts leave out a parameter or a buffer, or take one twice, or name
            what there is not.
    """
    paths = [(path, part) for part, of_part in parts.items() for path in of_part]
    tensors = dict(module.state_dict(keep_vars=True))
    found: dict[str, dict[str, nn.Parameter]] = {part: {} for part in parts}
    owners: dict[int, str] = {}
    faults = []
    for name, tensor in tensors.items():
        within = [part for path, part in paths if f"{name}.".startswith(f"{path}.")]
        seen = id(tensor) in owners
        if not within:
            faults.append(f"{name} belongs to no part; name it, or a module that has it")
        elif len(within) > 1:
            faults.append(f"{name} is taken twice, by {' and '.join(within)}; leave one out")
        elif owners.setdefault(id(tensor), within[0]) != within[0]:
            faults.append(f"{name} is shared by {owners[id(tensor)]} and {within[0]}; join them")
        elif isinstance(tensor, nn.Parameter) and not seen:
            found[within[0]][name] = tensor
    there = {*tensors, *(name for name, _ in module.named_modules(remove_duplicate=False))}
    faults += [f"{path}, of {part}, is not there" for path, part in paths if path not in there]
    if not faults:
        faults = [f"{part} has no parameter; leave it out" for part in parts if not found[part]]
    if faults:
        raise ParameterError("params.yaml", [f"model.parts: {fault}" for fault in faults])
    return found
