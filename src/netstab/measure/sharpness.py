"""Curvature of the training loss: its largest Hessian eigenvalue and trace, plain and adaptive.

Adaptive sharpness is that of the loss as a function of relative changes of the weights: H becomes
diag|w| H diag|w|, and rescaling weights in a way that leaves the function alone leaves it alone
(Kwon et al. 2021, 2102.11600; Andriushchenko et al. 2023, 2302.07011).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.nn import functional

from netstab.data.seeds import generator
from netstab.measure.hessian import Hessian, Vector
from netstab.measure.precision import full_precision
from netstab.params import Sharpness as Settings

CHUNK = 64
"""Images a graph, where batch norm sees each image by itself: what a CPU's cache likes."""
KRYLOV = 4
"""Size of ARPACK's subspace: the smaller, the sooner it looks whether it is done."""
SEEDED: dict[str, int] = {"rng": 0} if "rng" in signature(eigsh).parameters else {}
"""Where the products so far span all that they ever will, SciPy 1.17 and later go on from a random
vector that is another one every time if not told; the ARPACK in earlier ones has a fixed seed."""


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
        eigenvalue: the largest; None where it did not converge, that is where the relative
            residual ‖Hv - λv‖ / |λ| stayed above the tolerance.
        lower_bound: the largest vᵀHv of a unit vector v that was come across; None, as trace and
            error, where curvature is not finite.
        residual: relative, of that vector; None where it is not defined.
        products: Hessian-vector products taken for the eigenvalue.
        trace: Hutchinson's estimate.
        trace_se: its standard error over the random vectors.
        adaptive_eigenvalue: this and the following: the same of diag|w| H diag|w|.
    """

    scope: str
    eigenvalue: float | None
    lower_bound: float | None
    residual: float | None
    products: int
    trace: float | None
    trace_se: float | None
    adaptive_eigenvalue: float | None
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
        "method": f"ARPACK (scipy eigsh, ncv {KRYLOV}) on double-backward products; Hutchinson",
        "adaptive": "diag|w| H diag|w|",
        "tolerance": settings.tolerance,
        "max_products": settings.max_products,
        "trace_samples": settings.trace_samples,
        "seed": seed,
    }


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
    # SciPy's and numpy's sums come to other bits with another number of threads, and they would
    # take one for each core that they find, whatever torch was told.
    blas = threadpool_limits(torch.get_num_threads(), user_api="blas")
    with full_precision(), blas, _borrowed(model, train=settings.batch_norm == "train"):
        return [_measure(model, subset, scope, scopes[scope], settings, seed) for scope in scopes]


def _measure(
    model: nn.Module,
    subset: Subset,
    scope: str,
    names: Sequence[str],
    settings: Settings,
    seed: int,
) -> Sharpness:
    weights = [model.get_parameter(name) for name in names]
    model.requires_grad_(False)
    for weight in weights:
        weight.requires_grad_(True)
    # With batch statistics the loss of an image depends on all the others.
    chunk = len(subset.labels) if settings.batch_norm == "train" else CHUNK
    losses = [
        functional.cross_entropy(model(x), y, reduction="sum") / len(subset.labels)
        for x, y in zip(*(torch.split(part, chunk) for part in subset), strict=True)
    ]
    hessian = Hessian(losses, weights)
    relative = hessian.scaled([weight.detach().abs() for weight in weights])
    plain, adaptive = (spectrum(h, settings, seed, scope) for h in (hessian, relative))
    return Sharpness(scope, *plain, *adaptive)


class Spectrum(NamedTuple):
    """Largest eigenvalue and trace of one operator; see `Sharpness`."""

    eigenvalue: float | None
    lower_bound: float | None
    residual: float | None
    products: int
    trace: float | None
    trace_se: float | None


def spectrum(hessian: Hessian, settings: Settings, seed: int, scope: str) -> Spectrum:
    """Largest eigenvalue and trace of a symmetric operator.

    Args:
        hessian: the operator.
        settings: tolerance, products at most, vectors of the trace.
        seed: of the random vectors.
        scope: so that each scope has vectors of its own.
    """
    draw = generator(seed, "sharpness", scope)
    search = _Search(hessian, settings)
    search.run(hessian.random_signs(draw))
    products = search.products
    # The search starts from signs: its first quotient is the trace's first sample.
    samples = np.full(settings.trace_samples, search.first * hessian.dimension)
    for index in range(1, settings.trace_samples):
        vector = hessian.random_signs(draw)
        samples[index] = float(vector.double() @ (hessian @ vector).double())
    converged = search.residual is not None and search.residual <= settings.tolerance
    return Spectrum(
        search.value if converged else None,
        _finite(search.value),
        None if search.residual is None else _finite(search.residual),
        products,
        _finite(samples.mean()),
        _finite(samples.std(ddof=1) / len(samples) ** 0.5),
    )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


class _Search:
    """The largest eigenvalue by ARPACK, with the best vector seen kept for where it gives up."""

    def __init__(self, hessian: Hessian, settings: Settings) -> None:
        self._hessian = hessian
        self._settings = settings
        self._before = hessian.products
        self.first = np.nan
        self.value = -np.inf
        self.residual: float | None = None

    @property
    def products(self) -> int:
        """How many this search has taken."""
        return self._hessian.products - self._before

    def run(self, start: Tensor) -> None:
        """Look for it from a start vector [D]; D is at least 2."""
        hessian, size = self._hessian, self._hessian.dimension
        operator = LinearOperator((size, size), matvec=self._product, dtype=hessian.dtype)
        try:
            _, vectors = eigsh(
                operator,
                k=1,
                which="LA",
                ncv=min(size, KRYLOV),
                v0=start.cpu().numpy(),
                # Half of it, so that single precision leaves the residual below the whole.
                tol=self._settings.tolerance / 2,
                maxiter=self._settings.max_products,
                **SEEDED,
            )
        except (_Enough, ArpackError):
            return
        self._product(vectors[:, 0] / np.linalg.norm(vectors[:, 0]), last=True)

    def _product(self, vector: Vector, *, last: bool = False) -> Vector:
        """Product with a unit vector; its Rayleigh quotient bounds the eigenvalue from below."""
        if not last and self.products >= self._settings.max_products - 1:
            raise _Enough
        product = self._hessian.dot(vector)
        x, y = vector.ravel().astype(np.float64), product.astype(np.float64)
        size = float(x @ x)
        value = float(x @ y) / size if size > 0 else -np.inf
        if np.isnan(self.first):
            self.first = value
        if value >= self.value or last:
            self.value = value
            apart = float(np.linalg.norm(y - value * x)) / size**0.5
            self.residual = apart / abs(value) if value else None
        return product


class _Enough(Exception):
    """As many products as allowed have been taken."""


@contextmanager
def _borrowed(model: nn.Module, *, train: bool) -> Iterator[None]:
    """Put a network into a mode; mode, buffers and what asks for gradients come back after."""
    modes = {module: module.training for module in model.modules()}
    asked = {weight: weight.requires_grad for weight in model.parameters()}
    buffers = {buffer: buffer.clone() for buffer in model.buffers()}
    try:
        model.train(train)
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        for weight, wanted in asked.items():
            weight.requires_grad_(wanted)
        with torch.no_grad():
            for buffer, before in buffers.items():
                buffer.copy_(before)
