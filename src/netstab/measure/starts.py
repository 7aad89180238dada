"""Where searches for a largest eigenvalue start: near the leading eigenvectors, for little.

The few large eigenvalues of a classifier's Hessian come from the gradients of its logits, which
are alike within a class (Papyan 2020, 2008.11865). So of each class one such gradient is taken,
summed over its images, and of these sums' combinations the longest few. In a real state
the square of the first one's cosine with the eigenvector was 0.65 to 0.97, where a random vector
has one over the dimension.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from netstab.measure.traces import curvature

COUNT = 3
"""Starts of a search: they keep it from taking a later eigenvector for the first."""
GROUPS = 10
"""Sums at most: they take as much memory as so many copies of the weights."""


def label_gradients(
    model: nn.Module, images: Tensor, labels: Tensor, chunk: int
) -> dict[str, Tensor]:
    """Gradients of the column of a root of S that belongs to the label, summed over its images.

    Args:
        model: the network, whose loss of an image depends on no other one.
        images: [N, C, H, W].
        labels: int64 [N].
        chunk: images a graph.

    Returns:
        Parameter's name -> [groups of labels, numbers in it].
    """
    names, weights = zip(*model.named_parameters(), strict=True)
    sums: dict[str, list[Tensor]] = {name: [] for name in names}
    for group in range(GROUPS):
        index = torch.nonzero(labels % GROUPS == group).ravel()
        total = [torch.zeros_like(weight).flatten() for weight in weights]
        for some in torch.split(index, chunk) if len(index) else ():
            logits = model(images[some])
            found = torch.autograd.grad(logits, weights, _columns(logits.detach(), labels[some]))
            for part, gradient in zip(total, found, strict=True):
                part += gradient.flatten() / (len(index) * len(labels)) ** 0.5
        for name, part in zip(names, total, strict=True):
            sums[name].append(part)
    return {name: torch.stack(parts) for name, parts in sums.items()}


def _columns(logits: Tensor, labels: Tensor) -> Tensor:
    """Of the root of S of each image, the column that belongs to its label: [n, classes]."""
    values, vectors = curvature(logits)
    rows = vectors[torch.arange(len(labels)), labels.cpu()] * values.sqrt()
    return torch.einsum("nj,ncj->nc", rows, vectors).to(logits)


def starts(gradients: Mapping[str, Tensor], names: Iterable[str]) -> list[Tensor]:
    """The COUNT longest combinations of the groups' gradients at unit weights, longest first: [D].

    None where they are not finite.
    """
    parts = [gradients[name] for name in names]
    squares = torch.stack([part.double() @ part.double().T for part in parts]).sum(0)
    if not squares.isfinite().all():
        return []
    _, vectors = torch.linalg.eigh(squares.cpu())
    weights = vectors.flip(1)[:, :COUNT].T.to(parts[0])
    return [torch.cat([row @ part for part in parts]) for row in weights]
