"""Norms and inner products of vectors of all weights, to single precision however long they are.

On a CPU torch takes both in a few running sums. In float32 these are off by 5e-4 for 2^24 random
numbers, by 1e-2 for equal ones; `sum` adds up by halves, and is good to 3e-7.
"""

from torch import Tensor

LONG = 2**20
"""Numbers of a vector from which on it is worth it. The bits of shorter ones stay what they were
when measurements of version 2 began."""


def norm(vector: Tensor) -> Tensor:
    """Euclidean norm of a vector [D]: []."""
    return vector.norm() if vector.numel() <= LONG else vector.square().sum().sqrt()


def inner(one: Tensor, other: Tensor) -> Tensor:
    """Inner product of two vectors [D]: []."""
    return one @ other if one.numel() <= LONG else (one * other).sum()
