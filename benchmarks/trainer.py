"""netstab's engine on prepared images, as a training stage builds it, for timing single epochs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import sizes
from benchmarks.common import machine
from netstab.data.batches import Images, splits
from netstab.data.manifest import Manifest
from netstab.data.tensors import load
from netstab.measure.evaluate import evaluate
from netstab.networks.network import build
from netstab.params import Params
from netstab.results.schema import Row
from netstab.store.records import Record
from netstab.store.states import Store
from netstab.study.cost import Costs
from netstab.study.experiments import Variant, schedule
from netstab.study.plan import Work
from netstab.study.schedule import Phase
from netstab.training import device as devices
from netstab.training import state
from netstab.training.engine import Engine

WARM_UP_STEPS = 2
TOLD: list[dict[str, Any]] = [
    {
        "from": 0,
        "to": 1,
        "seconds": 0.0,
        "flop": 0.0,
        "trained_for": "benchmark",
        "finished_at": "2026-01-01T00:00:00Z",
        "device": "",
        "device_type": "",
        "torch": "",
        "threads": 0,
        "host": "",
    }
]
"""Provenance of a state that nobody asks for."""
BASELINE = Variant("baseline")


class Trainer:
    """A network in its first state, ready to be taken through epochs of any phase."""

    def __init__(self, study: Params, manifest: Manifest, device: torch.device) -> None:
        network = build(study, manifest.image_shape[2], len(manifest.classes))
        self.engine = Engine(network, study.train, device, compiled=study.runtime.compile)
        self._history: list[Row] = []
        self.engine.start(seed=0)

    def epoch(self, phase: Phase, training: Images, validation: Images) -> None:
        """Train one epoch of a phase, and evaluate."""
        epoch = len(self._history)
        self._history.append(self.engine.epoch(phase, training, validation, 0, epoch))

    def evaluate(self, validation: Images) -> float:
        """Evaluate; returns the loss, which waits for the device."""
        return float(evaluate(self.engine.model, validation, self.engine.autocast).loss)

    def save(self, store: Store) -> None:
        """Save the state as a stage does: its tensors, their hash, its record."""
        history = list(self._history)
        record = Record("0" * 64, "benchmark", len(history), {}, history, TOLD, False)
        store.save(record, lambda path: state.write(state.capture(self.engine), path))


def trunk(study: Params) -> Phase:
    """The phase in which every part is trained at the initial rate."""
    return schedule(study, BASELINE).phases[0]


def first(images: Images, count: int) -> Images:
    """The first of some images."""
    return replace(images, pixels=images.pixels[:count], labels=images.labels[:count])


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """What epochs are timed on.

    Attributes:
        study: the parameters.
        device: where.
        on: the machine, as `machine` describes it.
        manifest: of all images on disk.
        training: images of an epoch, on the device.
        validation: likewise.
        share: of the images on disk that are used; below 1 for a quick trial.
    """

    study: Params
    device: torch.device
    on: dict[str, Any]
    manifest: Manifest
    training: Images
    validation: Images
    share: float = 1.0

    @property
    def settings(self) -> dict[str, Any]:
        """What a result has to say of how it was measured."""
        batch_size = self.study.train.batch_size
        return {
            "images": self.manifest.name,
            "training_images": len(self.training),
            "validation_images": len(self.validation),
            "share_of_an_epoch": self.share,
            "steps_an_epoch": len(self.training) // batch_size,
            "batch_size": batch_size,
            "width": self.study.model.width,
            "precision": self.study.train.precision,
        }

    @property
    def trained_images(self) -> int:
        """Images that an epoch's steps take: an incomplete batch is dropped."""
        batch_size = self.study.train.batch_size
        return len(self.training) // batch_size * batch_size

    def flop(self, phase: Phase) -> float:
        """Operations of an epoch: training steps, and a forward pass of each validation image."""
        shape = self.manifest.image_shape[2], len(self.manifest.classes)
        costs = Costs(self.study, self.trained_images, *shape)
        evaluating = len(self.validation) * sum(costs.forward.values())
        return costs.flop([Work(BASELINE, phase, 1)]) + evaluating

    def cut(self, steps: int) -> "Workload":
        """As many images as some steps take, and as large a share of the validation images."""
        count = min(steps * self.study.train.batch_size, len(self.training))
        share = count / len(self.training)
        return replace(
            self,
            training=first(self.training, count),
            validation=first(self.validation, max(1, round(share * len(self.validation)))),
            share=self.share * share,
        )

    def warmed_up(self, phase: Phase, precision: str | None = None) -> Trainer:
        """A trainer that has taken its first steps of a phase."""
        train = self.study.train
        train = train.model_copy(update={"precision": precision or train.precision})
        study = self.study.model_copy(update={"train": train})
        trainer, short = Trainer(study, self.manifest, self.device), self.cut(WARM_UP_STEPS)
        trainer.epoch(phase, short.training, short.validation)
        return trainer

    def epochs(self, phase: Phase, precision: str | None = None) -> Callable[[], None]:
        """A trainer of its own, warmed up; each call trains one epoch of the phase."""
        trainer = self.warmed_up(phase, precision)
        return partial(trainer.epoch, phase, self.training, self.validation)


def workload(study: Params, size: str, folder: Path, steps: int | None = None) -> Workload:
    """Prepare images below `folder`, and set the process up as a training stage does."""
    whole = workload_on(study, sizes.prepare(study, size, folder), folder)
    return whole.cut(steps) if steps else whole


def workload_on(study: Params, manifest: Manifest, folder: Path) -> Workload:
    """The same on images that are prepared below `folder` already."""
    device = devices.choose(study.runtime)
    threads = devices.configure(study.train, study.runtime)
    on = machine() | {"device": devices.hardware(device, threads).device, "threads": threads}
    images = splits(
        load(manifest, folder),
        mean=manifest.mean,
        std=manifest.std,
        padding=study.train.crop_padding,
        device=device,
        dtype=torch.float32,
    )
    return Workload(study, device, on, manifest, *images)
