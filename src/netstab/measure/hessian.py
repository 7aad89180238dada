"""The Hessian of a loss as a linear operator, by double backward on a graph that is kept.

Kept, because the many products that an eigenvalue and a trace take then cost one backward pass
each: measured against curvlinops in `benchmarks/measuring.py`.
"""

from collections.abc import Sequence
from copy import copy

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Vector = npt.NDArray[np.floating]


class Hessian:
    """Second derivatives of a sum of losses with respect to D weights.

    Attributes:
        dimension: D.
        dtype: of weights, products and vectors.
        products: how many have been taken so far.
    """

    def __init__(self, losses: Sequence[Tensor], weights: Sequence[Tensor]) -> None:
        """Take the losses' first derivatives, and keep the graphs.

        Args:
            losses: scalars, the loss is their sum; more than one keeps memory and caches small.
            weights: tensors that the losses depend on, all of one dtype, on one device.
        """
        self._weights = list(weights)
        self._gradients = [
            torch.autograd.grad(loss, self._weights, create_graph=True) for loss in losses
        ]
        self._scale: Tensor | None = None
        self.dimension = sum(weight.numel() for weight in self._weights)
        self.dtype = np.dtype(str(self._weights[0].dtype).removeprefix("torch."))
        self.products = 0

    def scaled(self, scales: Sequence[Tensor]) -> "Hessian":
        """The operator diag(scales) H diag(scales) on the same graphs; scales as the weights."""
        other = copy(self)
        other._scale = torch.cat([scale.flatten() for scale in scales])
        other.products = 0
        return other

    def __matmul__(self, vector: Tensor) -> Tensor:
        """Product with a vector [D]; returns [D]."""
        self.products += 1
        if self._scale is not None:
            vector = self._scale * vector
        sizes = [weight.numel() for weight in self._weights]
        parts = [
            part.view_as(weight)
            for part, weight in zip(torch.split(vector, sizes), self._weights, strict=True)
        ]
        total = torch.zeros_like(vector)
        for gradients in self._gradients:
            found = torch.autograd.grad(
                gradients,
                self._weights,
                grad_outputs=parts,
                retain_graph=True,
                materialize_grads=True,
            )
            total += torch.cat([part.flatten() for part in found])
        return total if self._scale is None else self._scale * total

    def dot(self, vector: Vector) -> Vector:
        """Product with a NumPy vector [D] or [D, 1]; returns [D]."""
        given = torch.as_tensor(vector.ravel().astype(self.dtype), device=self._weights[0].device)
        product: Vector = (self @ given).cpu().numpy()
        return product

    def random_signs(self, generator: torch.Generator) -> Tensor:
        """A vector [D] of independent fair signs (Rademacher), drawn on the CPU."""
        drawn = torch.randint(2, (self.dimension,), generator=generator)
        return (2 * drawn - 1).to(self._weights[0])
