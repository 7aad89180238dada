"""ResNet-18 for small images, in six parts (He et al. 2016, 1512.03385; CIFAR stem).

Height and width of the input are free; at width 64, three channels and ten classes it has
11,173,962 parameters.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from netstab.data.seeds import generator
from netstab.errors import ParameterError
from netstab.params import PARTS
from netstab.study.schedule import Frozen, Phase


class NarrowConv2d(nn.Conv2d):
    """A 1x1 convolution that subsamples its input by the stride, and then has stride 1.

    oneDNN's AVX2 kernel for the weight gradient of a strided 1x1 convolution writes past its
    memory below 8 channels (torch 2.15, seen with valgrind): the process dies somewhere later.
    """

    def forward(self, input: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
        down, right = self.stride
        return functional.conv2d(input[:, :, ::down, ::right], self.weight)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm and a shortcut; 1x1 convolution where shapes change."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            kind = nn.Conv2d if inputs >= 8 else NarrowConv2d
            self.shortcut = nn.Sequential(
                kind(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
        h = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(h)) + self.shortcut(x))


class Head(nn.Module):
    """Global average pool and the linear classifier."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> logits [N, classes]."""
        logits: Tensor = self.linear(x.mean(dim=(2, 3)))
        return logits


class ResNet18(nn.Module):
    """The network; its children are the parts, in the order of `PARTS`."""

    def __init__(self, width: int, channels: int, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, 3, 1, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        self.layer1 = _layer(width, width, 1)
        self.layer2 = _layer(width, 2 * width, 2)
        self.layer3 = _layer(2 * width, 4 * width, 2)
        self.layer4 = _layer(4 * width, 8 * width, 2)
        self.head = Head(8 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images [N, channels, H, W] -> logits [N, classes]."""
        for part in PARTS:
            x = self.get_submodule(part)(x)
        return x


def _layer(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs, 1))


@torch.no_grad()
def initialise(model: nn.Module, seed: int) -> None:
    """Draw every parameter from the seed alone: the same on every device and in every dtype.

    Convolutions: normal, variance 2 / fan-out (He et al. 2015, 1502.01852). Batch norm: weight 1,
    bias 0. Head: uniform within 1 / sqrt(inputs), torch's default.
    """
    random = generator(seed, "initialisation")
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * math.prod(module.kernel_size)
            drawn = torch.empty(module.weight.shape).normal_(generator=random)
            module.weight.copy_(drawn * math.sqrt(2 / fan_out))
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        elif isinstance(module, nn.Linear):
            bound = module.in_features**-0.5
            for parameter in (module.weight, module.bias):
                drawn = torch.empty(parameter.shape).uniform_(-bound, bound, generator=random)
                parameter.copy_(drawn)


def by_part(model: nn.Module) -> dict[str, dict[str, nn.Parameter]]:
    """Parameters by part: part -> full name -> parameter.

    Raises:
        ParameterError: a parameter belongs to no part.
    """
    parts: dict[str, dict[str, nn.Parameter]] = {part: {} for part in PARTS}
    for name, parameter in model.named_parameters():
        part = name.split(".", 1)[0]
        if part not in parts:
            raise ParameterError("model", [f"{name}: belongs to no part; name its part in PARTS"])
        parts[part][name] = parameter
    return parts


def block_parameters(model: nn.Module, blocks: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Number of parameters of each filter block.

    Raises:
        ParameterError: the blocks are no partition of the parameters.
    """
    parts = by_part(model)
    counts = {
        block: sum(p.numel() for part in members for p in parts[part].values())
        for block, members in blocks.items()
    }
    if sum(counts.values()) != sum(p.numel() for p in model.parameters()):
        raise ParameterError("blocks", ["leave out a parameter or claim one twice"])
    return counts


def apply_modes(model: nn.Module, phase: Phase) -> None:
    """Put each part into the mode of a phase: what learns, and what batch norm does.

    Frozen parts lose `requires_grad` and any gradient left over from before, which a later step
    would otherwise apply. In mode `eval` their running statistics stand still as well.
    """
    model.train()
    for part in PARTS:
        module, setting = model.get_submodule(part), phase.setting(part)
        frozen = isinstance(setting, Frozen)
        module.train(setting is not Frozen.EVAL)
        for parameter in module.parameters():
            parameter.requires_grad_(not frozen)
            if frozen:
                parameter.grad = None
