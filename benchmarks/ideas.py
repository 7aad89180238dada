"""Ideas for faster epochs on a CPU, each beside the step as it is (docs/PERFORMANCE.md)."""

import json as jsonlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks import sizes
from benchmarks.children import measured_child
from benchmarks.common import Spread, Took, in_turn, make_table, report

if TYPE_CHECKING:
    from benchmarks.trainer import Course

AS_IT_IS, ALONE = "a step as it is", "a step, in a process of its own"
ENVIRONMENTS = {
    ALONE: {},
    "memory in huge pages (THP_MEM_ALLOC_ENABLE)": {"THP_MEM_ALLOC_ENABLE": "1"},
    "heap in huge pages (glibc.malloc.hugetlb)": {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"},
    "freed memory kept (MALLOC_TRIM_THRESHOLD_)": {
        "MALLOC_TRIM_THRESHOLD_": str(2**34),
        "MALLOC_MMAP_THRESHOLD_": str(2**34),
    },
}
"""What a process may be started with, so that it is given its memory in another way."""
BATCHES = (16, 32, 128, 256)
WIDE = 512


def main(
    size: Annotated[str, typer.Option(help="demo, mini or article.")] = "mini",
    rounds: Annotated[int, typer.Option(min=1, help="Each case is timed once a round.")] = 5,
    steps: Annotated[int, typer.Option(min=1, help="Steps that are timed at a time.")] = 8,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    json: Annotated[Path | None, typer.Option(help="Where the JSON goes.")] = None,
) -> None:
    """Time a training step of the trunk, the same with one thing changed, and its parts alone.

    Images are random. Figures are milliseconds for as many images as a batch has: of other batch
    sizes, and of two seeds stacked in one network (grouped convolutions), a share.
    """
    study = sizes.params(size, runtime={"device": "cpu", "threads": threads})
    from benchmarks import ideas_cases, trainer

    batch = study.train.batch_size
    with tempfile.TemporaryDirectory() as folder:
        count = max(steps * batch, max(BATCHES))
        manifest = sizes.random_images(Path(folder), count, 2 * WIDE, study.data.image_size)
        course = trainer.course_on(study, manifest, Path(folder))
        cases = ideas_cases.cases(course, steps, BATCHES)
        cases |= {name: _child(size, threads, steps, name) for name in ENVIRONMENTS}
        measured = in_turn(cases, rounds)
    _report(measured, course, {"size": size, "rounds": rounds, "steps": steps}, json)


def _child(size: str, threads: int, steps: int, name: str) -> Callable[[], Took]:
    def case() -> Took:
        arguments = (size, str(threads), str(steps))
        _, said = measured_child("benchmarks.ideas_child", *arguments, **ENVIRONMENTS[name])
        return Took(jsonlib.loads(said.splitlines()[-1])["step_s"])

    return case


def _report(
    measured: dict[str, Spread], course: "Course", settings: dict[str, object], json: Path | None
) -> None:
    batch, ratios = course.study.train.batch_size, {}
    table = make_table(f"for {batch} images", "case", "ms", "this / a step")
    for name, seconds in measured.items():
        beside = measured[ALONE if name in ENVIRONMENTS else AS_IT_IS]
        ratios[name] = Spread.of_ratios(seconds, beside)
        table.add_row(name, str(seconds.scaled(1e3)), str(ratios[name]))
    report(
        "ideas",
        json,
        table,
        on=course.on,
        settings={**settings, **course.settings},
        results={
            name: {"s": seconds.as_json(), "of_a_step": ratios[name].as_json()}
            for name, seconds in measured.items()
        },
        notes=[
            f"n = {settings['rounds']}, cases in turn; median [min, max]; ratios round by round."
        ],
    )


if __name__ == "__main__":
    typer.run(main)
