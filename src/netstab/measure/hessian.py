"""The Hessian of a loss as a linear operator, by double backward on a graph that is kept.

Kept, because the many products that an eigenvalue and a trace take then cost one backward pass
each.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


class Hessian:
    """Second derivatives of a sum of losses with respect to D weights.

    Attributes:
        dimension: D.
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
        self.dimension = sum(weight.numel() for weight in self._weights)

    def __matmul__(self, vector: Tensor) -> Tensor:
        """Product with a vector [D]; returns [D]."""
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
        return total

    def random_signs(self, generator: torch.Generator) -> Tensor:
        """A vector [D] of independent fair signs (Rademacher), drawn on the CPU."""
        drawn = torch.randint(2, (self.dimension,), generator=generator)
        return (2 * drawn - 1).to(self._weights[0])
