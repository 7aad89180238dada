"""The network is the CIFAR ResNet-18, and every parameter belongs to one part and one block."""

import pytest
import torch
import torchvision
from torch import nn

from netstab.errors import ParameterError
from netstab.params import PARTS
from netstab.study.cost import forward_flop
from netstab.training.model import ResNet18, block_parameters, by_part, initialise
from tests import small


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_width_64_has_the_published_number_of_parameters() -> None:
    assert count(ResNet18(64, 3, 10)) == 11_173_962


@pytest.mark.parametrize(("width", "channels", "classes", "size"), [(8, 1, 10, 16), (3, 3, 7, 20)])
def test_width_channels_classes_and_input_size_are_free(
    width: int, channels: int, classes: int, size: int
) -> None:
    model = ResNet18(width, channels, classes)
    assert model(torch.zeros(2, channels, size, size)).shape == (2, classes)


def torchvision_twin() -> nn.Module:
    """torchvision's ResNet-18 with the CIFAR stem."""
    twin = torchvision.models.resnet18(num_classes=10)
    twin.conv1 = nn.Conv2d(3, 64, 3, 1, padding=1, bias=False)
    twin.maxpool = nn.Identity()
    return twin


def test_it_computes_what_torchvisions_resnet18_computes() -> None:
    ours, theirs = ResNet18(64, 3, 10), torchvision_twin()
    initialise(ours, 0)
    # Both list their tensors from input to output, the shortcut after the block's main way.
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for mode in (True, False):
        torch.testing.assert_close(ours.train(mode)(x), theirs.train(mode)(x))


def test_every_parameter_belongs_to_exactly_one_part() -> None:
    model = ResNet18(4, 3, 10)
    parts = by_part(model)
    assert tuple(parts) == PARTS == tuple(name for name, _ in model.named_children())
    assert all(parts.values())
    assert sum(p.numel() for part in parts.values() for p in part.values()) == count(model)


def test_a_parameter_outside_the_parts_is_refused() -> None:
    model = ResNet18(4, 3, 10)
    model.extra = nn.Linear(2, 2)
    with pytest.raises(ParameterError, match=r"extra\.weight: belongs to no part"):
        by_part(model)


def test_the_articles_blocks_are_a_partition() -> None:
    counts = block_parameters(ResNet18(64, 3, 10), small.SHIPPED["blocks"])
    assert counts == {"64": 149_824, "128": 525_568, "256": 2_099_712, "512": 8_398_858}


@pytest.mark.parametrize("layer4", [["head"], ["layer4", "head", "stem"]])
def test_blocks_that_are_no_partition_are_refused(layer4: list[str]) -> None:
    blocks = {**small.SHIPPED["blocks"], "512": layer4}
    with pytest.raises(ParameterError, match="leave out a parameter or claim one twice"):
        block_parameters(ResNet18(4, 3, 10), blocks)


def test_initialisation_depends_on_the_seed_alone() -> None:
    first, again, other = (ResNet18(4, 3, 10) for _ in range(3))
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
    model = ResNet18(64, 3, 10)
    initialise(model, 0)
    weight = model.layer3[1].conv1.weight
    assert float(weight.detach().std()) == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.01)


def test_operations_are_those_of_the_real_convolutions() -> None:
    seen: dict[str, float] = dict.fromkeys(PARTS, 0.0)
    model = ResNet18(8, 3, 10)

    def watch(part: str) -> object:
        def hook(module: nn.Module, args: tuple[torch.Tensor], out: torch.Tensor) -> None:
            if isinstance(module, nn.Conv2d):
                each = module.in_channels * module.kernel_size[0] * module.kernel_size[1]
                seen[part] += 2.0 * out.numel() * each
            if isinstance(module, nn.Linear):
                seen[part] += 2.0 * out.numel() * module.in_features

        return hook

    for part, module in model.named_children():
        for inner in module.modules():
            inner.register_forward_hook(watch(part))  # type: ignore[arg-type]
    model(torch.zeros(1, 3, 20, 20))
    assert forward_flop(8, 20, 3, 10) == seen
