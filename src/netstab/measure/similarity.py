"""How alike two sets of signals of the same N images are: change, cosine, CKA, predictions.

All in float64: differences over one step are small, and gradients smaller still.
"""

import math

from torch import Tensor
from torch.nn import functional


def relative_change(before: Tensor, after: Tensor) -> float | None:
    """Relative change ‖after - before‖ / ‖before‖ of two tensors of one shape.

    Returns:
        None where it is not defined: something has come out of exact zeros.
    """
    old, new = before.double(), after.double()
    moved, size = float((new - old).norm()), float(old.norm())
    if moved == 0:
        return 0.0
    return moved / size if size > 0 else None


def cosine(before: Tensor, after: Tensor) -> float | None:
    """Cosine of the angle between two tensors of one shape, taken as vectors.

    Returns:
        In [-1, 1]; None where one of them is zero.
    """
    old, new = before.flatten().double(), after.flatten().double()
    sizes = float(old.norm()) * float(new.norm())
    return min(1.0, max(-1.0, float(old @ new) / sizes)) if sizes > 0 else None


class Gram:
    """Inner products of the features of N images, without the diagonal.

    Attributes:
        matrix: [N, N], float64.
    """

    def __init__(self, signal: Tensor) -> None:
        """Take features [N, ...]; what follows N is flattened."""
        features = signal.flatten(1).double()
        # CKA does not see a shift of all images; taken off first, it costs no digits either.
        features = features - features.mean(0)
        self.matrix = features @ features.T
        self.matrix.fill_diagonal_(0)

    def hsic(self, other: "Gram") -> float:
        """Unbiased estimate of the Hilbert-Schmidt independence criterion.

        HSIC_1 of Song et al. 2012 (JMLR 13:1393), up to the factor 1 / (N (N - 3)).

        Raises:
            ValueError: fewer than four images; the estimate does not exist.
        """
        k, m = self.matrix, other.matrix
        n = len(k)
        if n < 4:
            raise ValueError(f"{n} images: an unbiased estimate needs four")
        rows, columns = k.sum(0), m.sum(0)
        means = rows.sum() * columns.sum() / ((n - 1) * (n - 2))
        return float((k * m).sum() + means - 2 * (rows @ columns) / (n - 2))


def debiased_cka(first: Gram, second: Gram) -> float | None:
    """Debiased linear centred kernel alignment of two sets of features of the same N images.

    Kornblith et al. 2019 (1905.00414) with the unbiased HSIC of Nguyen et al. 2021 (2010.15327).
    It does not change under rotation and scaling of features, and is 0 on average for independent
    ones, however many there are; so it can be slightly negative.

    Returns:
        At most 1 up to rounding; None where all images have the same features.
    """
    own = first.hsic(first), second.hsic(second)
    if min(own) <= 0:
        return None
    return first.hsic(second) / (math.sqrt(own[0]) * math.sqrt(own[1]))


def prediction_change(before: Tensor, after: Tensor) -> tuple[float, float]:
    """What changed in the predictions of N images, from logits [N, classes].

    Returns:
        Share of images with another predicted class, in per cent, and the mean Kullback-Leibler
        divergence KL(before ‖ after), in nats.
    """
    changed = (before.argmax(1) != after.argmax(1)).double().mean()
    old, new = (functional.log_softmax(logits.double(), dim=1) for logits in (before, after))
    divergence = functional.kl_div(new, old, reduction="batchmean", log_target=True)
    # A divergence is not negative; rounding can make that of equal predictions so.
    return 100 * float(changed), max(0.0, float(divergence))
