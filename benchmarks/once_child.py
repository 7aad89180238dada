"""A process in which the trunk's step is compiled: prints the seconds that this took as JSON."""

import json
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import sizes


def main(
    size: Annotated[str, typer.Argument(help="demo, mini or article.")],
    device: Annotated[str, typer.Argument(help="cpu or cuda.")],
    threads: Annotated[int, typer.Argument(help="CPU threads.")],
) -> None:
    """Train a step with a step to be compiled, and another: their difference is printed."""
    runtime = {"device": device, "threads": threads, "compile": True}
    study = sizes.params(size, runtime=runtime)
    from benchmarks import trainer

    with tempfile.TemporaryDirectory() as folder:
        manifest = sizes.random_images(
            Path(folder), 2 * study.train.batch_size, 10, study.data.image_size
        )
        course = trainer.course_on(study, manifest, Path(folder)).cut(1)
        made = trainer.Trainer(study, manifest, course.device)
        seconds = []
        for _ in range(2):
            started = time.perf_counter()
            made.epoch(trainer.trunk(study), course.training, course.validation)
            seconds.append(time.perf_counter() - started)
    print(json.dumps({"compile_s": seconds[0] - seconds[1], "step_s": seconds[1]}))


if __name__ == "__main__":
    typer.run(main)
