"""Whether a network's logits are piecewise linear in each single weight, seen in a forward pass."""

from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from netstab.measure.derivatives import is_affine, is_plain

LINEAR = (nn.Conv2d, nn.Linear, nn.BatchNorm2d)
"""Layers that are linear in each of their weights; batch norm in mode eval."""

WEIGHTED = {
    *("convolution", "addmm", "mm", "native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm"),
    "_native_batch_norm_legit_no_training",
}
"""Operations of these layers."""
OTHERS = {
    *("relu", "relu_", "leaky_relu", "leaky_relu_", "hardtanh", "hardtanh_", "threshold"),
    *("abs", "maximum", "minimum", "max_pool2d_with_indices", "amax"),
    *("add", "add_", "sub", "sub_", "neg", "mean", "sum", "cat", "stack", "constant_pad_nd"),
    *("avg_pool2d", "_adaptive_avg_pool2d", "upsample_nearest2d", "upsample_bilinear2d"),
    *("view", "_unsafe_view", "reshape", "expand", "permute", "transpose", "t", "flatten"),
    *("slice", "select", "split", "unsqueeze", "squeeze", "clone", "alias", "detach"),
    *("as_strided", "as_strided_", "_to_copy", "copy_", "empty", "empty_like"),
}
"""Operations that are piecewise linear in what goes in, all of it together."""


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Takes down the names of torch's operations."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else torch imports its compiler to have it skip this: a second, and memory

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Any = (), keywords: Any = None
    ) -> Any:
        self.names.append(str(function.overloadpacket).removeprefix("aten."))
        return function(*arguments, **(keywords or {}))


def is_piecewise_linear(model: nn.Module, images: Tensor) -> bool:
    """Whether it is, in its present mode, as it takes these images.

    Every weight must be of a layer that is known, and that is called once, for once its weights
    meet those of others alone; and no operation may be another one than those named here. What is
    not known counts as curved.
    """
    layers = [m for m in model.modules() if list(m.parameters(recurse=False))]
    weights = [weight for layer in layers for weight in layer.parameters(recurse=False)]
    if not all(map(_is_known, layers)) or len(weights) > len(list(model.parameters())):
        return False
    calls: list[tuple[nn.Module, int]] = []
    with ExitStack() as hooks, torch.no_grad(), _Operations() as seen:
        for layer in layers:
            called = layer.register_forward_hook(lambda m, x, _: calls.append((m, x[0].dim())))
            hooks.enter_context(called)
        model(images)
    weighted = [name for name in seen.names if name in WEIGHTED]
    flat = all(dim == 2 for module, dim in calls if isinstance(module, nn.Linear))
    once = [module for module, _ in calls]
    return (
        flat
        and len(weighted) == len(once) == len(set(once)) == len(layers)
        and set(seen.names) <= WEIGHTED | OTHERS
    )


def _is_known(module: nn.Module) -> bool:
    if isinstance(module, nn.Conv2d):
        return is_plain(module)
    if isinstance(module, nn.BatchNorm2d):
        return is_affine(module)
    return type(module) is nn.Linear
