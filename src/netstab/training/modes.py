"""What each part of a network does in a phase: what learns, and what batch norm does."""

from netstab.networks.network import Network
from netstab.study.schedule import Frozen, Phase


def apply_modes(network: Network, phase: Phase) -> None:
    """Put each part into the mode of a phase.

    Frozen parts lose `requires_grad` and any gradient left over from before, which a later step
    would otherwise apply. In mode `eval` their running statistics stand still as well.
    """
    network.module.train()
    tensors = dict(network.module.named_parameters())
    modules = dict(network.module.named_modules(remove_duplicate=False))
    for part, paths in network.parts.items():
        setting = phase.setting(part)
        frozen = isinstance(setting, Frozen)
        for path in paths:
            if path in modules:
                modules[path].train(setting is not Frozen.EVAL)
            own = modules[path].parameters() if path in modules else [tensors[path]]
            for parameter in own:
                parameter.requires_grad_(not frozen)
                if frozen:
                    parameter.grad = None
