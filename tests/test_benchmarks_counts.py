"""What benchmarks count, and the laws that they fit."""

import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import sizes
from benchmarks.common import Spread
from benchmarks.counted import Amount, Shape, epoch_bytes, epoch_flop, outputs, weights
from benchmarks.growth_plan import against_seeds, against_variants
from benchmarks.kinds import TRUNK, Kinds, epochs
from benchmarks.laws import power_law
from netstab.params import PARTS
from netstab.study.cost import training_flop
from netstab.study.plan import tree
from netstab.training.model import ResNet18, apply_modes

MINI = sizes.params("mini")
WHOLE = tree(MINI)
KINDS = Kinds(WHOLE)
SHAPE = Shape(width=8, image_size=16, channels=3, classes=10)


def once_each(values: dict[int, float]) -> dict[int, Spread]:
    return {x: Spread((y,)) for x, y in values.items()}


# Counting


@pytest.mark.parametrize("name", KINDS.phases)
def test_operations_of_a_step_are_those_that_torch_counts(name: str) -> None:
    model = ResNet18(SHAPE.width, SHAPE.channels, SHAPE.classes)
    apply_modes(model, KINDS.phases[name])
    images, labels = torch.zeros(2, 3, 16, 16), torch.zeros(2, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter:
        functional.cross_entropy(model(images), labels).backward()
    assert training_flop(KINDS.phases[name], SHAPE.forward) == counter.get_total_flops() / 2


def test_an_epoch_leaves_its_incomplete_batch_out_and_evaluates_all() -> None:
    phase = KINDS.phases[TRUNK]
    assert epoch_flop(phase, SHAPE, Amount(training=70, validation=5, batch_size=32)) == (
        64 * training_flop(phase, SHAPE.forward) + 5 * sum(SHAPE.forward.values())
    )


def test_weights_and_outputs_are_the_networks() -> None:
    model = ResNet18(SHAPE.width, SHAPE.channels, SHAPE.classes)
    seen = dict.fromkeys(PARTS, 0)
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            part = name.split(".", 1)[0]
            module.register_forward_hook(
                lambda _, __, out, part=part: seen.update({part: seen[part] + out.numel()})
            )
    model(torch.zeros(1, 3, 16, 16))
    assert outputs(SHAPE) == seen
    counts = {
        part: sum(p.numel() for p in model.get_submodule(part).parameters()) for part in PARTS
    }
    assert weights(SHAPE) == counts


def test_fewest_bytes_shrink_with_what_is_frozen_and_with_precision() -> None:
    amount = Amount(training=64, validation=0, batch_size=64)

    def moved(kind: str, precision: str = "fp32") -> float:
        return epoch_bytes(KINDS.phases[kind], SHAPE, amount, precision)

    assert moved("expE-head") < moved("expB-512") < moved("expB-64") < moved(TRUNK)
    values, counts = sum(outputs(SHAPE).values()), sum(weights(SHAPE).values())
    assert moved(TRUNK) == 64 * (4 * 5 * values + 3 * 16 * 16) + 4 * 4 * counts
    assert moved(TRUNK) - moved(TRUNK, "bf16") == 64 * 2 * 5 * values


def test_kinds_are_ways_of_freezing_not_rates() -> None:
    assert list(KINDS.frozen) == [
        *(f"expB-{block}" for block in MINI.blocks),
        *(f"strict-{block}" for block in MINI.blocks),
        "expE-head",
    ]
    assert KINDS.alike["expB-512"] == ["expB-512", "expC-512", "expD-512"]


def test_epochs_of_all_kinds_add_up_to_the_plans() -> None:
    shared, alone = epochs(WHOLE, KINDS)
    assert shared.total() == WHOLE.epochs
    assert alone.total() == WHOLE.epochs_apart


# Laws


def test_a_power_law_is_found_with_its_error() -> None:
    exact = power_law(once_each({x: 3.0 * x**1.5 for x in (16, 32, 64, 128)}))
    assert exact is not None
    assert exact.exponent == pytest.approx(1.5)
    assert exact.factor == pytest.approx(3.0)
    assert exact.exponent_se == pytest.approx(0.0, abs=1e-6)
    noisy = power_law({x: Spread((x * 1.1, x / 1.1)) for x in (1, 10, 100)})
    assert noisy is not None and noisy.exponent_se is not None
    assert noisy.exponent == pytest.approx(1.0)
    assert 0 < noisy.exponent_se < 0.1


def test_a_law_through_two_points_has_no_error_and_one_point_has_no_law() -> None:
    two = power_law(once_each({1: 1.0, 2: 4.0}))
    assert two is not None and two.exponent == pytest.approx(2.0)
    assert two.exponent_se is None
    assert power_law({1: Spread((1.0, 2.0))}) is None
    with pytest.raises(ValueError, match="positive"):
        power_law(once_each({1: 0.0, 2: 1.0}))


def test_epochs_grow_in_proportion_to_seeds_and_slower_with_variants_that_share() -> None:
    by_seeds = power_law(against_seeds("mini", [3, 30, 300])["epochs, shared pasts"])
    assert by_seeds is not None and by_seeds.exponent == pytest.approx(1.0)
    laws = [power_law(values) for values in against_variants("mini").values()]
    assert laws[0] is not None and laws[1] is not None
    assert laws[0].exponent < laws[1].exponent == pytest.approx(1.0)
