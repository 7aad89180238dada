"""How an epoch's time and a trainer's memory grow with width and with the number of images.

No torch: each measurement is a process of its own, whose peak Linux would otherwise mix with ours.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.children import measured_child
from benchmarks.common import Spread

CHILD = "benchmarks.growth_child"


@dataclass(frozen=True, slots=True)
class Trainer:
    """What all children have in common.

    Attributes:
        size: demo, mini or article.
        device: auto, cpu or cuda.
        threads: CPU threads; 0 for one a core.
        folder: where images lie.
    """

    size: str
    device: str
    threads: int
    folder: Path

    def images(self, count: int) -> Path:
        """A folder with so many random training images, and a batch to evaluate."""
        place = self.folder / f"images-{count}"
        if not place.exists():
            place.mkdir()
            measured_child(CHILD, "images", str(place), self.size, str(count))
        return place

    def measure(self, place: Path, width: int, steps: int) -> dict[str, float]:
        """Seconds of an epoch and peak memory: see `growth_child.train`; `peak_mib` beside them."""
        settings = [self.size, self.device, str(self.threads), str(width), str(steps)]
        peak, said = measured_child(CHILD, "train", str(place), *settings)
        told: dict[str, float] = json.loads(said.splitlines()[-1])
        return {**told, "peak_mib": peak}


def in_turn(
    cases: dict[int, Callable[[], dict[str, float]]], rounds: int
) -> dict[str, dict[int, Spread]]:
    """What the cases tell, all once in every round: name of a figure -> x -> its values."""
    told: dict[int, list[dict[str, float]]] = {x: [] for x in cases}
    for _ in range(rounds):
        for x, case in cases.items():
            told[x].append(case())
    names = next(iter(told.values()))[0] if cases else {}
    return {
        name: {x: Spread(tuple(one[name] for one in many)) for x, many in told.items()}
        for name in names
    }


def against_widths(
    trainer: Trainer, widths: list[int], count: int, steps: int, rounds: int
) -> dict[str, dict[int, Spread]]:
    """Figures by width: an epoch's seconds are computed from those of some steps."""
    place = trainer.images(count)
    cases = {w: lambda w=w: trainer.measure(place, w, steps) for w in widths}
    return in_turn(cases, rounds)


def against_images(
    trainer: Trainer, counts: list[int], width: int, rounds: int
) -> dict[str, dict[int, Spread]]:
    """Figures by the number of training images, whole epochs."""
    places = {count: trainer.images(count) for count in counts}
    cases = {n: lambda p=p: trainer.measure(p, width, 0) for n, p in places.items()}
    return in_turn(cases, rounds)
