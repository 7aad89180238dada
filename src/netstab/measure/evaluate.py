"""Loss and accuracy on images that the network does not train on."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from netstab.data.batches import Images, validation_batches

BATCH = 512
"""Images a forward pass; batch norm is in eval mode, so it changes rounding alone."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Means over all images; one element each, float64, on the device."""

    loss: Tensor
    """Cross-entropy in nats."""
    top1_pct: Tensor
    """Percentage of images whose class is the first guess."""
    top5_pct: Tensor
    """Percentage of images whose class is among the first five guesses (or all, if fewer)."""


def guesses_before(logits: Tensor, labels: Tensor) -> Tensor:
    """How many classes are guessed before an image's own: by logits, equal ones by number.

    `argmax` takes the first of equal logits too; `topk` takes any.

    Args:
        logits: [N, classes].
        labels: int64 [N].

    Returns:
        int64 [N]; 0 where the first guess is right.
    """
    own = logits.gather(1, labels[:, None])
    smaller = torch.arange(logits.shape[1], device=labels.device) < labels[:, None]
    return ((logits > own) | ((logits == own) & smaller)).sum(1)


@torch.no_grad()
def evaluate(model: nn.Module, images: Images, autocast: torch.autocast) -> Evaluation:
    """Evaluate with batch norm in eval mode; the model's modes are as before afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    sums = torch.zeros(3, dtype=torch.float64, device=images.labels.device)
    for x, y in validation_batches(images, BATCH):
        with autocast:
            logits = model(x)
        logits = logits.to(images.mean.dtype)
        loss = functional.cross_entropy(logits, y, reduction="sum")
        better = guesses_before(logits, y)
        sums += torch.stack([loss.double(), *((better < n).sum().double() for n in (1, 5))])
    for module, training in modes.items():
        module.training = training
    count = len(images)
    return Evaluation(sums[0] / count, 100 * sums[1] / count, 100 * sums[2] / count)
