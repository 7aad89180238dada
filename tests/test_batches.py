"""Batches: what is drawn depends on (seed, epoch) alone, and augmentation does what it says."""

from dataclasses import replace

import pytest
import torch

from netstab.data.batches import (
    Images,
    draw_epoch,
    to_device,
    training_batches,
    validation_batches,
)
from netstab.measure.evaluate import evaluate
from tests import small


def plain(pixels: torch.Tensor, padding: int) -> Images:
    """Images whose normalised pixels are the pixels themselves."""
    channels = pixels.shape[3]
    return to_device(
        pixels,
        torch.arange(len(pixels)),
        mean=[0.0] * channels,
        std=[1 / 255] * channels,
        padding=padding,
        device=small.CPU,
        dtype=torch.float64,
    )


def test_draws_depend_on_seed_and_epoch_alone() -> None:
    def draws(seed: int, epoch: int) -> list[torch.Tensor]:
        d = draw_epoch(100, 10, padding=4, flip=True, seed=seed, epoch=epoch)
        return [d.order, d.top, d.left, d.flip]

    torch.manual_seed(1)
    first = draws(0, 3)
    torch.manual_seed(2)
    assert all(torch.equal(a, b) for a, b in zip(first, draws(0, 3), strict=True))
    for other in (draws(1, 3), draws(0, 4)):
        assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_an_epoch_shows_every_image_once_and_drops_the_incomplete_batch() -> None:
    order = draw_epoch(103, 10, padding=0, flip=False, seed=0, epoch=0).order
    assert len(order) == 100
    assert len(set(order.tolist())) == 100


def test_the_batch_size_changes_neither_order_nor_augmentation() -> None:
    small_batches = draw_epoch(96, 8, padding=4, flip=True, seed=0, epoch=0)
    large = draw_epoch(96, 32, padding=4, flip=True, seed=0, epoch=0)
    assert torch.equal(small_batches.order, large.order)
    assert torch.equal(small_batches.top, large.top)
    assert torch.equal(small_batches.flip, large.flip)


def test_crops_and_flips_are_spread_evenly() -> None:
    draws = draw_epoch(9_000, 9_000, padding=4, flip=True, seed=0, epoch=0)
    for offsets in (draws.top, draws.left):
        counts = offsets.bincount()
        assert len(counts) == 9
        # Six standard deviations of a count with mean 1,000.
        assert (counts - 1_000).abs().max() < 6 * (1_000 * 8 / 9) ** 0.5
    assert abs(int(draws.flip.sum()) - 4_500) < 6 * 2_250**0.5


@pytest.mark.parametrize("channels", [1, 3])
def test_a_batch_is_the_cropped_and_mirrored_image(channels: int) -> None:
    pixels = torch.randint(1, 256, (20, 6, 5, channels), dtype=torch.uint8)
    images = plain(pixels, padding=2)
    draws = draw_epoch(20, 4, padding=2, flip=True, seed=0, epoch=0)
    seen = 0
    for x, y in training_batches(images, draws, 4):
        assert x.shape == (4, channels, 6, 5)
        for image, label in zip(x, y, strict=True):
            framed = torch.zeros(10, 9, channels, dtype=torch.uint8)
            framed[2:8, 2:7] = pixels[label]
            top, left = int(draws.top[seen]), int(draws.left[seen])
            expected = framed[top : top + 6, left : left + 5]
            if draws.flip[seen]:
                expected = expected.flip(1)
            torch.testing.assert_close(image, expected.permute(2, 0, 1).double())
            seen += 1
    assert seen == 20
    assert bool(draws.flip.any()) and not bool(draws.flip.all())


def test_validation_shows_all_images_in_order_untouched() -> None:
    pixels = torch.randint(0, 256, (7, 4, 4, 3), dtype=torch.uint8)
    batches = list(validation_batches(plain(pixels, 0), 3))
    assert [len(y) for _, y in batches] == [3, 3, 1]
    torch.testing.assert_close(
        torch.cat([x for x, _ in batches]), pixels.permute(0, 3, 1, 2).double()
    )


class Guess(torch.nn.Module):
    """Says the same logits for every image."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = torch.tensor(logits, dtype=torch.float64)
        self.frozen = torch.nn.BatchNorm2d(3).eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(x), -1)


def test_evaluation_counts_what_it_says_and_leaves_modes_alone() -> None:
    images = plain(torch.zeros(7, 4, 4, 3, dtype=torch.uint8), 0)
    model = Guess([0.0, 3.0, 2.0, 1.0, 0.5, 0.25, -9.0])
    result = evaluate(model, images, torch.autocast("cpu", enabled=False))
    expected = torch.nn.functional.cross_entropy(model(torch.zeros(7)), images.labels)
    assert float(result.loss) == pytest.approx(float(expected))
    assert float(result.top1_pct) == pytest.approx(100 / 7)
    assert float(result.top5_pct) == pytest.approx(500 / 7)
    assert model.training and not model.frozen.training


class Coarse(torch.nn.Module):
    """Logits that depend on the image, of so few values that most are equal to others."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (3 * torch.sin(x.flatten(1) @ torch.arange(48 * 20.0).view(48, 20).double())).round()


def test_of_equal_logits_the_first_classes_are_the_guesses() -> None:
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (700, 4, 4, 3), dtype=torch.uint8, generator=draw)
    images = replace(plain(pixels, 0), labels=torch.randint(0, 20, (700,), generator=draw))
    logits = Coarse()(torch.cat([x for x, _ in validation_batches(images, 700)]))
    guesses = logits.sort(dim=1, descending=True, stable=True).indices == images.labels[:, None]
    result = evaluate(Coarse(), images, torch.autocast("cpu", enabled=False))
    assert float(result.top1_pct) == pytest.approx(float(100 * guesses[:, 0].double().mean()))
    assert float(result.top5_pct) == pytest.approx(float(500 * guesses[:, :5].double().mean()))
    # As training counts its first guesses.
    right = logits.argmax(1) == images.labels
    assert float(result.top1_pct) == pytest.approx(float(100 * right.double().mean()))


def test_with_fewer_than_five_classes_top5_is_all() -> None:
    images = plain(torch.zeros(3, 4, 4, 3, dtype=torch.uint8), 0)
    result = evaluate(Guess([0.0, 1.0, 2.0]), images, torch.autocast("cpu", enabled=False))
    assert float(result.top5_pct) == 100
