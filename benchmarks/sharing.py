"""What it saves to train shared pasts once: epochs from the plan, times measured seconds."""

import tempfile
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import sizes
from benchmarks.common import Spread, in_turn, make_table, report
from netstab.study.plan import Tree, outstanding, tree
from netstab.study.schedule import Phase


def main(
    size: Annotated[str, typer.Option(help="demo, mini or article.")] = "mini",
    source: Annotated[
        Path | None, typer.Option(help="Archive or folder of images; without it, random ones.")
    ] = None,
    rounds: Annotated[
        int, typer.Option(min=1, help="Each kind of epoch is timed once a round.")
    ] = 3,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Cut all epochs to so many steps, for a trial.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; one a core.")] = None,
    json: Annotated[Path | None, typer.Option(help="Where the JSON goes.")] = None,
) -> None:
    """Compute the time of a seed with shared pasts, and of the same runs each alone.

    Epochs are counted from the plan; the seconds of each kind of epoch (by what is frozen) are
    measured in this run; the sums are computed, not measured.
    """
    study = sizes.params(
        size,
        data={"source": str(source.resolve())} if source else {},
        runtime={"device": device, "threads": threads},
    )
    from benchmarks import trainer

    whole = tree(study)
    with tempfile.TemporaryDirectory() as folder:
        course = trainer.course(study, size, Path(folder), steps)
        cases = {kind: course.epochs(phase) for kind, phase in _kinds(whole).items()}
        measured = in_turn(cases, rounds)
    measured = {kind: seconds.scaled(1 / course.share) for kind, seconds in measured.items()}
    settings = {"size": size, "rounds": rounds, **course.settings}
    _report(whole, measured, settings, course.on, json)


def _kind(phase: Phase) -> str:
    """What an epoch's cost depends on: the parts that are trained."""
    if len(phase.trained) == len(phase.settings):
        return "all"
    return " ".join(phase.trained) or "none"


def _kinds(whole: Tree) -> dict[str, Phase]:
    """A phase of each kind, in the order of the plan."""
    kinds: dict[str, Phase] = {}
    for schedule in whole.schedules.values():
        for phase in schedule.phases:
            kinds.setdefault(_kind(phase), phase)
    return kinds


def _epochs(whole: Tree) -> tuple[Counter[str], Counter[str]]:
    """Epochs of each kind in one seed: with shared pasts, and each run alone."""
    shared: Counter[str] = Counter()
    for work in outstanding(whole, lambda variant, epoch: False):
        shared[_kind(work.phase)] += work.epochs
    alone: Counter[str] = Counter()
    for schedule in whole.schedules.values():
        for phase in schedule.phases:
            alone[_kind(phase)] += phase.end - phase.start
    return shared, alone


def _hours(epochs: Counter[str], measured: dict[str, Spread]) -> Spread:
    """Hours of some epochs, from the seconds of each round by itself."""
    rounds = zip(*(measured[kind].values for kind in epochs), strict=True)
    counts = list(epochs.values())
    return Spread(tuple(sum(n * s for n, s in zip(counts, r, strict=True)) / 3600 for r in rounds))


def _report(
    whole: Tree,
    measured: dict[str, Spread],
    settings: dict[str, object],
    on: dict[str, object],
    json: Path | None,
) -> None:
    shared, alone = _epochs(whole)
    runs, size = len(whole.schedules), settings["size"]
    table = make_table(
        f"{size}: one seed, {runs} runs, with shared pasts and each run alone",
        *("parts trained", "s an epoch", "shared", "alone"),
    )
    for kind, seconds in measured.items():
        table.add_row(kind, str(seconds), f"{shared[kind]:,}", f"{alone[kind]:,}")
    table.add_section()
    table.add_row("epochs", "", f"{shared.total():,}", f"{alone.total():,}")
    hours = _hours(shared, measured), _hours(alone, measured)
    table.add_row("computed hours", "", *map(str, hours))
    epoch_ratio, ratio = alone.total() / shared.total(), Spread.of_ratios(hours[1], hours[0])
    table.add_row("ratio of epochs", "", "", f"{epoch_ratio:.2f}")
    table.add_row("ratio of hours", "", "", str(ratio))
    notes = [
        f"n = {settings['rounds']}; median [min, max]; ratios are taken round by round.",
        "Hours are computed: measured seconds an epoch times epochs. Starting processes and "
        "reading and writing states are left out of both sides.",
    ]
    if settings["share_of_an_epoch"] != 1.0:
        notes.append(
            f"A trial: {settings['share_of_an_epoch']:.1%} of an epoch's images were trained, "
            "and the seconds scaled up."
        )
    report(
        "sharing",
        json,
        table,
        on=on,
        settings={**settings, "runs": runs},
        results={
            "epoch_s": {kind: seconds.as_json() for kind, seconds in measured.items()},
            "epochs_shared": dict(shared),
            "epochs_alone": dict(alone),
            "epochs_alone_per_shared": epoch_ratio,
            "hours_shared_computed": hours[0].as_json(),
            "hours_alone_computed": hours[1].as_json(),
            "hours_alone_per_shared_computed": ratio.as_json(),
        },
        notes=notes,
    )


if __name__ == "__main__":
    typer.run(main)
