"""One epoch: netstab's engine, plain loops, frozen parts, and what the device could do."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import once, sizes
from benchmarks.common import in_turn
from benchmarks.script import Script


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
    compile: Annotated[
        int, typer.Option(min=0, help="Rounds for compilation, where that is possible.")
    ] = 1,
    script: Annotated[
        Path | None, typer.Option(help="Checkout of a public training script, to be timed too.")
    ] = None,
    script_command: Annotated[
        str, typer.Option(help="Its command; {batch_size}, {width}, {threads} are filled in.")
    ] = "python main.py",
    script_mark: Annotated[
        str, typer.Option(help="Regular expression for one line that it prints every epoch.")
    ] = r"(?i)^\s*epoch",
    script_images: Annotated[int, typer.Option(min=1, help="Images of its epoch.")] = 50_000,
    profile: Annotated[
        Path | None, typer.Option(help="Folder for a trace; prints the costliest kernels.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Where the JSON goes.")] = None,
) -> None:
    """Time an epoch, evaluation included: netstab's engine and plain PyTorch loops in turn.

    The plain loop trains the same network with the same optimizer and batch size in fp32, its
    images made by DataLoader workers with torchvision's transforms of PIL images; then the same
    channels last and, where the device has units for it, in bf16. An epoch for every way in which
    the plan freezes parts; a large matrix product and a large copy, which say what the device can
    do; and what a stage pays once.
    """
    study = sizes.params(
        size,
        data={"source": str(source.resolve())} if source else {},
        runtime={"device": device, "threads": threads},
    )
    from benchmarks import epoch_cases, profiling, trainer
    from benchmarks.epoch_report import Outcome, write

    theirs = Script(script, script_command, script_mark, script_images) if script else None
    with tempfile.TemporaryDirectory() as folder:
        course = trainer.course(study, size, Path(folder), steps)
        cases = epoch_cases.epochs(course, workers, theirs)
        rates = epoch_cases.rates(course)
        costs = once.starts() | once.within(course, Path(folder))
        timed = {name: case.epoch for name, case in cases.items()}
        timed |= {name: rate.case for name, rate in rates.items()} | costs
        measured = in_turn(timed, rounds)
        settings = {"size": size, "rounds": rounds, "plain_loop_workers": workers}
        settings |= course.settings
        if theirs:
            settings |= {"script_command": theirs.command, "script_images": script_images}
        if compile and once.can_compile(course.device.type):
            place = course.device.type, course.on["threads"], Path(folder)
            try:
                measured |= in_turn(once.compiling(size, *place), compile)
            except typer.Exit:
                # It has said why; the epochs are measured, and kept.
                settings["compilation"] = "failed"
        profiled = profiling.trunk(course, profile) if profile else None
    write(Outcome(course, cases, rates, measured, settings, profiled), json)


if __name__ == "__main__":
    typer.run(main)
