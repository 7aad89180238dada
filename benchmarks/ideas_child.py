"""A process that trains some steps of the trunk, and prints the seconds that one takes as JSON."""

import json
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import sizes


def main(
    size: Annotated[str, typer.Argument(help="demo, mini or article.")],
    threads: Annotated[int, typer.Argument(help="CPU threads.")],
    steps: Annotated[int, typer.Argument(help="Steps that are timed.")],
) -> None:
    """Train a few steps to warm up, then time some."""
    study = sizes.params(size, runtime={"device": "cpu", "threads": threads})
    from benchmarks import trainer

    with tempfile.TemporaryDirectory() as folder:
        images = steps * study.train.batch_size
        manifest = sizes.random_images(Path(folder), images, 10, study.data.image_size)
        course = trainer.course_on(study, manifest, Path(folder))
        made, phase = trainer.Trainer(study, manifest, course.device), trainer.trunk(study)
        few = course.cut(trainer.WARM_UP_STEPS)
        made.epoch(phase, few.training, few.validation)
        started = time.perf_counter()
        made.epoch(phase, course.training, course.validation)
        print(json.dumps({"step_s": (time.perf_counter() - started) / steps}))


if __name__ == "__main__":
    typer.run(main)
