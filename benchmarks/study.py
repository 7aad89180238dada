"""A whole study with one seed against separate runs with a plain loop: measured in parts."""

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import once, sizes
from benchmarks.common import Goal, Spread, in_turn, make_table, report
from benchmarks.kinds import Kinds, epochs
from netstab.params import Params
from netstab.study.keys import state_key
from netstab.study.plan import Tree, kept_epochs, tree

OURS, PLAIN = "netstab", "plain loop"
LOADERS = "plain loop: start its loaders"
ONCE = (once.TRAINS, once.SAVE, LOADERS)
"""What no epoch's length changes."""
GOALS = {"mini": 8.0}


def main(
    size: Annotated[str, typer.Option(help="demo, mini or article.")] = "mini",
    source: Annotated[
        Path | None, typer.Option(help="Archive or folder of images; without it, random ones.")
    ] = None,
    rounds: Annotated[
        int, typer.Option(min=1, help="Each kind of epoch is timed once a round.")
    ] = 3,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Train so many steps of each, and scale up.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Loader processes of the plain loop.")] = 2,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; one a core.")] = None,
    json: Annotated[Path | None, typer.Option(help="Where the JSON goes.")] = None,
) -> None:
    """Compute the time of a seed: netstab with shared pasts, and a plain loop run by run.

    Measured, in turn: an epoch of each kind (by what is frozen) with netstab and with the plain
    loop, which leaves out frozen parts' gradients as well; the start of a process that trains;
    saving a state. Counted from the plan: epochs, processes and states. The sums are computed.
    """
    study = sizes.params(
        size,
        data={"source": str(source.resolve())} if source else {},
        runtime={"device": device, "threads": threads},
    )
    from benchmarks import trainer
    from benchmarks.epoch_cases import plain
    from benchmarks.plain_loop import PlainLoop

    whole = tree(study)
    kinds = Kinds(whole)
    with tempfile.TemporaryDirectory() as folder:
        course = trainer.course(study, size, Path(folder), steps)
        cases: dict[str, Callable[[], object]] = {}
        for name, phase in kinds.phases.items():
            cases[f"{OURS}: {name}"] = course.epochs(phase)
            loop: PlainLoop = plain(course, workers, phase=phase)
            cases[f"{PLAIN}: {name}"] = loop.epoch
        cases[LOADERS] = loop.start_loaders
        cases[once.TRAINS] = once.starts()[once.TRAINS]
        cases[once.SAVE] = once.within(course, Path(folder))[once.SAVE]
        measured = in_turn(cases, rounds)
    for name in measured.keys() - set(ONCE):
        fixed = measured[LOADERS] if name.startswith(PLAIN) else None
        measured[name] = whole_epoch(measured[name], course.share, fixed)
    settings = {"size": size, "rounds": rounds, "plain_loop_workers": workers, **course.settings}
    _report(Sum(study, whole, kinds, measured), settings, course.on, json)


def whole_epoch(part: Spread, share: float, fixed: Spread | None) -> Spread:
    """Seconds of an epoch from those of a part of it, round by round.

    Args:
        part: seconds of it.
        share: of an epoch that it is.
        fixed: seconds that an epoch pays once, however long it is; 0 without it.
    """
    paid = fixed.values if fixed else (0.0,) * len(part.values)
    return Spread(tuple((p - f) / share + f for p, f in zip(part.values, paid, strict=True)))


class Sum:
    """The time of a seed, added up.

    Attributes:
        kinds: of epochs.
        shared: epochs of each kind with shared pasts.
        alone: likewise with each run alone.
        runs: that train; each is a process.
        states: that netstab keeps.
        measured: seconds, by name.
    """

    def __init__(
        self, study: Params, whole: Tree, kinds: Kinds, measured: Mapping[str, Spread]
    ) -> None:
        self.kinds, self.measured = kinds, measured
        self.shared, self.alone = epochs(whole, kinds)
        trained = [variant for variant in whole.schedules if variant not in whole.views]
        self.runs = len(trained)
        self.states = len(
            {
                state_key({}, whole.schedules[variant], epoch)
                for variant in trained
                for epoch in kept_epochs(study, whole, variant)
            }
        )

    def hours(self, what: str, counts: Counter[str], states: int = 0) -> Spread:
        """Hours of some epochs with netstab or the plain loop, from each round by itself."""
        times = {f"{what}: {name}": count for name, count in counts.items()}
        times |= {once.TRAINS: self.runs, once.SAVE: states}
        rounds = zip(*(self.measured[name].values for name in times), strict=True)
        weights = list(times.values())
        sums = (sum(n * s for n, s in zip(weights, r, strict=True)) for r in rounds)
        return Spread(tuple(seconds / 3600 for seconds in sums))

    @property
    def all_hours(self) -> dict[str, Spread]:
        """Hours of the seed: netstab with shared pasts, netstab run by run, the plain loop."""
        return {
            "netstab, shared pasts": self.hours(OURS, self.shared, self.states),
            "netstab, each run alone": self.hours(OURS, self.alone, self.runs),
            "plain loop, each run alone": self.hours(PLAIN, self.alone),
        }


def _report(total: Sum, settings: dict[str, Any], on: dict[str, object], json: Path | None) -> None:
    table = make_table(
        f"{settings['size']}: one seed, {total.runs} runs that train",
        *("epoch of (s, measured)", OURS, PLAIN, "shared", "alone"),
    )
    for name in total.kinds.phases:
        seconds = (str(total.measured[f"{what}: {name}"]) for what in (OURS, PLAIN))
        table.add_row(name, *seconds, f"{total.shared[name]:,}", f"{total.alone[name]:,}")
    table.add_section()
    shared, alone = total.shared.total(), total.alone.total()
    table.add_row("epochs (from the plan)", "", "", f"{shared:,}", f"{alone:,}")
    for name in ONCE:
        table.add_row(name, str(total.measured[name]))
    table.add_section()
    table.add_row("computed:")
    hours = total.all_hours
    for name, spread in hours.items():
        table.add_row(f"h: {name}", str(spread))
    ours, by_run, theirs = hours.values()
    ratios = {
        "plain loop / netstab": Spread.of_ratios(theirs, ours),
        "of this, sharing pasts": Spread.of_ratios(by_run, ours),
        "of this, faster epochs": Spread.of_ratios(theirs, by_run),
    }
    for name, spread in ratios.items():
        table.add_row(f"ratio: {name}", str(spread))
    ratio, goal = ratios["plain loop / netstab"].median, GOALS.get(settings["size"])
    report(
        "study",
        json,
        table,
        on=on,
        settings={**settings, "runs": total.runs, "states_kept": total.states},
        results={
            "measured_s": {name: spread.as_json() for name, spread in total.measured.items()},
            "epochs_shared": dict(total.shared),
            "epochs_alone": dict(total.alone),
            "epochs_alone_per_shared": alone / shared,
            "computed_hours": {name: spread.as_json() for name, spread in hours.items()},
            "computed_ratios": {name: spread.as_json() for name, spread in ratios.items()},
        },
        goals=[Goal("the study, times faster (computed),", ratio, goal, True)] if goal else [],
        notes=_notes(total, settings),
    )


def _notes(total: Sum, settings: Mapping[str, Any]) -> list[str]:
    notes = [
        f"n = {settings['rounds']}; median [min, max]; ratios are taken round by round.",
        "Measured: seconds of epochs, process start, saving. From the plan: how many of each "
        f"({total.runs} processes on either side, {total.states} states). Computed: the hours and "
        "their ratios. Left out on both sides: measuring stability and sharpness, and views of "
        "the baseline, which cost netstab no epoch.",
        *total.kinds.notes(),
    ]
    if settings["share_of_an_epoch"] != 1.0:
        notes.append(
            f"{settings['share_of_an_epoch']:.1%} of an epoch's images were trained, and the "
            "seconds scaled up, but for the start of the plain loop's loaders."
        )
    return notes


if __name__ == "__main__":
    typer.run(main)
