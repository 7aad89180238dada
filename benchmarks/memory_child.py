"""Child processes of `benchmarks.memory`: one writes images, one is a trainer that is measured."""

import json
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import sizes
from netstab.data.manifest import read_manifest

app = typer.Typer(add_completion=False)
Folder = Annotated[Path, typer.Argument(help="Where images and states lie.")]
Size = Annotated[str, typer.Argument(help="mini or article.")]

EVALUATION_BATCHES = 2


@app.command()
def images(folder: Folder, size: Size) -> None:
    """Write a size's number of random images as the stage `data` would."""
    sizes.random_images(folder, *sizes.RANDOM_COUNTS[size], sizes.params(size).data.image_size)


class _EnoughError(Exception):
    """Ends an epoch after the steps that were asked for."""


@app.command()
def train(folder: Folder, size: Size, steps: Annotated[int, typer.Argument()]) -> None:
    """Train some steps of an epoch, evaluate, save a state; print the peak after each as JSON."""
    peaks_mib: dict[str, float] = {}
    study = sizes.params(size, runtime={"device": "cpu"})

    from benchmarks import trainer
    from netstab.measure.evaluate import BATCH, evaluate
    from netstab.training import device as devices
    from netstab.training import state

    device = devices.choose(study.runtime)
    devices.configure(study.train, study.runtime)
    peaks_mib["imports"] = peak_mib()
    manifest = read_manifest(folder)
    training, validation = trainer.splits(study, manifest, folder, device)
    peaks_mib["images"] = peak_mib()
    made = trainer.Trainer(study, manifest, device)
    peaks_mib["network"] = peak_mib()
    done = 0

    def count(*_: object) -> None:
        nonlocal done
        done += 1
        if done == steps:
            raise _EnoughError

    # The epoch is a whole one, with all its draws; it just ends early.
    made.engine.optimizer.register_step_post_hook(count)
    with suppress(_EnoughError):
        made.epoch(trainer.trunk(study), training, validation)
    peaks_mib["steps"] = peak_mib()
    some = trainer.first(validation, EVALUATION_BATCHES * BATCH)
    evaluate(made.engine.model, some, made.engine.autocast)
    peaks_mib["evaluation"] = peak_mib()
    state.write(state.capture(made.engine), folder / "state.safetensors")
    peaks_mib["save"] = peak_mib()
    print(json.dumps(peaks_mib))


def peak_mib() -> float:
    """Peak resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


if __name__ == "__main__":
    app()
