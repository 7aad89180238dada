"""Views of a network: averaged weights, and batch-norm statistics recomputed on images."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from netstab.data.batches import Images
from netstab.data.seeds import drawing
from netstab.measure.probe import probe

State = Mapping[str, Tensor]
"""Parameters and buffers of a network by name."""

Average = dict[str, Tensor]
"""Parameter -> its running average."""


def start_average(model: nn.Module) -> Average:
    """The average of a single state: a copy of its weights."""
    return {name: w.detach().clone() for name, w in model.named_parameters()}


@torch.no_grad()
def laid_out(average: Mapping[str, Tensor], model: nn.Module) -> Average:
    """An average on the device of a network's weights, and in their memory layout.

    On a GPU only so are all of them moved in one call.
    """
    return {
        name: torch.empty_like(weight).copy_(average[name])
        for name, weight in model.named_parameters()
    }


@torch.no_grad()
def move_average(average: Average, model: nn.Module, decay: float) -> None:
    """average <- decay * average + (1 - decay) * weights.

    The exponential form of the averaging of iterates of Polyak and Juditsky (1992), who weigh all
    of them alike.
    """
    weights = dict(model.named_parameters())
    torch._foreach_lerp_(
        list(average.values()), [weights[name].detach() for name in average], 1 - decay
    )


@torch.no_grad()
def put(average: Average, model: nn.Module) -> None:
    """Put averaged weights into a network."""
    for name, weight in model.named_parameters():
        weight.copy_(average[name])


def recompute_batch_norm(
    model: nn.Module, images: Images, count: int, batch_size: int, autocast: torch.autocast
) -> None:
    """Replace running statistics by the mean of those of batches of training images.

    Izmailov et al. 2018 (1803.05407), by torch's `update_bn`. The images are a fixed subset, not
    augmented; an incomplete last batch is left out unless it is the only one.
    """
    x, _ = probe(images, count, "batch norm")
    whole = len(x) - len(x) % batch_size or len(x)
    # Another random subset, and other dropout, would do as well; these are the same for all runs.
    with autocast, drawing(x.device, 0, "batch norm"):
        update_bn(x[:whole].split(batch_size), model)  # type: ignore[no-untyped-call]


def copy_into(twin: nn.Module, tensors: State) -> None:
    """Copy parameters and buffers into a network of the same shape, in its own memory layout."""
    with torch.no_grad():
        for name, own in twin.state_dict(keep_vars=True).items():
            own.copy_(tensors[name])
