"""Sharpness: eigenvalues and traces that are known, or that a dense Hessian gives."""

from typing import Any

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits
from torch import Tensor, nn
from torch.nn import functional

from netstab.data.seeds import generator
from netstab.measure import sharpness
from netstab.measure.hessian import Hessian
from netstab.measure.sharpness import Subset, spectrum
from netstab.params import Sharpness as Settings
from netstab.training.model import ResNet18, initialise


def settings(**changes: Any) -> Settings:
    base: dict[str, Any] = {
        "every_epochs": None,
        "settle_epochs": 0,
        "blocks": "end",
        "images": 24,
        "batch_norm": "eval",
        "tolerance": 1e-6,
        "max_products": 500,
        "trace_samples": 8,
    }
    return Settings.model_validate(base | changes)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def quadratic(values: Tensor) -> tuple[Hessian, Tensor]:
    """The operator of w^T A w / 2 with these eigenvalues, and w."""
    turn, _ = torch.linalg.qr(draw(len(values), len(values), seed=1))
    matrix = turn @ torch.diag(values) @ turn.T
    w = draw(len(values), seed=2).requires_grad_()
    return Hessian([w @ matrix @ w / 2], [w]), matrix


def test_a_quadratic_with_a_known_spectrum() -> None:
    values = torch.cat([torch.linspace(-40, 3, 60, dtype=torch.float64), torch.tensor([7.5])])
    hessian, matrix = quadratic(values)
    found = spectrum(hessian, settings(trace_samples=400), 0, "network")
    # The largest, not the one largest in size, which is -40.
    assert found.eigenvalue == pytest.approx(7.5, rel=1e-6)
    assert found.residual is not None
    assert found.residual <= 1e-6
    assert abs(found.trace - float(matrix.trace())) < 4 * found.trace_se
    assert found.trace_se == pytest.approx(
        # Variance of Hutchinson's estimate with signs: twice the squares off the diagonal.
        float((2 * (matrix.square().sum() - matrix.diag().square().sum()) / 400).sqrt()),
        rel=0.2,
    )


def test_every_sample_of_the_trace_of_a_diagonal_operator_is_the_trace() -> None:
    # Also the first one, which the search for the eigenvalue has taken already.
    values = torch.linspace(-3, 8, 12, dtype=torch.float64)
    w = draw(12).requires_grad_()
    hessian = Hessian([(values * w.square()).sum() / 2], [w])
    # An operator may have been used before.
    twice = [spectrum(hessian, settings(trace_samples=2), 0, "network") for _ in range(2)]
    assert twice[0].products == twice[1].products < hessian.products
    for found in twice:
        assert found.trace == pytest.approx(float(values.sum()), rel=1e-12)
        assert found.trace_se == pytest.approx(0, abs=1e-12)


def test_a_search_that_has_to_start_again_does_so_in_the_same_way() -> None:
    # The first vector is an eigenvector, of the smallest eigenvalue: nothing leads on from it.
    size = 40
    first = torch.randint(2, (size,), generator=generator(0, "sharpness", "network"))
    start = (2 * first - 1).double()
    one, two = torch.nonzero(start == start[0]).ravel()[:2]
    matrix = torch.eye(size, dtype=torch.float64)
    matrix[one, one] = matrix[two, two] = 1.5
    matrix[one, two] = matrix[two, one] = -0.5
    w = draw(size).requires_grad_()

    def once() -> sharpness.Spectrum:
        hessian = Hessian([w @ matrix @ w / 2], [w])
        assert torch.equal(hessian.random_signs(generator(0, "sharpness", "network")), start)
        return spectrum(hessian, settings(), 0, "network")

    found = once()
    assert found.eigenvalue == pytest.approx(2)
    assert all(once() == found for _ in range(3))


def test_an_eigenvalue_that_did_not_converge_is_marked_and_bounded() -> None:
    values = torch.linspace(0.9, 1, 400, dtype=torch.float64)
    hessian, _ = quadratic(values)
    found = spectrum(hessian, settings(tolerance=1e-9, max_products=12), 0, "network")
    assert found.eigenvalue is None
    assert found.residual is not None
    assert found.residual > 1e-9
    assert 0.9 < found.lower_bound < 1
    assert found.products <= 12


def test_a_two_layer_linear_network_with_a_closed_form() -> None:
    """f(x) = v.Ux under the squared loss: curvature from inputs, weights and residuals."""
    x, y, u, v = draw(30, 3), draw(30, seed=1), draw(4, 3, seed=2), draw(4, seed=3)
    second_moment = x.T @ x / 30
    residual = (x @ u.T @ v - y) @ x / 30
    both = torch.einsum("j,ia->ija", v, u @ second_moment)
    both += torch.einsum("ij,a->ija", torch.eye(4, dtype=torch.float64), residual)
    expected = torch.zeros(16, 16, dtype=torch.float64)
    expected[:4, :4] = u @ second_moment @ u.T
    expected[4:, 4:] = torch.kron(v.outer(v), second_moment)
    expected[:4, 4:] = both.reshape(4, 12)
    expected[4:, :4] = expected[:4, 4:].T

    u.requires_grad_()
    v.requires_grad_()
    hessian = Hessian([(x @ u.T @ v - y).square().mean() / 2], [v, u])
    columns = torch.stack([hessian @ row for row in torch.eye(16, dtype=torch.float64)])
    torch.testing.assert_close(columns, expected)
    found = spectrum(hessian, settings(), 0, "network")
    assert found.eigenvalue == pytest.approx(float(torch.linalg.eigvalsh(expected)[-1]))


def small() -> tuple[ResNet18, Subset]:
    model = ResNet18(2, 3, 5).double()
    initialise(model, 0)
    labels = torch.arange(24) % 5
    images = draw(24, 3, 8, 8)
    model.train()
    with torch.no_grad():
        model(images)  # running statistics other than those of the start
    return model, Subset(images, labels)


def dense(model: ResNet18, subset: Subset, names: list[str]) -> Tensor:
    """The Hessian, entry by entry, by torch.func."""
    weights = {name: w.detach().clone() for name, w in model.named_parameters()}
    buffers = {name: b.detach().clone() for name, b in model.named_buffers()}
    sizes = [weights[name].numel() for name in names]

    def loss(flat: Tensor) -> Tensor:
        parts = dict(zip(names, torch.split(flat, sizes), strict=True))
        own = {name: parts[name].view_as(weights[name]) for name in names}
        content = {**weights, **{name: b.clone() for name, b in buffers.items()}, **own}
        logits = torch.func.functional_call(model, content, (subset.images,))
        return functional.cross_entropy(logits, subset.labels)

    point = torch.cat([weights[name].flatten() for name in names])
    return torch.autograd.functional.hessian(loss, point)  # type: ignore[no-any-return, no-untyped-call]


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("part", ["stem", "head"])
def test_a_block_of_a_network_has_the_spectrum_of_its_dense_hessian(
    part: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharpness, "CHUNK", 14)  # of 24 images: 14 and 10
    model, subset = small()
    names = [name for name, _ in model.named_parameters() if name.startswith(part)]
    model.train(mode == "train")
    matrix = dense(model, subset, names)
    how = settings(batch_norm=mode, trace_samples=300)
    (found,) = sharpness.measure(model, subset, {part: names}, how, 0)
    assert found.scope == part
    assert found.eigenvalue == pytest.approx(float(torch.linalg.eigvalsh(matrix)[-1]), rel=1e-5)
    assert abs(found.trace - float(matrix.trace())) < 4 * found.trace_se
    sizes = torch.cat([model.get_parameter(name).detach().abs().flatten() for name in names])
    relative = sizes[:, None] * matrix * sizes
    assert found.adaptive_eigenvalue == pytest.approx(
        float(torch.linalg.eigvalsh(relative)[-1]), rel=1e-5
    )
    assert abs(found.adaptive_trace - float(relative.trace())) < 4 * found.adaptive_trace_se


class Pair(nn.Module):
    """Two linear layers with a ReLU: scaling one up and the other down changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 5, bias=False, dtype=torch.float64)
        self.second = nn.Linear(5, 3, bias=False, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(functional.relu(self.first(x)))  # type: ignore[no-any-return]


def test_adaptive_sharpness_does_not_change_when_weights_are_rescaled_and_plain_does() -> None:
    torch.manual_seed(0)
    model, subset = Pair(), Subset(draw(40, 6), torch.arange(40) % 3)
    scopes = {"network": [name for name, _ in model.named_parameters()]}
    (before,) = sharpness.measure(model, subset, scopes, settings(), 0)
    with torch.no_grad():
        model.first.weight *= 10
        model.second.weight /= 10
    (after,) = sharpness.measure(model, subset, scopes, settings(), 0)
    assert before.eigenvalue is not None
    assert after.eigenvalue is not None
    assert after.eigenvalue > 5 * before.eigenvalue
    assert after.adaptive_eigenvalue == pytest.approx(before.adaptive_eigenvalue, rel=1e-5)
    assert after.adaptive_trace == pytest.approx(before.adaptive_trace, rel=1e-8)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_a_measured_network_is_as_it_was_to_the_bit(mode: str) -> None:
    model, subset = small()
    model.stem.requires_grad_(False)
    model.layer2.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    asked = [weight.requires_grad for weight in model.parameters()]
    names = [name for name, _ in model.named_parameters()]
    how = settings(batch_norm=mode, tolerance=0.01, trace_samples=2)
    sharpness.measure(model, subset, {"network": names}, how, 0)
    assert all(torch.equal(before[name], now) for name, now in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert [weight.requires_grad for weight in model.parameters()] == asked
    assert all(weight.grad is None for weight in model.parameters())


def test_the_same_seed_gives_the_same_numbers_and_the_protocol_names_what_they_depend_on() -> None:
    model, subset = small()
    names = [name for name, _ in model.named_parameters()]
    how = settings(tolerance=0.01)
    first, again = (sharpness.measure(model, subset, {"network": names}, how, 0) for _ in range(2))
    assert first == again
    assert first != sharpness.measure(model, subset, {"network": names}, how, 1)
    told = sharpness.protocol(subset, how, 0)
    assert told["images"] == 24
    assert (told["batch_norm"], told["dtype"], told["tolerance"]) == ("eval", "float64", 0.01)
    assert {"method", "max_products", "trace_samples", "seed"} <= told.keys()


def test_numpy_and_scipy_compute_in_as_many_threads_as_torch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Theirs are one for each core otherwise, and another number of them comes to other bits.
    def threads() -> set[int]:
        return {of["num_threads"] for of in threadpool_info() if of["user_api"] == "blas"}

    within: list[set[int]] = []
    one = sharpness._measure

    def watched(*arguments: Any) -> sharpness.Sharpness:
        within.append(threads())
        return one(*arguments)

    monkeypatch.setattr(sharpness, "_measure", watched)
    model, subset = small()
    names = [name for name, _ in model.named_parameters()]
    how = settings(tolerance=0.9, max_products=10, trace_samples=2)
    with threadpool_limits(2, user_api="blas"):
        sharpness.measure(model, subset, {"network": names}, how, 0)
        assert threads() == {2}
    assert within == [{torch.get_num_threads()}] == [{1}]
