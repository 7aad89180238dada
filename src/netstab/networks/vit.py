"""A small vision transformer, in six parts: ViT-Lite-7/4 (Hassani et al. 2021, 2104.05704)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from netstab.networks.layers import Chain

PATCH = 4
"""Pixels of a patch's side."""
HEADS = 4
DEPTHS = (2, 2, 2, 1)
"""Encoder blocks of each layer."""


class Embedding(nn.Module):
    """Patches as tokens behind a class token, each with a learnt position added."""

    def __init__(self, channels: int, width: int, image_size: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(channels, width, PATCH, PATCH)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, 1 + (image_size // PATCH) ** 2, width))

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, H, W] -> [N, T, D]."""
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        return torch.cat([self.class_token.expand(len(x), -1, -1), tokens], 1) + self.positions


class Attention(nn.Module):
    """Self-attention of several heads, spelt out: torch's own has no second derivative."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.to_qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, D] -> [N, T, D]."""
        queries, keys, values = (
            part.unflatten(2, (HEADS, -1)).transpose(1, 2)  # [N, heads, T, D / heads]
            for part in self.to_qkv(x).chunk(3, 2)
        )
        weights = (queries @ keys.transpose(2, 3) * queries.shape[3] ** -0.5).softmax(3)
        found: Tensor = self.out((weights @ values).transpose(1, 2).flatten(2))
        return found


class EncoderBlock(nn.Module):
    """Attention and a perceptron, each behind its layer norm, each with a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width)
        self.wide, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, D] -> [N, T, D]."""
        x = x + self.attention(self.norm1(x))
        found: Tensor = x + self.narrow(functional.gelu(self.wide(self.norm2(x))))
        return found


class TokenHead(nn.Module):
    """The last layer norm, and the linear classifier of the class token."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, D] -> logits [N, classes]."""
        logits: Tensor = self.linear(self.norm(x[:, 0]))
        return logits


class VisionTransformer(Chain):
    """The transformer.

    Args:
        width: numbers of a token, a multiple of `HEADS`; the paper's is 256.
        channels: of an image.
        classes: number of classes.
        image_size: height and width, a multiple of `PATCH`.
    """

    def __init__(self, width: int, channels: int, classes: int, image_size: int) -> None:
        super().__init__()
        self.stem = Embedding(channels, width, image_size)
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            nn.Sequential(*(EncoderBlock(width) for _ in range(depth))) for depth in DEPTHS
        )
        self.head = TokenHead(width, classes)
