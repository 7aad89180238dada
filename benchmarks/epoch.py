"""One epoch of netstab's engine against a plain PyTorch loop, and epochs with frozen parts."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks import sizes
from benchmarks.common import Goal, Spread, in_turn, make_table, report
from netstab.study.experiments import Variant, schedule

if TYPE_CHECKING:
    from benchmarks.trainer import Course

PLAIN = "plain loop"
SPEED_UP = 2.0


def main(
    size: Annotated[str, typer.Option(help="demo, mini or article.")] = "mini",
    source: Annotated[
        Path | None, typer.Option(help="Archive or folder of images; without it, random ones.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Each case is timed once a round.")] = 5,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Cut all epochs to so many steps, for a trial.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Loader processes of the plain loop.")] = 2,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; one a core.")] = None,
    json: Annotated[Path | None, typer.Option(help="Where the JSON goes.")] = None,
) -> None:
    """Time an epoch, evaluation included: netstab's engine and a plain PyTorch loop in turn.

    The plain loop trains the same network with the same optimizer and batch size in fp32, its
    images made by DataLoader workers with torchvision's transforms of PIL images. Then epochs of
    expB, in which one block alone is trained.
    """
    study = sizes.params(
        size,
        data={"source": str(source.resolve())} if source else {},
        runtime={"device": device, "threads": threads},
    )
    from benchmarks import trainer

    with tempfile.TemporaryDirectory() as folder:
        course = trainer.course(study, size, Path(folder), steps)
        mine = f"netstab {study.train.precision}"
        measured = in_turn(_cases(course, mine, workers), rounds)
    settings = {"size": size, "rounds": rounds, "plain_loop_workers": workers}
    _report(mine, measured, {**settings, **course.settings}, course.on, json)


def _cases(course: "Course", mine: str, workers: int) -> dict[str, Callable[[], object]]:
    """What is timed, warmed up: netstab, the plain loop, epochs with frozen parts."""
    from benchmarks import trainer
    from benchmarks.plain_loop import PlainLoop

    def plain(course: trainer.Course) -> PlainLoop:
        return PlainLoop(course.study, course.arrays, course.manifest, course.device, workers)

    study, trunk = course.study, trainer.trunk(course.study)
    plain(course.cut(trainer.WARM_UP_STEPS)).epoch()
    cases: dict[str, Callable[[], object]] = {
        mine: course.epochs(trunk),
        "netstab fp32": course.epochs(trunk, "fp32"),
        PLAIN: plain(course).epoch,
    }
    for block in study.blocks:
        variant = Variant("expB", block)
        cases[variant.name] = course.epochs(schedule(study, variant).phases[-1])
    return cases


def _report(
    mine: str,
    measured: dict[str, Spread],
    settings: dict[str, object],
    on: dict[str, object],
    json: Path | None,
) -> None:
    title = f"{settings['size']}: {settings['steps_an_epoch']} steps of "
    title += f"{settings['batch_size']} images, and evaluation"
    table = make_table(title, "epoch of", "s", "plain loop / this", f"this / {mine}")
    results: dict[str, object] = {}
    faster = {name: Spread.of_ratios(measured[PLAIN], s) for name, s in measured.items()}
    for name, seconds in measured.items():
        relative = Spread.of_ratios(seconds, measured[mine])
        table.add_row(
            name,
            str(seconds),
            str(faster[name]) if name != PLAIN else "",
            str(relative) if name != mine else "",
        )
        results[name] = {
            "epoch_s": seconds.as_json(),
            "plain_loop_per_this": faster[name].as_json(),
            f"this_per_{mine.replace(' ', '_')}": relative.as_json(),
        }
    notes = [
        f"n = {settings['rounds']}; median [min, max]; ratios are taken round by round.",
        "expB-k: the epochs in which block k is trained and all others are frozen.",
    ]
    if settings["share_of_an_epoch"] != 1.0:
        notes.append(f"A trial: {settings['share_of_an_epoch']:.1%} of an epoch's images.")
    goal = Goal(f"{mine}, times faster than the plain loop,", faster[mine].median, SPEED_UP, True)
    report(
        "epoch",
        json,
        table,
        on=on,
        settings=settings,
        results=results,
        goals=[goal],
        notes=notes,
    )


if __name__ == "__main__":
    typer.run(main)
