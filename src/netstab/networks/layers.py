"""What convolutional networks are made of, and how every network of netstab's own begins."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from netstab.data.seeds import generator

GROUP = 16
"""Channels of a group, at any width (Wu & He 2018, 1803.08494: as good as 32 groups there)."""


class NarrowConv2d(nn.Conv2d):
    """A 1x1 convolution that subsamples its input by the stride, and then has stride 1.

    oneDNN's AVX2 kernel for the weight gradient of a strided 1x1 convolution writes past its
    memory below 8 channels (torch 2.15, seen with valgrind): the process dies somewhere later.
    """

    def forward(self, input: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
        down, right = self.stride
        return functional.conv2d(input[:, :, ::down, ::right], self.weight)


class Head(nn.Module):
    """Global average pool and the linear classifier."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> logits [N, classes]."""
        logits: Tensor = self.linear(x.mean(dim=(2, 3)))
        return logits


class Chain(nn.Module):
    """A network whose children are its parts: each takes what the one before it gives."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images [N, channels, H, W] -> logits [N, classes]."""
        for part in self.children():
            x = part(x)
        return x


def normalisation(norm: str, channels: int) -> nn.Module:
    """Batch norm, group norm, or nothing, after a convolution with so many channels."""
    if norm == "none":
        return nn.Identity()
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    groups = max(1, channels // GROUP)
    while channels % groups:
        groups -= 1
    return nn.GroupNorm(groups, channels)


def convolution(inputs: int, outputs: int, stride: int, norm: str) -> nn.Conv2d:
    """A 3x3 convolution, with a bias where no normalisation follows that has one."""
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=norm == "none")


def projection(inputs: int, outputs: int, stride: int) -> nn.Conv2d:
    """A 1x1 convolution without a bias: the shortcut where shapes change."""
    kind = nn.Conv2d if inputs >= 8 else NarrowConv2d
    return kind(inputs, outputs, 1, stride, bias=False)


@torch.no_grad()
def initialise(model: nn.Module, seed: int) -> None:
    """Draw every parameter from the seed alone: the same on every device and in every dtype.

    Convolutions: normal, variance 2 / fan-out (He et al. 2015, 1502.01852), bias 0. Norms: weight
    1, bias 0. Linear layers: uniform within 1 / sqrt(inputs), torch's default. Parameters of other
    modules (a transformer's tokens): normal, standard deviation 0.02.
    """
    random = generator(seed, "initialisation")
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * math.prod(module.kernel_size)
            drawn = torch.empty(module.weight.shape).normal_(generator=random)
            module.weight.copy_(drawn * math.sqrt(2 / fan_out))
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm | nn.LayerNorm):
            module.reset_parameters()
        elif isinstance(module, nn.Linear):
            bound = module.in_features**-0.5
            for parameter in module.parameters():
                drawn = torch.empty(parameter.shape).uniform_(-bound, bound, generator=random)
                parameter.copy_(drawn)
        else:
            for parameter in module.parameters(recurse=False):
                parameter.copy_(0.02 * torch.empty(parameter.shape).normal_(generator=random))
