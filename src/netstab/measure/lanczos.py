"""The largest eigenvalue of a symmetric operator, with a bound on its error.

A residual bounds the error of an eigenvalue from above by far: the error goes with residual²/gap.
So the search stops by that bound, which takes half the products that a small residual takes. From
one vector it is Lanczos iteration; from several it sees the gap sooner, and a wrong guess of which
is the largest (Davidson 1975, without a preconditioner).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from netstab.measure.vectors import inner, norm

BASIS = 16
"""Vectors of the space in which eigenvectors are sought; past it the best are kept."""
KEPT = 6
"""Ritz vectors that are kept then (thick restart: Wu and Simon 2000)."""
GAP = 1 / 3
"""Share of the gap that shows which is counted on: a second eigenvalue may not show in full yet."""
FLOOR = 0.2
"""Share of the tolerance that no error is stated below, unless all is seen."""


@dataclass(frozen=True, slots=True, eq=False)
class Top:
    """The largest eigenvalue that was found.

    Attributes:
        value: Rayleigh quotient vᵀHv of a unit vector v: but for rounding never above the largest
            eigenvalue.
        error: bound on how far the eigenvalue lies above it; infinite where none is known.
        residual: ‖Hv - value v‖.
        products: products with the operator that were taken.
        vector: v [D].
    """

    value: float
    error: float
    residual: float
    products: int
    vector: Tensor


def largest(
    product: Callable[[Tensor], Tensor],
    starts: Sequence[Tensor],
    draw: Callable[[], Tensor],
    *,
    tolerance: float,
    most: int,
) -> Top | None:
    """Search until the bound on the error is within the tolerance, or products run out.

    No search of few products can exclude an eigenvector that its starts have no share of. So the
    bound assumes that what is not seen lies no nearer than GAP of the way to what is seen.

    Args:
        product: the operator: [D] -> [D].
        starts: vectors [D], at least one, the best guess first.
        draw: a random vector [D], for where no vector leads on.
        tolerance: of error / |value|.
        most: products at most, at least 1.

    Returns:
        What was found; None where the operator's values are not finite.
    """
    space, left, at_random = _Space(), list(starts), False
    for products in range(1, most + 1):
        vector = _next(space, left)
        if vector is None:
            vector, at_random = space.outside(draw().to(starts[0])), True
            assert vector is not None, "a random vector lies in a space of fewer dimensions"
        space.add(vector, product(vector))
        if not space.finite:
            return None
        size = abs(space.values[0])
        # A random vector has a share of every eigenvector: nothing leads on from it where all is
        # seen.
        seen = len(space.values) == starts[0].numel() or (at_random and space.closed)
        error = 0.0 if seen else max(FLOOR * tolerance * size, space.error())
        if (error <= tolerance * size and not left) or products == most:
            break
    return Top(space.values[0], error, space.residuals[0], products, space.top)


def _next(space: "_Space", left: list[Tensor]) -> Tensor | None:
    """The next start that is not in the space, or where the space leads on to; None: nowhere."""
    while left:
        found = space.outside(left.pop(0))
        if found is not None:
            return found
    return None if space.closed else space.onward()


class _Space:
    """A space of a few vectors, and what an operator does in it (Rayleigh and Ritz).

    Attributes:
        values: Ritz values, falling.
        residuals: norms of the residuals of their vectors.
        finite: whether all that the operator gave is.
    """

    def __init__(self) -> None:
        self.values: list[float] = []
        self.residuals: list[float] = []
        self.finite = True
        self._basis: list[Tensor] = []
        self._images: list[Tensor] = []
        self._matrix = torch.zeros(0, 0, dtype=torch.float64)
        self._weights: list[list[float]] = []

    @property
    def closed(self) -> bool:
        """Whether the operator maps the space into itself, but for rounding."""
        # Below this it is rounding.
        least = 64 * torch.finfo(self._basis[0].dtype).eps if self._basis else 0.0
        return max(self.residuals, default=0.0) <= least * max(map(abs, self.values), default=0.0)

    def outside(self, vector: Tensor) -> Tensor | None:
        """The unit vector of what lies outside of the space; None: nothing does."""
        vector = vector / norm(vector)
        for _ in range(2):  # which is enough (Parlett 1998, 6.9)
            for other in self._basis:
                vector = vector - inner(other, vector) * other
            size = float(norm(vector))
            if not size > 64 * torch.finfo(vector.dtype).eps:
                return None
            vector = vector / size
        return vector

    def add(self, vector: Tensor, image: Tensor) -> None:
        """Take a unit vector outside of the space into it, with its image by the operator."""
        if len(self._basis) == BASIS:
            self._restart()
        row = [float(inner(other, image)) for other in (*self._basis, vector)]
        self.finite = all(map(math.isfinite, row))
        if not self.finite:
            return
        size = len(row)
        grown = torch.zeros(size, size, dtype=torch.float64)
        grown[:-1, :-1] = self._matrix
        grown[-1] = grown[:, -1] = torch.tensor(row, dtype=torch.float64)
        self._basis.append(vector)
        self._images.append(image)
        self._matrix = grown
        values, vectors = torch.linalg.eigh(grown)
        self.values = values.flip(0).tolist()
        self._weights = vectors.flip(1).T.tolist()
        self.residuals = [float(norm(self._residual(i))) for i in range(size)]

    def error(self) -> float:
        """How far the largest eigenvalue can lie above the largest Ritz value.

        residual² / gap where the second eigenvalue lies apart (Temple 1928, Kato 1949); where it
        does not, the residual, within which there is an eigenvalue in any case.
        """
        if len(self.values) < 2:
            return math.inf
        residual = self.residuals[0]
        second = max(v + r for v, r in zip(self.values[1:], self.residuals[1:], strict=True))
        gap = GAP * (self.values[0] - second)
        return residual**2 / gap if gap > residual else max(residual, second - self.values[0])

    def onward(self) -> Tensor | None:
        """Where the operator leads from the Ritz vector that may be of the largest eigenvalue."""
        reach = [
            value + residual for value, residual in zip(self.values, self.residuals, strict=True)
        ]
        return self.outside(self._residual(reach.index(max(reach))))

    @property
    def top(self) -> Tensor:
        """The Ritz vector of the largest value, [D]."""
        return _combined(self._basis, self._weights[0])

    def _residual(self, index: int) -> Tensor:
        weights = self._weights[index]
        image = _combined(self._images, weights)
        return image - self.values[index] * _combined(self._basis, weights)

    def _restart(self) -> None:
        kept = self._weights[:KEPT]
        self._basis, self._images = (
            [_combined(vectors, weights) for weights in kept]
            for vectors in (self._basis, self._images)
        )
        self._matrix = torch.diag(torch.tensor(self.values[:KEPT], dtype=torch.float64))


def _combined(vectors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """A combination of vectors [D]."""
    total = torch.zeros_like(vectors[0])
    for vector, weight in zip(vectors, weights, strict=True):
        total.add_(vector, alpha=weight)
    return total
