"""The trace of a loss's Hessian, plain and adaptive, of any weights, from gradients of each image.

H = JᵀSJ / N summed over images, plus logits' second derivatives weighted by residuals; J has the
logits' derivatives, S = diag(p) - ppᵀ is the cross-entropy's Hessian in the logits. A network of
convolutions, linear layers, batch norm in mode eval and ReLU is piecewise linear in each single
weight, so its logits' second derivatives have nothing on their diagonal: the traces of H, and of
diag|w| H diag|w|, are those of JᵀSJ, sums of squared gradients. Of the rank of S (classes - 1)
gradients an image, the largest are taken as they are and the rest by one sum with random signs, so
the error is that of a small rest, averaged over all images. That error is bounded, not estimated
from the scatter of several sums: where a few images make up most of the rest, as late in training,
scatter is a coin toss. Other networks get Hutchinson's estimate, of one product for all weights
together, with its far larger error.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from netstab.measure.piecewise import LINEAR
from netstab.measure.vectors import LONG

CHUNK = 64
"""Images a graph: what a CPU's cache likes."""
PIECE = 2**18
"""Numbers that gradients of single images take at once: what a CPU's cache likes."""


class Trace(NamedTuple):
    """A trace and the standard error of it, 0 where it is exact."""

    value: float
    error: float


@dataclass(frozen=True, slots=True, eq=False)
class Diagonal:
    """Sums over the Hessian's diagonal, plain and weighted by w², by parameter.

    Attributes:
        exact: name -> what is known of the two sums, float64 [2].
        drawn: name -> independent estimates of the rest, float64 [K, N, 2]: each is the sum of N
            terms that are independent of each other.
        spread: bound on the variance of a term, as a share of the square of its mean; None: it is
            told by the scatter of the K.
    """

    exact: dict[str, Tensor]
    drawn: dict[str, Tensor]
    spread: float | None = None

    def traces(self, names: Iterable[str]) -> tuple[Trace, Trace]:
        """Plain and adaptive trace of these parameters together."""
        names = list(names)
        known = torch.stack([self.exact[name] for name in names]).sum(0)
        terms = torch.stack([self.drawn[name] for name in names]).sum(0)
        if len(terms) == 0:
            plain, adaptive = known.tolist()
            return Trace(plain, 0.0), Trace(adaptive, 0.0)
        values = (known + terms.mean(0).sum(0)).tolist()
        variances = terms.var(0) if self.spread is None else self.spread * terms.mean(0).square()
        errors = (variances.sum(0) / len(terms)).sqrt().tolist()
        plain, adaptive = (Trace(*of) for of in zip(values, errors, strict=True))
        return plain, adaptive


def by_images(model: nn.Module, images: Tensor, samples: int, draw: torch.Generator) -> Diagonal:
    """Sums over the Hessian's diagonal of a piecewise linear network's mean cross-entropy.

    Args:
        model: the network; all its parameters require gradients.
        images: [N, C, H, W].
        samples: gradients an image; with classes - 1 of them or more, sums are exact.
        draw: of random signs.
    """
    pieces = [_squares(model, x, samples, draw) for x in torch.split(images, CHUNK)]
    _, known, rest = pieces[0]
    terms = {
        name: torch.cat([squares[name] for squares, _, _ in pieces], 1) / len(images)
        for name in pieces[0][0]
    }
    return Diagonal(
        {name: of[:known].sum((0, 1)) for name, of in terms.items()},
        {name: of[known:] for name, of in terms.items()},
        # |sum of s_j g_j|^2 is off by the s_j s_k g_j g_k of all pairs, whose squares add up to no
        # more than this share of (sum of |g_j|^2)^2 (Cauchy and Schwarz).
        spread=2 * (1 - 1 / max(1, rest)),
    )


def _squares(
    model: nn.Module, images: Tensor, samples: int, draw: torch.Generator
) -> tuple[dict[str, Tensor], int, int]:
    """Squared gradients of each image along `cotangents`, summed over each parameter.

    Returns:
        Name -> plain sums, and sums weighted by w²: float64 [K, n, 2], on the CPU; how many of
        the K are not random; and how many gradients the random one is made of.
    """
    with _watched(model) as calls:
        logits = model(images)
    vectors, known, rest = cotangents(logits.detach(), samples, draw)
    outputs = [output for _, _, output in calls]
    outer = [torch.autograd.grad(logits, outputs, v, retain_graph=True) for v in vectors.to(logits)]
    found = {}
    for index, (name, x, _) in enumerate(calls):
        layer = model.get_submodule(name)
        above = torch.stack([of[index] for of in outer], 1)
        for own, weight in layer.named_parameters(recurse=False):
            found[f"{name}.{own}"] = _of_parameter(layer, own, weight.detach(), x, above)
    return found, known, rest


@contextmanager
def _watched(model: nn.Module) -> Iterator[list[tuple[str, Tensor, Tensor]]]:
    """Name, input and output of each layer with weights, as they are called."""
    calls: list[tuple[str, Tensor, Tensor]] = []
    with ExitStack() as hooks:
        for name, module in model.named_modules():
            if isinstance(module, LINEAR):
                called = module.register_forward_hook(
                    lambda _, x, y, name=name: calls.append((name, x[0].detach(), y))
                )
                hooks.enter_context(called)
        yield calls


def _of_parameter(layer: nn.Module, own: str, weight: Tensor, x: Tensor, above: Tensor) -> Tensor:
    """Sums of squared gradients of one parameter: [n, ...], [n, K, ...] -> [K, n, 2]."""
    weights = torch.stack([torch.ones_like(weight), weight.square()]).flatten(1)
    if own == "bias":
        gradients = above.flatten(3).sum(3) if above.dim() > 3 else above
        return _weighted(gradients, weights)
    if isinstance(layer, nn.BatchNorm2d):
        assert layer.running_mean is not None
        assert layer.running_var is not None
        scale = (layer.running_var + layer.eps).rsqrt()
        x = (x - layer.running_mean[:, None, None]) * scale[:, None, None]
        return _weighted((above * x[:, None]).sum((3, 4)), weights)
    # Of n images at once: [n, K, outputs, positions] times [n, inputs, positions].
    above = above.flatten(3) if isinstance(layer, nn.Conv2d) else above[..., None]
    count = max(1, PIECE // (above.shape[1] * weight.numel()))
    found = []
    for some, of in zip(*(torch.split(part, count) for part in (above, x)), strict=True):
        gradients = some.flatten(1, 2) @ _patches(layer, of).transpose(1, 2)
        found.append(_weighted(gradients.unflatten(1, some.shape[1:3]).flatten(2), weights))
    return torch.cat(found, 1)


def _patches(layer: nn.Module, x: Tensor) -> Tensor:
    """What a convolution or linear layer multiplies its weights by: [n, inputs, positions]."""
    if not isinstance(layer, nn.Conv2d):
        return x[..., None]
    padding = layer.padding
    assert not isinstance(padding, str)
    return functional.unfold(x, layer.kernel_size, padding=padding, stride=layer.stride)


def _weighted(gradients: Tensor, weights: Tensor) -> Tensor:
    """[n, K, D] squared, summed with each row of weights [2, D] -> float64 [K, n, 2]."""
    squares = gradients.flatten(0, 1).square_()
    if weights.shape[1] <= LONG:
        sums = weights @ squares.T
    else:
        sums = torch.stack([(squares * row).sum(1) for row in weights])
    return sums.view(2, *gradients.shape[:2]).permute(2, 1, 0).double().cpu()


def by_products(
    product: Callable[[Tensor], Tensor],
    weights: Mapping[str, Tensor],
    samples: int,
    draw: Callable[[], Tensor],
) -> Diagonal:
    """Hutchinson's estimate of sums over the diagonal of any operator.

    Args:
        product: of the Hessian in all weights, [D] -> [D].
        weights: name -> parameter, in the order of the vectors.
        samples: products.
        draw: a vector [D] of random signs.
    """
    sizes = [weight.numel() for weight in weights.values()]
    estimates = []
    for _ in range(samples):
        signs = draw()
        terms = torch.split((signs * product(signs)).double(), sizes)
        squares = [weight.detach().double().flatten().square() for weight in weights.values()]
        sums = [(t.sum(), t @ s) for t, s in zip(terms, squares, strict=True)]
        estimates.append(torch.tensor(sums, dtype=torch.float64))
    drawn = torch.stack(estimates).transpose(0, 1)[:, :, None]
    return Diagonal(
        {name: torch.zeros(2, dtype=torch.float64) for name in weights},
        dict(zip(weights, drawn, strict=True)),
    )


def cotangents(logits: Tensor, samples: int, draw: torch.Generator) -> tuple[Tensor, int, int]:
    """Vectors whose products vvᵀ add up to S, the last one's on average over random signs.

    Args:
        logits: [N, classes].
        samples: vectors an image.
        draw: of random signs.

    Returns:
        Vectors, float64 [samples or fewer, N, classes]; how many of the first are not random; and
        of how many that are left the last one is made.
    """
    values, vectors = curvature(logits)
    # In falling order; the last is zero, for S has the rank classes - 1.
    roots = (vectors * values.sqrt()[:, None, :]).flip(2)[:, :, :-1]
    if samples >= roots.shape[2]:
        return roots.permute(2, 0, 1), roots.shape[2], 0
    known = samples - 1
    rest = roots[:, :, known:]
    signs = 2 * torch.randint(2, (len(rest), rest.shape[2]), generator=draw) - 1
    mixed = torch.einsum("ncj,nj->nc", rest, signs.double())
    vectors = torch.cat([roots[:, :, :known].permute(2, 0, 1), mixed[None]])
    return vectors, known, rest.shape[2]


def curvature(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues [N, classes], rising, and eigenvectors of S = diag(p) - ppᵀ; float64, CPU.

    NaN where logits are not finite.
    """
    p = logits.double().softmax(1).cpu()
    curved = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    if not curved.isfinite().all():
        return torch.full_like(p, torch.nan), torch.full_like(curved, torch.nan)
    values, vectors = torch.linalg.eigh(curved)
    return values.clamp(min=0), vectors
