"""Field stability: known answers, and gradients of single images one by one."""

from copy import deepcopy
from itertools import combinations
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from netstab.measure import field
from netstab.measure.field import Shift, UntakenError, compare
from netstab.networks.layers import initialise
from netstab.networks.resnet import ResNet

B = 8


def network() -> ResNet:
    model = ResNet(2, 3, 5).double()
    initialise(model, 0)
    return model.eval()


def blocks_of(model: nn.Module) -> dict[str, list[str]]:
    names = [name for name, _ in model.named_parameters()]
    early = ("stem", "layer1", "layer2")
    return {
        "early": [name for name in names if name.startswith(early)],
        "late": [name for name in names if not name.startswith(early)],
    }


def moved(model: nn.Module, by: float = 0.01) -> dict[str, Tensor]:
    """The network's state with other weights."""
    draw = torch.Generator().manual_seed(4)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=draw, dtype=weight.dtype)
        state[name] = weight.detach() + by * noise
    return state


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(2)
    return torch.randn(6, 3, 8, 8, generator=draw, dtype=torch.float64), torch.arange(6) % 5


def half_square(output: Tensor, y: Tensor) -> Tensor:
    return (output[:, 0] - y).square().mean() / 2


def regression(count: int) -> tuple[nn.Linear, Tensor, Tensor, Tensor]:
    """A linear model, images [N, 3], targets [N], and a step [3] of its weights."""
    draw = torch.Generator().manual_seed(5)
    model = nn.Linear(3, 1, bias=False).double()
    x = torch.randn(count, 3, generator=draw, dtype=torch.float64)
    y = torch.randn(count, generator=draw, dtype=torch.float64)
    return model, x, y, torch.tensor([0.5, -0.2, 0.1], dtype=torch.float64)


def of_regression(model: nn.Linear, x: Tensor, y: Tensor, step: Tensor) -> Shift:
    before = model.state_dict()
    after = {"step": {"weight": before["weight"] + step}}
    blocks = {"all": ["weight"]}
    return compare(model, blocks, x, y, before, after, B, half_square)["step"]["all"]


def test_equal_weights_shift_nothing(batch: tuple[Tensor, Tensor]) -> None:
    model = network()
    same = {"floor": deepcopy(model).state_dict()}
    found = compare(model, blocks_of(model), *batch, model.state_dict(), same, B)["floor"]
    assert list(found) == ["early", "late", "network"]
    for shift in found.values():
        assert (shift.gradient_cosine, shift.shift_squared) == (1.0, 0.0)
        assert shift.noise is not None and shift.noise > 0
    assert found["network"].loss_change == 0
    assert found["early"].loss_change is None, "the loss is the network's"


def test_linear_regression_shifts_by_its_covariance_times_the_step() -> None:
    # The gradient of ½(w·x - y)² is (w·x - y) x: a step δ moves it by (xxᵀ) δ, whatever y.
    model, x, y, step = regression(20_000)
    found = of_regression(model, x, y, step)
    w = model.weight.detach()[0]
    gradients = (x @ w - y)[:, None] * x
    variance = gradients.var(0).sum()
    assert found.noise == pytest.approx(float(variance.sqrt()), rel=1e-9)
    assert found.shift_squared is not None
    length = float(found.shift_squared * variance / B) ** 0.5
    # E xxᵀ is the identity.
    assert length == pytest.approx(float(step.norm()), rel=0.03)
    after = (x @ (w + step) - y)[:, None] * x
    cosines = functional.cosine_similarity(gradients, after)
    assert found.gradient_cosine == pytest.approx(float(cosines.mean()), rel=1e-9)


def test_few_images_tell_the_same_shift_on_average() -> None:
    model, x, y, step = regression(7)

    def length(index: list[int]) -> float:
        found = of_regression(model, x[index], y[index], step)
        assert found.shift_squared is not None and found.noise is not None
        return found.shift_squared * found.noise**2 / B

    whole = length(list(range(7)))
    pairs = [length(list(pair)) for pair in combinations(range(7), 2)]
    assert min(pairs) < 0, "of two images the estimate can be negative"
    assert sum(pairs) / len(pairs) == pytest.approx(whole, rel=1e-9)
    differences = (x @ step)[:, None] * x
    biased = float(differences.mean(0).square().sum())
    assert biased > 1.1 * whole


@pytest.mark.parametrize("piece", [2**23, 2**14, 1])
def test_gradients_are_those_of_each_image_by_itself(
    piece: int, batch: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(field.PIECE, "cpu", piece)
    model, (x, y) = network(), batch
    states = [model.state_dict(), moved(model)]
    blocks = blocks_of(model)
    found = compare(model, blocks, x, y, states[0], {"step": states[1]}, B)["step"]

    losses, gradients = [], []
    for state in states:
        one = deepcopy(model)
        one.load_state_dict(state)
        each = [functional.cross_entropy(one(x[i : i + 1]), y[i : i + 1]) for i in range(len(x))]
        losses.append(torch.stack(each).detach())
        gradients.append([torch.autograd.grad(loss, list(one.parameters())) for loss in each])
    change = (losses[1] - losses[0]).abs().mean() / losses[0].mean()
    assert found["network"].loss_change == pytest.approx(float(change), rel=1e-9)

    names = [name for name, _ in model.named_parameters()]
    for block, members in {**blocks, "network": names}.items():
        g, other = (
            torch.stack([torch.cat([one[names.index(n)].flatten() for n in members]) for one in of])
            for of in gradients
        )
        cosine = functional.cosine_similarity(g, other).mean()
        assert found[block].gradient_cosine == pytest.approx(float(cosine), rel=1e-9)
        variance, d = float(g.var(0).sum()), other - g
        n = len(d)
        length = (float(d.sum(0).square().sum()) - float(d.square().sum())) / (n * (n - 1))
        assert found[block].shift_squared == pytest.approx(B * length / variance, rel=1e-7)


def test_an_image_without_a_gradient_has_no_angle() -> None:
    model, x, _, step = regression(4)
    exact = (x @ model.weight.detach()[0]).clone()
    none = of_regression(model, x, exact, step)
    assert (none.gradient_cosine, none.shift_squared, none.noise) == (None, None, 0.0)
    exact[0] += 1
    one = of_regression(model, x, exact, 1e-3 * step)
    assert one.gradient_cosine == pytest.approx(1, abs=1e-9), "of the one image that has one"


def test_what_is_not_finite_is_no_number(batch: tuple[Tensor, Tensor]) -> None:
    model = network()
    broken = moved(model, float("nan"))
    sound = model.state_dict()
    shift = compare(model, blocks_of(model), *batch, sound, {"step": broken}, B)["step"]["network"]
    assert (shift.loss_change, shift.gradient_cosine, shift.shift_squared) == (None, None, None)
    assert shift.noise is not None
    shift = compare(model, blocks_of(model), *batch, broken, {"step": sound}, B)["step"]["network"]
    assert shift == Shift(None, None, None, None)


class Fickle(nn.Module):
    """A network whose way depends on the image, which torch.func cannot follow."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Any:
        return self.linear(x) if x.sum().item() > 0 else self.linear(-x)


def test_a_network_that_cannot_be_taken_is_refused_with_the_reason() -> None:
    model = Fickle()
    state = model.state_dict()
    x, y = torch.randn(4, 3), torch.zeros(4, dtype=torch.int64)
    with pytest.raises(UntakenError, match="item"):
        compare(model, {"all": list(state)}, x, y, state, {"step": state}, B)


def test_neither_weights_nor_modes_of_gradients_change(batch: tuple[Tensor, Tensor]) -> None:
    model = network()
    model.stem.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    compare(model, blocks_of(model), *batch, model.state_dict(), {"step": moved(model)}, B)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(weight.requires_grad for weight in model.stem.parameters())
    assert all(weight.grad is None for weight in model.parameters())
