"""Derivatives of derivatives, cheaper: the same functions in operations that differentiate well.

torch's second derivatives of batch norm and of convolutions take operations that are slow on a
CPU: batch norm in mode eval is an affine map per channel, and the gradient of a convolution's
gradient is made of convolutions and their gradients, for which there are fast kernels.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from netstab.networks.layers import NarrowConv2d


@contextmanager
def cheap_second_derivatives(model: nn.Module) -> Iterator[None]:
    """Convolutions and batch norm of a network compute the same by other operations, for a while.

    Batch norm changes where it is in mode eval; convolutions where they are plain ones.
    """
    changed = []
    for module in model.modules():
        forward = _instead(module)
        if forward is not None:
            # An instance's own `forward` hides that of its class, which comes back by `del`.
            module.forward = forward
            changed.append(module)
    try:
        yield
    finally:
        for module in changed:
            del module.forward


def _instead(module: nn.Module) -> Callable[[Tensor], Tensor] | None:
    if isinstance(module, nn.Conv2d) and is_plain(module) and module.bias is None:
        return partial(_convolve, module)
    if isinstance(module, nn.BatchNorm2d) and is_affine(module):
        return partial(_normalise, module)
    return None


def is_affine(module: nn.BatchNorm2d) -> bool:
    """Whether batch norm is an affine map, of running statistics, with a weight and a bias."""
    if type(module).forward is not nn.BatchNorm2d.forward:
        return False
    return module.running_var is not None and module.affine and not module.training


def is_plain(module: nn.Conv2d) -> bool:
    """Whether a convolution has neither groups nor dilation, and zeros around the image.

    A class of the user's own may compute something else.
    """
    if type(module) not in (nn.Conv2d, NarrowConv2d):
        return False
    usual = module.groups == 1 and module.dilation == (1, 1) and module.padding_mode == "zeros"
    return usual and not isinstance(module.padding, str)


def _normalise(module: nn.BatchNorm2d, x: Tensor) -> Tensor:
    assert module.running_mean is not None
    assert module.running_var is not None
    scale = module.weight * (module.running_var + module.eps).rsqrt()
    shift = module.bias - module.running_mean * scale
    return torch.addcmul(shift[:, None, None], x, scale[:, None, None])


def _convolve(module: nn.Conv2d, x: Tensor) -> Tensor:
    found: Tensor = _Convolution.apply(x, module.weight, module.stride, module.padding)
    return found


class _Convolution(torch.autograd.Function):
    """[N, inputs, H, W], [outputs, inputs, h, w] -> [N, outputs, H', W']."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: Any, padding: Any) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.how = stride, padding
        return functional.conv2d(x, weight, None, stride, padding)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> Any:
        wanted = (*ctx.needs_input_grad[:2], False)
        return *_Gradient.apply(*outer, *ctx.saved_tensors, *ctx.how, wanted), None, None


class _Gradient(torch.autograd.Function):
    """Gradients of a convolution's input and weight; the product rule gives its own."""

    @staticmethod
    def forward(
        ctx: Any, outer: Tensor, x: Tensor, weight: Tensor, stride: Any, padding: Any, wanted: Any
    ) -> Any:
        ctx.save_for_backward(outer, x, weight)
        ctx.how = stride, padding
        ctx.set_materialize_grads(False)
        return _gradients(outer, x, weight, ctx.how, wanted)[:2]

    @staticmethod
    def backward(ctx: Any, *directions: Tensor | None) -> Any:
        outer, x, weight = ctx.saved_tensors
        to_x, to_weight = directions
        found: list[Tensor | None] = [None, None, None]
        if ctx.needs_input_grad[0]:
            terms = []
            if to_x is not None:
                terms.append(functional.conv2d(to_x, weight, None, *ctx.how))
            if to_weight is not None:
                terms.append(functional.conv2d(x, to_weight, None, *ctx.how))
            found[0] = sum(terms[1:], start=terms[0]) if terms else None
        if ctx.needs_input_grad[1] and to_weight is not None:
            found[1] = _gradients(outer, x, to_weight, ctx.how, (True, False, False))[0]
        if ctx.needs_input_grad[2] and to_x is not None:
            found[2] = _gradients(outer, to_x, weight, ctx.how, (False, True, False))[1]
        return *found, None, None, None


def _gradients(outer: Tensor, x: Tensor, weight: Tensor, how: Any, wanted: Any) -> Any:
    return torch.ops.aten.convolution_backward(
        outer, x, weight, None, *how, (1, 1), False, (0, 0), 1, wanted
    )
