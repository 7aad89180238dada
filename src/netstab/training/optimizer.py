"""SGD with one parameter group a part, so that a phase sets each part's rate or freezes it."""

from inspect import unwrap

import torch

from netstab.networks.network import Network, by_part
from netstab.params import Train
from netstab.study.schedule import Frozen, Phase


class SGD(torch.optim.SGD):
    """torch's SGD without the wrappers that keep torch's compiler out of it.

    They import that compiler, which takes seconds in every process that trains, and serve no
    purpose here: only forward and backward passes are compiled.
    """

    add_param_group = unwrap(torch.optim.SGD.add_param_group)
    zero_grad = unwrap(torch.optim.SGD.zero_grad)
    step = torch.no_grad()(unwrap(torch.optim.SGD.step))


def sgd(network: Network, train: Train) -> SGD:
    """SGD with momentum (Sutskever et al. 2013, in torch's form), decay on every parameter.

    On CUDA a part's update is one kernel; the CPU keeps torch's plain loop, and its bits.
    """
    groups = [
        {"params": list(parameters.values()), "part": part}
        for part, parameters in by_part(network.module, network.parts).items()
    ]
    return SGD(
        groups,
        lr=train.learning_rate,
        momentum=train.momentum,
        weight_decay=train.weight_decay,
        fused=True if all(p.is_cuda for p in network.module.parameters()) else None,
    )


def apply_rates(optimizer: torch.optim.SGD, phase: Phase) -> None:
    """Give each part its rate; a frozen part loses its momentum and starts anew if it thaws.

    `modes.apply_modes` has taken the gradients of frozen parts, and SGD passes over parameters
    without one: no decay, no momentum, not one bit.
    """
    for group in optimizer.param_groups:
        setting = phase.setting(group["part"])
        if isinstance(setting, Frozen):
            group["lr"] = 0.0
            for parameter in group["params"]:
                optimizer.state.pop(parameter, None)
        else:
            group["lr"] = setting
