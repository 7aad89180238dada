"""ResNets for small images, in six parts, and the plain network without their shortcuts.

He et al. 2016 (1512.03385), with a 3x3 stem and no pooling behind it. Height and width of the input
are free.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from netstab.networks.layers import Chain, Head, convolution, normalisation, projection


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, each with its norm, and a shortcut; 1x1 where shapes change.

    The norms' names are in every stored state, and stay those of batch norm.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int, norm: str, *, shortcut: bool
    ) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, outputs, stride, norm)
        self.bn1 = normalisation(norm, outputs)
        self.conv2 = convolution(outputs, outputs, 1, norm)
        self.bn2 = normalisation(norm, outputs)
        self.shortcut: nn.Module | None = None
        if shortcut:
            self.shortcut = nn.Identity()
            if stride != 1 or inputs != outputs:
                self.shortcut = nn.Sequential(
                    projection(inputs, outputs, stride), normalisation(norm, outputs)
                )

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
        h = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(h if self.shortcut is None else h + self.shortcut(x))


class ResNet(Chain):
    """A residual network, or the plain one.

    Args:
        width: channels of stem and layer1; each further layer has twice as many.
        channels: of an image.
        classes: number of classes.
        depths: blocks of each layer.
        norm: `batch`, `group` or `none`.
        shortcuts: whether blocks have them.
    """

    def __init__(
        self,
        width: int,
        channels: int,
        classes: int,
        depths: Sequence[int] = (2, 2, 2, 2),
        norm: str = "batch",
        *,
        shortcuts: bool = True,
    ) -> None:
        super().__init__()

        def layer(inputs: int, outputs: int, stride: int, depth: int) -> nn.Sequential:
            first = BasicBlock(inputs, outputs, stride, norm, shortcut=shortcuts)
            rest = (
                BasicBlock(outputs, outputs, 1, norm, shortcut=shortcuts) for _ in range(depth - 1)
            )
            return nn.Sequential(first, *rest)

        self.stem = nn.Sequential(
            convolution(channels, width, 1, norm), normalisation(norm, width), nn.ReLU()
        )
        self.layer1 = layer(width, width, 1, depths[0])
        self.layer2 = layer(width, 2 * width, 2, depths[1])
        self.layer3 = layer(2 * width, 4 * width, 2, depths[2])
        self.layer4 = layer(4 * width, 8 * width, 2, depths[3])
        self.head = Head(8 * width, classes)
