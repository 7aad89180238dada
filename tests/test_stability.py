"""Stability: drift that is known beforehand, gradients against finite differences."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from netstab.measure.stability import Path, Signals, compare, signals
from netstab.networks.layers import initialise
from netstab.networks.resnet import ResNet
from netstab.params import PARTS
from netstab.training.watch import Watch

BOUNDARIES = {
    "64": ("stem", "layer1"),
    "128": ("layer2", "layer2"),
    "256": ("layer3", "layer3"),
    "512": ("layer4", "head"),
}


def network() -> ResNet:
    model = ResNet(2, 3, 5).double()
    initialise(model, 0)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            if name.endswith("running_var"):
                buffer.add_(torch.rand(buffer.shape, generator=draw, dtype=buffer.dtype))
    return model


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(2)
    return torch.randn(8, 3, 8, 8, generator=draw, dtype=torch.float64), torch.arange(8) % 5


def look(model: ResNet, batch: tuple[Tensor, Tensor]) -> Signals:
    return signals(model, BOUNDARIES, *batch)


def test_equal_weights_have_drifted_by_nothing(batch: tuple[Tensor, Tensor]) -> None:
    model = network()
    rows = compare(look(model, batch), look(deepcopy(model), batch), "floor", None)
    assert [row["block"] for row in rows] == [*BOUNDARIES, "network"]
    for row in rows:
        assert row["forward_change"] == 0
        assert row["forward_cka"] == pytest.approx(1, abs=1e-12)
        assert row["path"] == 0
    assert all(row["backward_change"] == 0 for row in rows[:-1])
    assert (rows[-1]["changed_pct"], rows[-1]["kl_nats"]) == (0, 0)


def test_only_what_lies_behind_a_changed_block_drifts_forward(
    batch: tuple[Tensor, Tensor],
) -> None:
    model = network()
    before = look(model, batch)
    with torch.no_grad():
        model.layer2[0].conv1.weight.mul_(1.1)
    rows = {row["block"]: row for row in compare(before, look(model, batch), "step", None)}
    assert rows["64"]["forward_change"] == rows["128"]["forward_change"] == 0
    moved = [rows[place]["forward_change"] for place in ("256", "512", "network")]
    assert all(isinstance(change, float) and change > 1e-3 for change in moved)
    # Backward, everything before the loss sees it: the predictions have changed.
    backward = [rows[block]["backward_change"] for block in BOUNDARIES]
    assert all(isinstance(change, float) and change > 0 for change in backward)


def test_forward_signals_are_inputs_of_blocks_and_the_features_that_the_head_sees(
    batch: tuple[Tensor, Tensor],
) -> None:
    model, (x, _) = network(), batch
    found = look(model, batch)
    assert torch.equal(found.forward["64"], x)
    h = x
    for part in PARTS[:-1]:
        if part == "layer3":
            assert torch.equal(found.forward["256"], h)
        h = model.get_submodule(part)(h)
    torch.testing.assert_close(found.forward["network"], h.mean(dim=(2, 3)))
    torch.testing.assert_close(found.logits, model(x))


@pytest.mark.parametrize("block", list(BOUNDARIES))
def test_backward_signals_are_the_losss_finite_differences(
    block: str, batch: tuple[Tensor, Tensor]
) -> None:
    model, (x, y) = network(), batch
    found = look(model, batch)
    last = BOUNDARIES[block][1]
    toward = torch.randn(
        found.backward[block].shape, generator=torch.Generator().manual_seed(3), dtype=x.dtype
    )

    @torch.no_grad()
    def loss(step: float) -> float:
        h = x
        for part in PARTS:
            h = model.get_submodule(part)(h)
            if part == last:
                h = h + step * toward
        return float(functional.cross_entropy(h, y, reduction="sum"))

    step = 1e-6
    slope = (loss(step) - loss(-step)) / (2 * step)
    assert slope == pytest.approx(float((found.backward[block] * toward).sum()), rel=1e-5)


def test_the_weights_way_is_the_sum_of_its_steps_and_not_the_distance() -> None:
    first, second = torch.zeros(3), torch.zeros(2, 2)
    path = Path({"a": [first], "b": [second]})
    first += torch.tensor([3.0, 4.0, 0.0])
    path.step()
    first -= torch.tensor([3.0, 4.0, 0.0])
    second += 6.0
    path.step()
    lengths = path.lengths()
    assert lengths["a"] == pytest.approx(10)
    assert lengths["b"] == pytest.approx(12)
    assert lengths["network"] == pytest.approx(5 + (25 + 144) ** 0.5)


def test_an_epoch_that_ends_where_it_began_has_gone_a_way_and_changed_nothing(
    batch: tuple[Tensor, Tensor],
) -> None:
    model = network()
    weight = model.layer2[0].conv1.weight
    start = weight.detach().clone()
    ended: list[Watch] = []
    parts = {"64": [model.stem, model.layer1], "128": [model.layer2], "256": [model.layer3]}
    parts["512"] = [model.layer4, model.head]
    weights = {block: [w for part in of for w in part.parameters()] for block, of in parts.items()}
    watch = Watch(model, weights, ended.append)
    for factor in (1.1, 1.0):
        with torch.no_grad():
            weight.copy_(factor * start)
        watch.step()
    assert not ended, "it is complete at the end alone"
    watch.end()
    assert ended == [watch]
    rows: dict[tuple[str, str], Any] = {}
    for distance, (state, lengths) in {"floor": (watch.before, {}), **watch.after}.items():
        model.load_state_dict(watch.before)
        before = look(model, batch)
        model.load_state_dict(state)
        found = compare(before, look(model, batch), distance, lengths)
        rows |= {(distance, row["block"]): row for row in found}
    assert len(rows) == 3 * 5
    # Over the first step: a tenth of a weight's norm, and what lies behind it has changed.
    assert rows["step", "128"]["path"] == pytest.approx(0.1 * float(start.norm()))
    assert rows["step", "network"]["path"] == pytest.approx(0.1 * float(start.norm()))
    assert rows["step", "512"]["path"] == 0
    assert rows["step", "256"]["forward_change"] > 1e-3
    # Over the epoch: there and back.
    assert rows["epoch", "128"]["path"] == pytest.approx(0.2 * float(start.norm()))
    for block in (*BOUNDARIES, "network"):
        for distance in ("floor", "epoch"):
            assert rows[distance, block]["forward_change"] == 0
        assert rows["floor", block]["path"] == 0


def test_a_look_leaves_weights_and_statistics_alone(batch: tuple[Tensor, Tensor]) -> None:
    model = network()
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    look(model, batch)
    assert all(torch.equal(before[name], now) for name, now in model.state_dict().items())
