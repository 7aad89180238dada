"""How alike signals are: answers that are known beforehand."""

import pytest
import torch
from torch import Tensor

from netstab.measure.similarity import (
    Gram,
    cosine,
    debiased_cka,
    prediction_change,
    relative_change,
)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cka(first: Tensor, second: Tensor) -> float:
    found = debiased_cka(Gram(first), Gram(second))
    assert found is not None
    return found


def test_cka_does_not_see_rotation_scaling_and_shift_of_features() -> None:
    features = draw(50, 12)
    rotation, _ = torch.linalg.qr(draw(12, 12, seed=1))
    assert cka(features, features) == pytest.approx(1, abs=1e-12)
    assert cka(features, 3 * features @ rotation + 7) == pytest.approx(1, abs=1e-12)


def test_cka_sees_that_one_feature_is_scaled_alone() -> None:
    features = draw(50, 12)
    stretched = features.clone()
    stretched[:, 0] *= 5
    assert 0.3 < cka(features, stretched) < 0.9


def test_cka_of_independent_features_is_zero_on_average_however_many_there_are() -> None:
    found = torch.tensor(
        [cka(draw(40, 400, seed=2 * i), draw(40, 400, seed=2 * i + 1)) for i in range(60)]
    )
    standard_error = float(found.std()) / len(found) ** 0.5
    assert abs(float(found.mean())) < 3 * standard_error
    # The biased estimate is 0.9 here: more features than images look alike to it.
    centred = [x - x.mean(0) for x in (draw(40, 400), draw(40, 400, seed=1))]
    k, m = (x @ x.T for x in centred)
    assert float((k * m).sum() / (k.norm() * m.norm())) > 0.85


def test_the_unbiased_estimate_is_that_of_its_definition() -> None:
    """Song et al. 2012, equation 5: averages over all quadruples of different images."""
    x, y = draw(7, 3), draw(7, 2, seed=1)
    k, m, n = x @ x.T, y @ y.T, 7
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    first = sum(float(k[i, j] * m[i, j]) for i, j in pairs) / (n * (n - 1))
    second = sum(
        float(k[i, j] * m[q, r]) for i, j in pairs for q, r in pairs if len({i, j, q, r}) == 4
    ) / (n * (n - 1) * (n - 2) * (n - 3))
    third = sum(float(k[i, j] * m[i, q]) for i, j in pairs for q in range(n) if q not in (i, j)) / (
        n * (n - 1) * (n - 2)
    )
    expected = first + second - 2 * third
    assert Gram(x).hsic(Gram(y)) / (n * (n - 3)) == pytest.approx(expected, rel=1e-10)


def test_cka_of_constant_features_is_not_defined() -> None:
    assert debiased_cka(Gram(torch.ones(10, 3)), Gram(draw(10, 3))) is None


def test_fewer_than_four_images_are_refused() -> None:
    with pytest.raises(ValueError, match="3 images: an unbiased estimate needs four"):
        debiased_cka(Gram(draw(3, 5)), Gram(draw(3, 5)))


def test_change_and_cosine_of_known_vectors() -> None:
    before, after = torch.tensor([[3.0], [4.0]]), torch.tensor([[3.0], [-4.0]])
    assert relative_change(before, after) == pytest.approx(8 / 5)
    assert cosine(before, after) == pytest.approx((9 - 16) / 25)
    assert relative_change(before, before) == 0
    assert cosine(before, 2 * before) == pytest.approx(1)
    zero = torch.zeros_like(before)
    assert relative_change(zero, zero) == 0
    assert relative_change(zero, after) is None
    assert cosine(zero, after) is None


def test_a_step_far_below_single_precision_of_the_signal_is_still_measured() -> None:
    before = torch.full((100, 100), 1.0)
    after = before.clone()
    after[0, 0] += 2**-20
    assert relative_change(before, after) == pytest.approx(2**-20 / 100, rel=1e-6)


def test_signals_in_single_precision_are_compared_in_double() -> None:
    before = draw(64, 200).float()
    after = before + 1e-5 * draw(64, 200, seed=1).float()
    precise = [signal.double() for signal in (before, after)]
    assert 0 < 1 - cka(before, after) < 1e-7
    assert cka(before, after) == pytest.approx(cka(*precise), abs=1e-14)
    assert cosine(before, after) == pytest.approx(cosine(*precise), abs=1e-14)
    assert relative_change(before, after) == pytest.approx(relative_change(*precise), rel=1e-12)


def test_predictions_that_change() -> None:
    before = torch.tensor([[0.0, 1.0], [2.0, 0.0], [0.0, 0.0], [5.0, 1.0]])
    after = before.clone()
    after[0] = torch.tensor([1.0, 0.0])
    changed, divergence = prediction_change(before, after)
    assert changed == 25
    p = 1 / (1 + torch.e**1)
    # KL between (p, 1-p) and (1-p, p) is (1 - 2p) log((1-p) / p), and the log-odds are 1.
    assert divergence == pytest.approx((1 - 2 * p) / 4, rel=1e-6)
    assert prediction_change(before, before) == (0, 0)
    assert prediction_change(before, before + 10) == (0, pytest.approx(0, abs=1e-12))
