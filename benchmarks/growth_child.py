"""Child processes of `benchmarks.growth`: one writes images, one is a trainer that is measured."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import sizes
from benchmarks.memory_child import peak_mib
from netstab.data.manifest import read_manifest

app = typer.Typer(add_completion=False)
Folder = Annotated[Path, typer.Argument(help="Where images lie.")]
Size = Annotated[str, typer.Argument(help="demo, mini or article.")]

EVALUATED = 512
"""Images: a whole batch of an evaluation, so that its memory counts."""


@app.command()
def images(folder: Folder, size: Size, count: Annotated[int, typer.Argument()]) -> None:
    """Write random images as the stage `data` would."""
    sizes.random_images(folder, count, EVALUATED, sizes.params(size).data.image_size)


@app.command()
def train(
    folder: Folder,
    size: Size,
    device: Annotated[str, typer.Argument(help="auto, cpu or cuda.")],
    threads: Annotated[int, typer.Argument(help="CPU threads; 0 for one a core.")],
    width: Annotated[int, typer.Argument()],
    steps: Annotated[int, typer.Argument(help="Timed; 0 for an epoch's.")],
) -> None:
    """Train, and evaluate a batch; prints JSON.

    `epoch_s` (of the training steps alone; computed from some of them where `steps` says so),
    `working_mib` (the peak beyond what imports take) and, on CUDA, `gpu_mib` (allocated at most).
    """
    runtime = {"device": device, "threads": threads or None}
    study = sizes.params(size, model={"width": width}, runtime=runtime)
    import torch

    from benchmarks import trainer

    imports_mib = peak_mib()
    course = trainer.course_on(study, read_manifest(folder), folder)
    short = course.cut(steps) if steps else course
    made = trainer.Trainer(study, course.manifest, course.device)
    few, step = trainer.first(course.validation, 1), course.cut(1).training
    made.epoch(trainer.trunk(study), step, few)
    started = time.perf_counter()
    made.epoch(trainer.trunk(study), short.training, few)
    seconds = (time.perf_counter() - started) * course.amount.steps / short.amount.steps
    made.evaluate(course.validation)
    told = {"epoch_s": seconds, "working_mib": peak_mib() - imports_mib}
    if course.device.type == "cuda":
        told["gpu_mib"] = torch.cuda.max_memory_allocated(course.device) / 2**20
    print(json.dumps(told))


if __name__ == "__main__":
    app()
