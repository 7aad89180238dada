"""The networks that come with netstab: what they compute, their sizes, parts and operations."""

import pytest
import torch
import torchvision
from torch import nn

from netstab.errors import ParameterError
from netstab.networks.layers import initialise
from netstab.networks.network import Network, build, by_part, names_of
from netstab.networks.resnet import ResNet
from netstab.params import NETWORKS, PARTS, Params
from netstab.study.cost import forward_flop, layers
from tests import small

BLOCKS = {"wide_resnet": {"early": ["stem", "layer1"], "late": ["layer2", "layer3", "head"]}}


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def study(name: str, norm: str = "", width: int = 64, size: int = 32) -> Params:
    """The shipped parameters with another network; its usual norm by default."""
    norm = norm or ("layer" if name == "vit" else "batch")
    return small.params(
        model={"name": name, "norm": norm, "width": width},
        data={"image_size": size},
        blocks=BLOCKS.get(name, small.SHIPPED["blocks"]),
        own={},
    )


def made(*args: object, **kwargs: object) -> Network:
    return build(study(*args, **kwargs), 3, 10)  # type: ignore[arg-type]


EVERY = pytest.mark.parametrize(
    ("name", "norm"),
    [
        *(
            (name, norm)
            for name in ("resnet18", "resnet34", "plain")
            for norm in ("batch", "group")
        ),
        ("plain", "none"),
        ("wide_resnet", "batch"),
        ("wide_resnet", "group"),
        ("vit", "layer"),
    ],
)


# Sizes: against torchvision, counted by hand, and against those that are published


def test_resnet18_is_torchvisions_but_for_stem_and_classes() -> None:
    assert count(made("resnet18").module) == count(torchvision_twin()) == 11_173_962


def test_resnet34_is_torchvisions_but_for_stem_and_classes() -> None:
    published = torchvision.models.resnet34()  # 21.8 M, for ImageNet
    assert count(published) == 21_797_672
    stem = (7 * 7 - 3 * 3) * 3 * 64
    classes = (512 + 1) * (1000 - 10)
    assert count(made("resnet34").module) == 21_797_672 - stem - classes == 21_282_122


def test_the_plain_network_has_all_of_resnet18_but_its_projections() -> None:
    # He et al. 2016, section 3.3: shortcuts bring no parameters, but where they project.
    projections = count(ResNet(64, 3, 10)) - count(made("plain").module)
    twin = torchvision.models.resnet18()
    layers = (twin.layer2, twin.layer3, twin.layer4)
    assert projections == sum(count(layer[0].downsample) for layer in layers) == 173_824


def wide_by_hand(factor: int) -> int:
    """Parameters of WRN-16: convolutions without bias, norms with two a channel, a classifier."""
    total, inputs = 3 * 16 * 9, 16
    for outputs in (16 * factor, 32 * factor, 64 * factor):
        first = 2 * inputs + 9 * inputs * outputs + 2 * outputs + 9 * outputs**2
        shortcut = inputs * outputs if inputs != outputs else 0
        total += first + shortcut + 2 * (2 * outputs + 9 * outputs**2)
        inputs = outputs
    return total + 2 * inputs + 10 * inputs + 10


@pytest.mark.parametrize(
    ("factor", "parameters", "millions"),
    # Millions: of 1605.07146, as tables of its reproductions cite it.
    [(1, 175_066, None), (2, 691_674, None), (4, 2_748_890, 2.7), (8, 10_961_370, 11.0)],
)
def test_the_wide_resnet_has_its_size(factor: int, parameters: int, millions: float | None) -> None:
    found = count(made("wide_resnet", width=16 * factor).module)
    assert found == wide_by_hand(factor) == parameters
    assert millions is None or round(found / 1e6, 1) == millions


def test_the_vision_transformer_has_the_published_size() -> None:
    width, tokens = 256, 1 + 8 * 8
    embedding = (3 * 4 * 4 + 1) * width + width + tokens * width
    attention = 3 * width**2 + (width + 1) * width  # no bias of queries, keys and values
    perceptron = (width + 1) * 2 * width + (2 * width + 1) * width
    blocks = 7 * (2 * 2 * width + attention + perceptron)
    by_hand = embedding + blocks + 2 * width + (width + 1) * 10
    # ViT-Lite-7/4 in its authors' repository, SHI-Labs/Compact-Transformers: 3.717 M.
    assert count(made("vit", width=256).module) == by_hand == 3_716_874


# What they compute


@pytest.mark.parametrize(("width", "channels", "classes", "size"), [(8, 1, 10, 16), (3, 3, 7, 20)])
def test_width_channels_classes_and_input_size_are_free(
    width: int, channels: int, classes: int, size: int
) -> None:
    model = ResNet(width, channels, classes)
    assert model(torch.zeros(2, channels, size, size)).shape == (2, classes)


def torchvision_twin() -> nn.Module:
    """torchvision's ResNet-18 with the CIFAR stem."""
    twin = torchvision.models.resnet18(num_classes=10)
    twin.conv1 = nn.Conv2d(3, 64, 3, 1, padding=1, bias=False)
    twin.maxpool = nn.Identity()
    return twin


def test_it_computes_what_torchvisions_resnet18_computes() -> None:
    ours, theirs = ResNet(64, 3, 10), torchvision_twin()
    initialise(ours, 0)
    # Both list their tensors from input to output, the shortcut after the block's main way.
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for mode in (True, False):
        torch.testing.assert_close(ours.train(mode)(x), theirs.train(mode)(x))


@EVERY
def test_every_network_classifies_and_all_of_it_learns(name: str, norm: str) -> None:
    network = made(name, norm, width=8, size=16)
    network.initialise(network.module, 0)
    logits = network.module(torch.randn(4, 3, 16, 16))
    assert logits.shape == (4, 10)
    nn.functional.cross_entropy(logits, torch.arange(4)).backward()
    for parameter, weight in network.module.named_parameters():
        assert weight.grad is not None and weight.grad.isfinite().all(), parameter
        assert weight.grad.any(), parameter


@EVERY
def test_no_network_has_other_batch_statistics_than_its_norm_says(name: str, norm: str) -> None:
    norms = {nn.BatchNorm2d: "batch", nn.GroupNorm: "group", nn.LayerNorm: "layer"}
    there = {norms[kind] for m in made(name, norm).module.modules() if (kind := type(m)) in norms}
    assert there == ({norm} - {"none"})


@pytest.mark.parametrize(("width", "groups"), [(64, 4), (16, 1), (3, 1), (40, 2), (50, 2)])
def test_a_group_has_16_channels_or_more(width: int, groups: int) -> None:
    stem = made("resnet18", "group", width=width).module.get_submodule("stem.1")
    assert isinstance(stem, nn.GroupNorm) and stem.num_groups == groups


def test_the_plain_network_has_no_shortcuts() -> None:
    """The same weights give what they give in a chain of convolutions, norms and ReLUs."""
    network = made("plain", "none", width=4).module
    initialise(network, 0)
    h = x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            h = module(h).relu()
    h = network.get_submodule("head.linear")(h.mean((2, 3)))
    torch.testing.assert_close(network(x), h)


def test_attention_is_torchs() -> None:
    block = made("vit", width=16).module.get_submodule("layer1.0.attention")
    x = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0))
    parts = block.get_submodule("to_qkv")(x).unflatten(2, (3, 4, 4)).permute(2, 0, 3, 1, 4)
    found = nn.functional.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)
    torch.testing.assert_close(block(x), block.get_submodule("out")(found))


# Parts


@EVERY
def test_every_parameter_belongs_to_exactly_one_part(name: str, norm: str) -> None:
    network = made(name, norm)
    parts = by_part(network.module, network.parts)
    assert tuple(parts) == NETWORKS[name]
    assert tuple(parts) == tuple(child for child, _ in network.module.named_children())
    assert all(parts.values())
    numbers = sum(p.numel() for part in parts.values() for p in part.values())
    assert numbers == count(network.module)


def test_what_parts_leave_out_or_take_twice_is_refused_all_at_once() -> None:
    model = ResNet(4, 3, 10)
    model.extra = nn.Linear(2, 2)
    model.tied = nn.Linear(16, 16, bias=False)
    parts = {part: (part,) for part in PARTS}
    parts |= {"tail": ("head.linear", "nowhere"), "tied": ("tied",)}
    model.stem.add_module("again", model.tied)
    with pytest.raises(ParameterError) as refused:
        by_part(model, parts)
    assert refused.value.faults == [
        "model.parts: head.linear.weight is taken twice, by head and tail; leave one out",
        "model.parts: head.linear.bias is taken twice, by head and tail; leave one out",
        "model.parts: extra.weight belongs to no part; name it, or a module that has it",
        "model.parts: extra.bias belongs to no part; name it, or a module that has it",
        "model.parts: tied.weight is shared by stem and tied; join them",
        "model.parts: nowhere, of tail, is not there",
    ]


def test_a_part_without_parameters_is_refused() -> None:
    parts = {part: (part,) for part in PARTS} | {"pooling": ("stem.2",)}
    with pytest.raises(ParameterError, match="pooling has no parameter; leave it out"):
        by_part(ResNet(4, 3, 10), parts)


def test_the_articles_blocks_have_their_numbers_of_parameters() -> None:
    params = study("resnet18")
    model = build(params, 3, 10).module
    counts = {
        block: sum(model.get_parameter(name).numel() for name in names_of(model, params, parts))
        for block, parts in params.blocks.items()
    }
    assert counts == {"64": 149_824, "128": 525_568, "256": 2_099_712, "512": 8_398_858}


def test_initialisation_depends_on_the_seed_alone() -> None:
    first, again, other = (ResNet(4, 3, 10) for _ in range(3))
    torch.manual_seed(1)
    initialise(first, 0)
    torch.manual_seed(2)
    initialise(again.double(), 0)
    initialise(other, 1)
    for (name, a), b, c in zip(
        first.named_parameters(), again.parameters(), other.parameters(), strict=True
    ):
        assert torch.equal(a.double(), b), name
        assert torch.equal(a, c) == ("bn" in name or "stem.1" in name or "shortcut.1" in name), name


def test_convolutions_start_with_the_variance_of_he_et_al() -> None:
    model = ResNet(64, 3, 10)
    initialise(model, 0)
    weight = model.layer3[1].conv1.weight
    assert float(weight.detach().std()) == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.01)


@EVERY
def test_operations_and_weights_are_those_of_the_real_layers(name: str, norm: str) -> None:
    network = made(name, norm, width=8, size=20)
    seen: dict[str, float] = dict.fromkeys(network.parts, 0.0)
    weights = dict.fromkeys(network.parts, 0)

    def watch(part: str) -> object:
        def hook(module: nn.Module, args: tuple[torch.Tensor], out: torch.Tensor) -> None:
            if isinstance(module, nn.Conv2d | nn.Linear):
                weights[part] += module.weight.numel()
                seen[part] += 2.0 * module.weight[0].numel() * out.numel()
            if type(module).__name__ == "Attention":  # every token with every other one, twice
                seen[part] += 2.0 * 2 * out.shape[1] ** 2 * out.shape[2]

        return hook

    for part in network.parts:
        for inner in network.module.get_submodule(part).modules():
            inner.register_forward_hook(watch(part))  # type: ignore[arg-type]
    network.module(torch.zeros(1, 3, 20, 20))
    model = study(name, norm, width=8, size=20).model
    assert forward_flop(model, 20, 3, 10) == seen
    assert {layer.part: layer.weights for layer in layers(model, 20, 3, 10)} == weights
