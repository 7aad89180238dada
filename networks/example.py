"""The example of docs/NETWORKS.md: three convolutions without a norm, and a linear classifier."""

from torch import Tensor, nn


class Net(nn.Module):
    """Its children are its parts, in the order in which they are called."""

    def __init__(self, channels: int, classes: int, width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(width, 2 * width, 3, 2, 1), nn.ReLU())
        self.third = nn.Sequential(nn.Conv2d(2 * width, 4 * width, 3, 2, 1), nn.ReLU())
        self.classifier = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images [N, channels, H, W] -> logits [N, classes]."""
        h = self.third(self.second(self.first(x)))
        logits: Tensor = self.classifier(h.mean((2, 3)))
        return logits
