"""Sharpness: eigenvalues and traces that are known, or that a dense Hessian gives."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from netstab.data.seeds import generator
from netstab.measure import sharpness, traces
from netstab.measure.derivatives import cheap_second_derivatives
from netstab.measure.hessian import Hessian
from netstab.measure.lanczos import Top, largest
from netstab.measure.piecewise import is_piecewise_linear
from netstab.measure.sharpness import Subset
from netstab.networks.layers import initialise
from netstab.networks.resnet import ResNet
from netstab.networks.vit import VisionTransformer
from netstab.params import Sharpness as Settings


def settings(**changes: Any) -> Settings:
    base: dict[str, Any] = {
        "every_epochs": None,
        "settle_epochs": 0,
        "blocks": "end",
        "images": 24,
        "batch_norm": "eval",
        "tolerance": 1e-6,
        "max_products": 500,
        "trace_samples": 3,
    }
    return Settings.model_validate(base | changes)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def search(
    values: Tensor, tolerance: float = 1e-6, most: int = 300, start: int | None = None
) -> Top:
    """Search the largest eigenvalue of a symmetric matrix with these eigenvalues.

    It starts at random, or from the eigenvector with the index `start`.
    """
    size = len(values)
    turn, _ = torch.linalg.qr(draw(size, size, seed=1).to(values))
    matrix = turn @ torch.diag(values) @ turn.T
    random = generator(0, "a test")

    def signs() -> Tensor:
        return (2 * torch.randint(2, (size,), generator=random) - 1).to(values)

    first = signs() if start is None else turn[:, start].clone()
    found = largest(lambda v: matrix @ v, [first], signs, tolerance=tolerance, most=most)
    assert found is not None
    assert float(found.vector.norm()) == pytest.approx(1)
    image = matrix @ found.vector
    assert found.value == pytest.approx(float(found.vector @ image), abs=1e-6)
    assert found.residual == pytest.approx(
        float((image - found.value * found.vector).norm()), abs=1e-6
    )
    return found


def line(start: float, end: float, count: int) -> Tensor:
    return torch.linspace(start, end, count, dtype=torch.float64)


@pytest.mark.parametrize(
    "values",
    [
        # The largest, not the one largest in size, which is -40.
        pytest.param(torch.cat([line(-40, 3, 60), torch.tensor([7.5])]), id="negative and larger"),
        pytest.param(-line(1, 5, 30), id="all negative"),
        pytest.param(torch.cat([line(-1, 1, 90), 5 - line(0, 1e-7, 2)]), id="tiny gap"),
        pytest.param(torch.cat([line(-1, 1, 90), torch.tensor([5.0, 5.0])]), id="twice"),
        # 400 eigenvalues so close to each other take more vectors than are kept.
        pytest.param(line(0.9, 1, 400), id="no gap to speak of"),
        pytest.param(torch.zeros(9, dtype=torch.float64), id="no curvature at all"),
        pytest.param(torch.full((9,), -2.0, dtype=torch.float64), id="all the same"),
        pytest.param(torch.tensor([-3.0], dtype=torch.float64), id="one parameter"),
        pytest.param(torch.tensor([-3.0, 2.0], dtype=torch.float64), id="two parameters"),
    ],
)
@pytest.mark.parametrize("tolerance", [1e-2, 1e-6])
def test_a_known_spectrum(values: Tensor, tolerance: float) -> None:
    found = search(values, tolerance)
    above = float(values.max()) - found.value
    assert -1e-9 < above < found.error + 1e-9
    assert found.error <= tolerance * abs(found.value)


def test_the_search_takes_no_more_products_than_its_error_bound_needs() -> None:
    # A residual of 1 % takes twice as many.
    values = torch.cat([line(-1, 1, 300), torch.tensor([10.0, 20, 30, 100])])
    few, many = search(values, 1e-2), search(values, 1e-4)
    assert few.residual > 0.01 * few.value
    assert many.products > few.products
    assert 100 - few.value < few.error < 1


def test_a_search_that_starts_from_another_eigenvector_goes_on_at_random_in_the_same_way() -> None:
    # Nothing leads on from it: the first vector is an eigenvector, of the smallest eigenvalue.
    values = line(1, 2, 40)
    first, again = (search(values, start=0) for _ in range(2))
    assert first.value == pytest.approx(2)
    assert (first.value, first.error, first.products) == (again.value, again.error, again.products)
    assert torch.equal(first.vector, again.vector)


def test_a_second_start_keeps_the_search_from_taking_the_second_eigenvector_for_the_first() -> None:
    # The first start has a share of 1e-9 of the largest's; few products do not show that.
    size, values = 50, torch.cat([line(-1, 1, 48), torch.tensor([8.0, 10.0])])
    first, second = torch.eye(size, dtype=torch.float64)[[48, 49]]
    first = first + 1e-9 * second + 0.1 * draw(size) * (torch.arange(size) < 48)
    second = second + 0.05 * draw(size, seed=1)

    def found(*starts: Tensor) -> Top:
        top = largest(lambda v: values * v, starts, lambda: first, tolerance=1e-2, most=50)
        assert top is not None
        return top

    assert found(first).value == pytest.approx(8, rel=0.01)
    both = found(first, second)
    assert both.value <= 10 <= both.value + both.error
    assert both.products < 6


def test_the_largest_eigenvalue_in_millions_of_weights_is_as_good_as_single_precision() -> None:
    size, random = 2**22, torch.Generator().manual_seed(0)
    top = torch.randn(size, generator=random, dtype=torch.float64)
    top /= top.norm()

    def product(vector: Tensor) -> Tensor:
        exact = vector.double()
        return (3 * exact + 2 * (top @ exact) * top).float()

    def noise() -> Tensor:
        return torch.randn(size, generator=random)

    start = top.float() + 1e-4 * noise()
    found = largest(product, [start], noise, tolerance=1e-3, most=4)
    assert found is not None
    assert found.value == pytest.approx(5, rel=1e-6)
    assert float(found.vector.double().norm()) == pytest.approx(1, rel=1e-6)


def test_traces_in_millions_of_weights_are_as_good_as_single_precision() -> None:
    weights = torch.stack([torch.ones(2**21), torch.rand(2**21)])
    gradients = torch.randn(1, 2, 2**21)
    exact = torch.einsum("rd,nkd->knr", weights.double(), gradients.double().square())
    found = traces._weighted(gradients, weights)
    torch.testing.assert_close(found, exact, rtol=1e-6, atol=0)


def test_a_search_that_runs_out_of_products_says_how_far_it_may_be_off() -> None:
    found = search(line(0.9, 1, 400), tolerance=1e-9, most=12)
    assert found.products == 12
    assert found.error > 1e-9
    assert 0.9 < found.value < 1 < found.value + found.error


def test_an_eigenvalue_that_did_not_converge_is_marked_and_bounded() -> None:
    model, subset = small()
    names = [name for name, _ in model.named_parameters()]
    how = settings(tolerance=1e-9).model_copy(update={"max_products": 3})
    (found,) = sharpness.measure(model, subset, {"network": names}, how, 0)
    assert found.eigenvalue is found.adaptive_eigenvalue is None
    assert found.lower_bound is not None
    assert found.eigenvalue_error is not None
    assert found.eigenvalue_error > 1e-9 * found.lower_bound
    assert found.products == found.adaptive_products == 3


def test_curvature_that_is_not_finite_is_marked() -> None:
    model, subset = small()
    names = [name for name, _ in model.named_parameters()]
    with torch.no_grad():
        model.head.linear.weight[0, 0] = torch.nan
    (found,) = sharpness.measure(model, subset, {"network": names}, settings(), 0)
    assert found.eigenvalue is found.lower_bound is found.trace is found.trace_se is None
    assert found.eigenvalue_error is found.residual is None


def test_starts_of_a_search_reach_eigenvectors_that_the_first_ones_have_no_share_of() -> None:
    """Three kinds of images, each with a feature of its own, so the Hessian is three blocks.

    A search cannot leave the blocks in which its starts lie. The third kind has the third longest
    gradient and the largest eigenvalue; the first has larger weights, so the largest adaptive one.
    """
    spread, pair = [0.5, 1 / 6, 1 / 6, 1 / 6], [0.498, 0.001, 0.5, 0.001]
    odds = torch.tensor([spread, [1 / 6, 0.5, 1 / 6, 1 / 6], pair], dtype=torch.float64)
    sizes = torch.tensor([1, 0.95, 0.9], dtype=torch.float64).sqrt()
    larger = torch.tensor([[9.0], [0], [0]])  # softmax does not see what all logits share
    layer = nn.Linear(3, 4, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(((odds.log() + larger) / sizes[:, None]).T)
    model, names = nn.Sequential(nn.Flatten(), layer), ["1.weight"]
    subset = Subset(torch.diag(sizes)[:, :, None, None], torch.arange(3))
    matrix, scale = dense(model, subset, names), layer.weight.detach().abs().flatten()
    (found,) = sharpness.measure(model, subset, {"network": names}, settings(tolerance=0.01), 0)
    relative = scale[:, None] * matrix * scale
    for exact, value, error in (
        (matrix, found.eigenvalue, found.eigenvalue_error),
        (relative, found.adaptive_eigenvalue, found.adaptive_eigenvalue_error),
    ):
        assert value is not None
        assert error is not None
        assert -1e-9 < float(torch.linalg.eigvalsh(exact)[-1]) - value <= error + 1e-9


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
    signs = hessian.random_signs(generator(0))
    found = largest(hessian.__matmul__, [signs], lambda: signs, tolerance=1e-9, most=16)
    assert found is not None
    assert found.value == pytest.approx(float(torch.linalg.eigvalsh(expected)[-1]))


def small() -> tuple[ResNet, Subset]:
    model = ResNet(2, 3, 5).double()
    initialise(model, 0)
    labels = torch.arange(24) % 5
    images = draw(24, 3, 8, 8)
    model.train()
    with torch.no_grad():
        model(images)  # running statistics other than those of the start
    return model, Subset(images, labels)


def dense(model: nn.Module, subset: Subset, names: list[str]) -> Tensor:
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


@pytest.mark.parametrize(
    ("part", "mode"),
    [
        *(("stem", "eval"), ("head", "eval"), ("head", "train")),
        pytest.param("stem", "train", marks=pytest.mark.long),
    ],
)
def test_a_block_of_a_network_has_the_spectrum_of_its_dense_hessian(
    part: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "CHUNK", 14)  # of 24 images: 14 and 10
    monkeypatch.setattr(traces, "PIECE", 1000)
    model, subset = small()
    names = [name for name, _ in model.named_parameters() if name.startswith(part)]
    model.train(mode == "train")
    matrix = dense(model, subset, names)
    # With batch statistics a trace is Hutchinson's; with running ones exact, of 5 classes.
    how = settings(batch_norm=mode, trace_samples=300 if mode == "train" else 4)
    (found,) = sharpness.measure(model, subset, {part: names}, how, 0)
    sizes = torch.cat([model.get_parameter(name).detach().abs().flatten() for name in names])
    relative = sizes[:, None] * matrix * sizes
    assert found.scope == part
    for exact, eigenvalue, error, trace, trace_se in (
        (matrix, found.eigenvalue, found.eigenvalue_error, found.trace, found.trace_se),
        (
            relative,
            found.adaptive_eigenvalue,
            found.adaptive_eigenvalue_error,
            found.adaptive_trace,
            found.adaptive_trace_se,
        ),
    ):
        top, total = float(torch.linalg.eigvalsh(exact)[-1]), float(exact.trace())
        assert eigenvalue == pytest.approx(top, rel=1e-6)
        assert error is not None
        assert abs(top - eigenvalue) <= error <= 1e-6 * top
        assert trace is not None
        if mode == "eval":
            assert trace_se == 0
            assert trace == pytest.approx(total, rel=1e-9)
        else:
            assert trace_se is not None
            assert 0 < abs(trace - total) < 4 * trace_se


@pytest.mark.parametrize(
    ("samples", "images"),
    [
        pytest.param(2, 24, id="the largest and a random one"),
        pytest.param(3, 24, id="the two largest and a random one"),
        pytest.param(3, 1, id="one image makes up all of the trace"),
    ],
)
def test_a_trace_of_few_gradients_is_off_by_no_more_than_its_error_says(
    samples: int, images: int
) -> None:
    model, subset = small()
    model.eval()
    blocks = [
        [name for name, _ in model.named_parameters() if name.startswith(part)]
        for part in ("", "stem", "layer2", "layer4")
    ]

    def found(count: int, seed: int) -> Tensor:
        """Values and errors, [blocks, plain and adaptive, 2]."""
        draw = generator(seed, "a test")
        diagonal = traces.by_images(model, subset.images[:images], count, draw)
        return torch.tensor([diagonal.traces(names) for names in blocks], dtype=torch.float64)

    exact = found(4, 0)
    assert not exact[..., 1].any()
    several = torch.stack([found(samples, seed) for seed in range(40)])
    apart, stated = several[..., 0] - exact[..., 0], several[..., 1]
    assert (apart.abs() <= 2 * stated).double().mean() > 0.95
    assert (apart.mean(0).abs() < 4 * stated.square().mean(0).sqrt() / 40**0.5).all()
    # A bound that is no use holds as well.
    assert stated.mean() < 0.3 * exact[..., 0].mean()


def test_hutchinsons_estimate_of_a_diagonal_operator_is_exact() -> None:
    values, w = line(-3, 8, 12), draw(12)
    signs = generator(0, "a test")
    found = traces.by_products(
        lambda v: values * v,
        {"a": w[:5], "b": w[5:]},
        2,
        lambda: 2 * torch.randint(2, (12,), generator=signs).double() - 1,
    )
    plain, adaptive = found.traces(["a", "b"])
    assert plain == pytest.approx((float(values.sum()), 0), abs=1e-12)
    assert adaptive == pytest.approx((float(values @ w.square()), 0), abs=1e-12)
    assert found.traces(["b"])[0].value == pytest.approx(float(values[5:].sum()))


class Called(nn.Module):
    """A convolution and a classifier, and what a function does between them."""

    def __init__(self, between: Callable[..., Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.same = nn.Conv2d(4, 4, 3, padding=1)
        self.out = nn.Linear(4, 5)
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        h = self.between(self, self.conv(x))
        return self.out(h.mean((2, 3)))  # type: ignore[no-any-return]


class Standardised(nn.Conv2d):
    """A convolution of the user's own, whose weights are scaled before they are used."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.conv2d(input, self.weight / self.weight.norm(), self.bias, padding=1)


@pytest.mark.parametrize(
    ("between", "is_linear"),
    [
        (lambda net, h: net.same(h.relu()) + h, True),
        (lambda net, h: functional.max_pool2d(net.same(functional.leaky_relu(h)), 2), True),
        (lambda net, h: net.same(functional.gelu(h)), False),
        (lambda net, h: net.same(h) * h, False),
        (lambda net, h: net.same(net.same(h)), False),
        (lambda net, h: h + 0 * net.conv.bias[:, None, None] * net.same(h), False),
        (lambda net, h: functional.conv2d(net.same(h), net.same.weight), False),
        (lambda net, h: h, False),  # a layer that is not called
    ],
)
def test_only_what_is_piecewise_linear_in_each_weight_counts_as_that(
    between: Callable[..., Tensor], is_linear: bool
) -> None:
    assert is_piecewise_linear(Called(between), draw(2, 3, 8, 8).float()) == is_linear


def test_only_layers_that_are_known_count_as_piecewise_linear() -> None:
    model, (images, _) = small()
    assert not is_piecewise_linear(model.train(), images)
    assert is_piecewise_linear(model.eval(), images)
    others = (nn.GroupNorm(1, 3), nn.GELU(), nn.Conv2d(3, 3, 3, groups=3), Standardised(3, 3, 3))
    for other in (*others, nn.LayerNorm(8), nn.Linear(8, 8)):
        assert not is_piecewise_linear(nn.Sequential(nn.Conv2d(3, 3, 1), other).double(), images)
    tied = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)).double()
    assert is_piecewise_linear(tied, images)
    tied[1].weight = tied[0].weight
    assert not is_piecewise_linear(tied, images)


class Attending(nn.Module):
    """A network of the user's own with torch's attention, which a CPU differentiates once."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 4, 4)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.stem(x).flatten(2).transpose(1, 2)
        return self.head(self.attention(*3 * (tokens,), need_weights=False)[0].mean(1))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(ResNet(2, 3, 5, norm="group"), marks=pytest.mark.long),
        pytest.param(VisionTransformer(4, 3, 5, 8), marks=pytest.mark.long),
        Attending(),
        Called(lambda net, h: net.same(functional.gelu(h))),
        nn.Sequential(Standardised(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, 5)),
    ],
    ids=["group norm", "transformer", "torch's attention", "gelu", "own convolution"],
)
def test_other_networks_have_eigenvalues_and_traces_of_their_dense_hessian(
    model: nn.Module,
) -> None:
    model = model.double()
    initialise(model, 1)
    subset = Subset(draw(12, 3, 8, 8), torch.arange(12) % 5)
    name, _ = list(model.named_parameters())[-2]
    matrix = dense(model.eval(), subset, [name])
    (found,) = sharpness.measure(model, subset, {"last": [name]}, settings(trace_samples=400), 0)
    assert found.eigenvalue == pytest.approx(float(torch.linalg.eigvalsh(matrix)[-1]), rel=1e-6)
    assert found.trace is not None and found.trace_se is not None
    assert 0 < abs(found.trace - float(matrix.trace())) < 4 * found.trace_se
    assert found.trace_se < 0.2 * found.trace


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_cheaper_operations_have_the_same_products(mode: str) -> None:
    model, subset = small()
    model.train(mode == "train")
    weights = list(model.parameters())
    before = set(vars(model.stem[0])), model(subset.images)

    def product() -> Tensor:
        loss = functional.cross_entropy(model(subset.images), subset.labels)
        hessian = Hessian([loss], weights)
        return hessian @ hessian.random_signs(generator(0))

    expected = product()
    with cheap_second_derivatives(model):
        torch.testing.assert_close(model(subset.images), before[1])
        torch.testing.assert_close(product(), expected)
        assert set(vars(model.stem[0])) != before[0]
    assert set(vars(model.stem[0])) == before[0]


def test_a_scope_has_the_same_numbers_whatever_is_measured_beside_it() -> None:
    model, subset = small()
    scopes = {
        scope: [name for name, _ in model.named_parameters() if name.startswith(parts)]
        for scope, parts in (("network", ""), ("a", ("stem", "layer1")), ("b", "head"))
    }
    how = settings(tolerance=0.01)
    together = sharpness.measure(model, subset, scopes, how, 0)
    alone = [sharpness.measure(model, subset, {s: scopes[s]}, how, 0)[0] for s in scopes]
    assert together == alone


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
    how = settings(batch_norm=mode, tolerance=0.01, max_products=20)
    sharpness.measure(model, subset, {"network": names}, how, 0)
    assert all(torch.equal(before[name], now) for name, now in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert [weight.requires_grad for weight in model.parameters()] == asked
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_mode_of_batch_norm_is_no_mode_of_dropout(mode: str) -> None:
    def curvature(dropped: float) -> float | None:
        layers = (nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Dropout(dropped), nn.Flatten())
        model = nn.Sequential(*layers, nn.Linear(2 * 6 * 6, 4)).double()
        with torch.no_grad():
            for weight in model.parameters():
                weight.copy_(0.1 * draw(*weight.shape))
        subset = sharpness.Subset(draw(24, 3, 8, 8, seed=1), torch.arange(24) % 4)
        names = [name for name, _ in model.named_parameters()]
        how = settings(batch_norm=mode, tolerance=0.01)
        (found,) = sharpness.measure(model, subset, {"network": names}, how, 0)
        return found.eigenvalue

    assert curvature(0.5) == curvature(0.0) is not None


def test_the_same_seed_gives_the_same_numbers_and_the_protocol_names_what_they_depend_on() -> None:
    model, subset = small()
    names = [name for name, _ in model.named_parameters()]
    how = settings(tolerance=0.01)
    first, again = (sharpness.measure(model, subset, {"network": names}, how, 0) for _ in range(2))
    assert first == again
    # Another seed draws the rest of the trace anew.
    (other,) = sharpness.measure(model, subset, {"network": names}, how, 1)
    assert first[0].trace != other.trace
    told = sharpness.protocol(subset, how, 0)
    assert told["images"] == 24
    assert (told["batch_norm"], told["dtype"], told["tolerance"]) == ("eval", "float64", 0.01)
    assert {"method", "max_products", "trace_samples", "seed"} <= told.keys()
