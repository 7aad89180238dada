"""Curvature of the training loss: its largest Hessian eigenvalue and trace, plain and adaptive.

Adaptive sharpness is that of the loss as a function of relative changes of the weights: H becomes
diag|w| H diag|w|, and rescaling weights in a way that leaves the function alone leaves it alone
(Kwon et al. 2021, 2102.11600; Andriushchenko et al. 2023, 2302.07011).
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from netstab.data.seeds import generator
from netstab.measure import lanczos, starts, traces
from netstab.measure.derivatives import cheap_second_derivatives
from netstab.measure.hessian import Hessian
from netstab.measure.piecewise import is_piecewise_linear
from netstab.measure.precision import full_precision
from netstab.measure.vectors import norm
from netstab.params import Sharpness as Settings


class Subset(NamedTuple):
    """What the loss is taken on.

    Attributes:
        images: normalised, not augmented, [N, C, H, W].
        labels: int64 [N].
    """

    images: Tensor
    labels: Tensor


@dataclass(frozen=True, slots=True)
class Sharpness:
    """Curvature with respect to the weights of the network or of one block.

    Attributes:
        scope: `network` or the block's name.
        eigenvalue: the largest; None where it did not converge, that is where the bound on its
            relative error stayed above the tolerance.
        eigenvalue_error: bound on how far it lies above `lower_bound`; None where none is known.
        lower_bound: vᵀHv of the best unit vector v that was found; None, as trace and error,
            where curvature is not finite.
        residual: relative, ‖Hv - λv‖ / |λ|, of that vector; None where it is not defined.
        products: Hessian-vector products taken for the eigenvalue.
        trace: of the Hessian.
        trace_se: its standard error over random vectors, or a bound on that; 0 where it is exact.
        adaptive_eigenvalue: this and the following: the same of diag|w| H diag|w|.
    """

    scope: str
    eigenvalue: float | None
    eigenvalue_error: float | None
    lower_bound: float | None
    residual: float | None
    products: int
    trace: float | None
    trace_se: float | None
    adaptive_eigenvalue: float | None
    adaptive_eigenvalue_error: float | None
    adaptive_lower_bound: float | None
    adaptive_residual: float | None
    adaptive_products: int
    adaptive_trace: float | None
    adaptive_trace_se: float | None


def protocol(subset: Subset, settings: Settings, seed: int) -> dict[str, Any]:
    """How sharpness is measured, in words and numbers, to be named with the results."""
    return {
        "loss": "mean cross-entropy of training images, not augmented, without weight decay",
        "images": len(subset.labels),
        "batch_norm": settings.batch_norm,
        "dtype": str(subset.images.dtype).removeprefix("torch."),
        "method": "Lanczos on double-backward products, stopped by residual²/gap; traces from "
        "squared gradients of each image, where the network is piecewise linear in each weight, "
        "else Hutchinson",
        "adaptive": "diag|w| H diag|w|",
        "tolerance": settings.tolerance,
        "max_products": settings.max_products,
        "trace_samples": settings.trace_samples,
        "seed": seed,
    }


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """What all scopes of a state share.

    Attributes:
        diagonal: sums over the Hessian's diagonal, by parameter.
        gradients: by parameter, what searches start from; None: from random signs.
    """

    diagonal: traces.Diagonal
    gradients: dict[str, Tensor] | None


def survey(model: nn.Module, subset: Subset, settings: Settings, seed: int) -> Survey:
    """Take what all scopes share; the arguments are those of `measure`."""
    with _borrowed(model, settings):
        model.requires_grad_(True)
        draw = generator(seed, "sharpness", "trace")
        samples = settings.trace_samples
        if not is_piecewise_linear(model, subset.images[:2]):
            hessian = _hessian(model, subset, settings, model.parameters())
            weights = dict(model.named_parameters())
            signs = partial(hessian.random_signs, draw)
            return Survey(traces.by_products(hessian.__matmul__, weights, samples, signs), None)
        diagonal = traces.by_images(model, subset.images, samples, draw)
        return Survey(diagonal, starts.label_gradients(model, *subset, traces.CHUNK))


def measure(
    model: nn.Module,
    subset: Subset,
    scopes: Mapping[str, Sequence[str]],
    settings: Settings,
    seed: int,
) -> list[Sharpness]:
    """Measure the curvature of a network's loss, for each scope by itself.

    Args:
        model: as it came out of training; it is left as it was, to the bit.
        subset: what the loss is taken on.
        scopes: `network` or a block -> names of its parameters.
        settings: batch-norm mode, tolerance and the like.
        seed: of start vectors and of the random vectors of traces.
    """
    shared = survey(model, subset, settings, seed)
    what = (model, subset, settings, seed)
    return [measure_scope(scope, names, shared, *what) for scope, names in scopes.items()]


def measure_scope(
    scope: str,
    names: Sequence[str],
    shared: Survey,
    model: nn.Module,
    subset: Subset,
    settings: Settings,
    seed: int,
) -> Sharpness:
    """Measure one scope, whose parameters have these names, given what all scopes share.

    The other arguments are those of `measure`.
    """
    draw = generator(seed, "sharpness", scope)
    with _borrowed(model, settings), cheap_second_derivatives(model):
        weights = [model.get_parameter(name) for name in names]
        model.requires_grad_(False)
        for weight in weights:
            weight.requires_grad_(True)
        hessian = _hessian(model, subset, settings, weights)
        scale = torch.cat([weight.detach().abs().flatten() for weight in weights])
        signs = partial(hessian.random_signs, draw)
        guesses = starts.starts(shared.gradients, names) if shared.gradients else []
        guesses = guesses or [signs()]
        plain = _search(hessian.__matmul__, guesses, signs, settings)
        # The plain eigenvector, as a relative change, is nearly an adaptive one; not always the
        # first, so the search starts from the longest gradient as well.
        guesses = [scale * guess for guess in (*([plain.vector] if plain else []), guesses[0])]
        adaptive = _search(lambda v: scale * (hessian @ (scale * v)), guesses, signs, settings)
    traced = shared.diagonal.traces(names)
    numbers = [
        {**_numbers(top, settings), "trace": _finite(of.value), "trace_se": _finite(of.error)}
        for top, of in zip((plain, adaptive), traced, strict=True)
    ]
    return Sharpness(scope, **numbers[0], **{f"adaptive_{k}": v for k, v in numbers[1].items()})


def _hessian(
    model: nn.Module, subset: Subset, settings: Settings, weights: Iterable[Tensor]
) -> Hessian:
    # With batch statistics the loss of an image depends on all the others.
    count = len(subset.labels)
    chunk = count if settings.batch_norm == "train" else traces.CHUNK
    losses = [
        functional.cross_entropy(model(x), y, reduction="sum") / count
        for x, y in zip(*(torch.split(part, chunk) for part in subset), strict=True)
    ]
    return Hessian(losses, list(weights))


def _search(
    product: Callable[[Tensor], Tensor],
    guesses: Sequence[Tensor],
    signs: Callable[[], Tensor],
    settings: Settings,
) -> lanczos.Top | None:
    usable = [vector for vector in guesses if 0 < float(norm(vector)) < math.inf] or [signs()]
    most = settings.max_products
    return lanczos.largest(product, usable, signs, tolerance=settings.tolerance, most=most)


def _numbers(top: lanczos.Top | None, settings: Settings) -> dict[str, Any]:
    """What `Sharpness` says of an eigenvalue, by name."""
    if top is None:
        nothing = ("eigenvalue", "eigenvalue_error", "lower_bound", "residual")
        return {**dict.fromkeys(nothing), "products": 0}
    converged = top.error <= settings.tolerance * abs(top.value)
    return {
        "eigenvalue": top.value if converged else None,
        "eigenvalue_error": _finite(top.error),
        "lower_bound": top.value,
        "residual": top.residual / abs(top.value) if top.value else None,
        "products": top.products,
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


@contextmanager
def _borrowed(model: nn.Module, settings: Settings) -> Iterator[None]:
    """Put a network into its mode; mode, buffers and what asks for gradients come back after."""
    modes = {module: module.training for module in model.modules()}
    asked = {weight: weight.requires_grad for weight in model.parameters()}
    buffers = {buffer: buffer.clone() for buffer in model.buffers()}
    try:
        model.eval()
        for module in modes:
            # Alone: whatever else has a mode, such as dropout, would be another network.
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.train(settings.batch_norm == "train")
        # Of torch's ways to attend the plain one alone can be differentiated twice.
        with full_precision(), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        for weight, wanted in asked.items():
            weight.requires_grad_(wanted)
        with torch.no_grad():
            for buffer, before in buffers.items():
                buffer.copy_(before)
