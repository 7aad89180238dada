"""The wide residual network of depth 16, in five parts (Zagoruyko & Komodakis 2016, 1605.07146)."""

from torch import Tensor, nn
from torch.nn import functional

from netstab.networks.layers import Chain, Head, convolution, normalisation, projection

STEM = 16
"""Channels of the stem, whatever the width."""


class PreActivation(nn.Module):
    """Norm and ReLU before each of two 3x3 convolutions; 1x1 shortcut where shapes change."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: str) -> None:
        super().__init__()
        self.norm1 = normalisation(norm, inputs)
        self.conv1 = convolution(inputs, outputs, stride, norm)
        self.norm2 = normalisation(norm, outputs)
        self.conv2 = convolution(outputs, outputs, 1, norm)
        changes = stride != 1 or inputs != outputs
        self.shortcut = projection(inputs, outputs, stride) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
        h = functional.relu(self.norm1(x))
        way = x if self.shortcut is None else self.shortcut(h)
        found: Tensor = way + self.conv2(functional.relu(self.norm2(self.conv1(h))))
        return found


class WideHead(Head):
    """The last norm and ReLU, global average pool and the linear classifier."""

    def __init__(self, inputs: int, classes: int, norm: str) -> None:
        super().__init__(inputs, classes)
        self.norm = normalisation(norm, inputs)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> logits [N, classes]."""
        return super().forward(functional.relu(self.norm(x)))


class WideResNet(Chain):
    """Three layers of two blocks.

    Args:
        width: channels of layer1, 16 times the paper's factor; layers 2 and 3 have 2 and 4 times
            as many.
        channels: of an image.
        classes: number of classes.
        norm: `batch` or `group`.
    """

    def __init__(self, width: int, channels: int, classes: int, norm: str = "batch") -> None:
        super().__init__()

        def layer(inputs: int, outputs: int, stride: int) -> nn.Sequential:
            return nn.Sequential(
                PreActivation(inputs, outputs, stride, norm),
                PreActivation(outputs, outputs, 1, norm),
            )

        self.stem = convolution(channels, STEM, 1, norm)
        self.layer1 = layer(STEM, width, 1)
        self.layer2 = layer(width, 2 * width, 2)
        self.layer3 = layer(2 * width, 4 * width, 2)
        self.head = WideHead(4 * width, classes, norm)
