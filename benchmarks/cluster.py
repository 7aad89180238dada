"""A sweep by Ray beside its prediction, and the prediction for a cluster that is not there."""

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group

from benchmarks import sizes
from benchmarks.cluster_paper import EPOCH_S, on_paper
from benchmarks.common import Goal, Json, Rounds, Size, Spread, machine, make_table, report
from netstab.data.manifest import Manifest
from netstab.params import Params
from netstab.store.ledger import Ledger, open_ledger
from netstab.store.states import Store
from netstab.sweep import forecast
from netstab.sweep.display import Display
from netstab.sweep.jobs import Job, by_critical_path, jobs
from netstab.sweep.makespan import Task, simulate
from netstab.sweep.ray import start

PREDICTED, OWN, MEASURED = "predicted", "simulated with its own seconds", "measured"
WITHIN = 0.15
"""How far a prediction may be off."""


def main(
    size: Size = "demo",
    experiments: Annotated[str, typer.Option(help="Block by block, with commas.")] = "",
    scale: Annotated[float, typer.Option(help="train.time_scale; 0: the size's own.")] = 0.0,
    seeds: Annotated[int, typer.Option(min=1, help="Of each study that is predicted.")] = 2,
    workers: Annotated[int, typer.Option(min=1, help="Of one CPU thread each.")] = 2,
    rounds: Rounds = 3,
    paper_seeds: Annotated[int, typer.Option(min=0, help="Of the cluster on paper.")] = 371,
    epoch_s: Annotated[float, typer.Option(min=0, help="Assumed there, on one GPU.")] = EPOCH_S,
    json: Json = None,
) -> None:
    """Predict sweeps by a local Ray from what a smaller one took, then run them.

    One seed is trained first: from it come the seconds of each kind of epoch and measurement, and
    what a worker takes to start, as the rest of its makespan. Then studies of several other seeds,
    each predicted from that alone and run, by a Ray of its own. Makespan: from handing in the first
    task to the end of the last. Also simulated: each run with its own seconds, which says how well
    the schedule is met, whatever else the machine did meanwhile.
    """
    on = machine()
    changes: dict[str, Any] = {
        "experiments": [name for name in experiments.split(",") if name],
        "ceiling": {"seeds": []},
        "runtime": {"device": "cpu", "threads": 1, "workers": workers},
    }
    if scale:
        changes["train"] = {"time_scale": scale}
    start.prepare(None)
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        study = sizes.params(size, **changes)
        manifest = sizes.prepare(study, size, Path())
        first = Sweep(study, manifest, (0,), workers)
        before = first.run()
        start_up = start_up_of(first.tasks(first.pace), workers, before)
        makespans: dict[str, list[float]] = {PREDICTED: [], OWN: [], MEASURED: []}
        loads = []
        for number in range(rounds):
            loads.append(round(os.getloadavg()[0], 2))
            some = tuple(range(1 + number * seeds, 1 + (number + 1) * seeds))
            sweep = Sweep(study, manifest, some, workers)
            makespans[PREDICTED].append(sweep.simulated(first.pace, start_up))
            makespans[MEASURED].append(sweep.run())
            makespans[OWN].append(sweep.simulated(sweep.pace, start_up))
            figures = ", ".join(f"{name} {values[-1]:.1f} s" for name, values in makespans.items())
            print(f"round {number + 1} of {rounds}: {figures}", file=sys.stderr, flush=True)
    spreads = {name: Spread(tuple(values)) for name, values in makespans.items()}
    ratios = {name: Spread.of_ratios(spreads[name], spreads[MEASURED]) for name in (PREDICTED, OWN)}
    table = make_table(f"{size}, {seeds} seeds by Ray with {workers} workers", "", "")
    for name, spread in spreads.items():
        table.add_row(f"{name} (s)", str(spread))
    for name, spread in ratios.items():
        table.add_row(f"{name} / measured", str(spread))
    paper = on_paper(paper_seeds, epoch_s) if paper_seeds else None
    off = ratios[PREDICTED]
    report(
        "cluster",
        json,
        Group(table, *([paper.table()] if paper else [])),
        on=on,
        settings={"size": size, "seeds": seeds, "workers": workers, "rounds": rounds, **changes},
        results={
            "first_seed_s": before,
            "start_up_s": start_up,
            "seconds": spreads,
            "per_measured": ratios,
            "load_before_each": loads,
            **({"on_paper": paper.as_json()} if paper else {}),
        },
        goals=[
            Goal("the prediction is off, median,", abs(off.median - 1), WITHIN),
            Goal("the schedule is off, median,", abs(ratios[OWN].median - 1), WITHIN),
        ],
        notes=[
            f"n = {rounds}; predicted from one other seed, which took {before:.1f} s, and a "
            f"start-up of {start_up:.1f} s that is fitted to it. Load before each: {loads}.",
            *(paper.notes if paper else []),
        ],
    )


def start_up_of(tasks: Sequence[Task], workers: int, took: float) -> float:
    """The start-up of a worker with which a schedule takes as long as it took; 0 if none does."""
    low, high = 0.0, took
    for _ in range(40):
        middle = (low + high) / 2
        longer = simulate(tasks, workers, start_up=middle).makespan > took
        low, high = (low, middle) if longer else (middle, high)
    return low


class Sweep:
    """A study of some seeds, with a store of its own.

    Args:
        study: parameters of it.
        manifest: of its images.
        seeds: of it.
        workers: that train at once.
    """

    def __init__(
        self, study: Params, manifest: Manifest, seeds: tuple[int, ...], workers: int
    ) -> None:
        self._study = study.model_copy(update={"seeds": seeds})
        self._manifest, self._workers = manifest, workers
        self._store = Path(f"store-{seeds[0]}").resolve()

    @property
    def pace(self) -> forecast.Pace:
        """How long things took, by its store."""
        return forecast.pace(self._ledger(self._store), gpu=False, threads=1)

    def simulated(self, pace: forecast.Pace, start_up: float) -> float:
        """Makespan of all of it by the simulator, with seconds from somewhere."""
        return simulate(self.tasks(pace), self._workers, start_up=start_up).makespan

    def tasks(self, pace: forecast.Pace) -> list[Task]:
        """All of its jobs as tasks, in the order in which a sweep hands them in."""
        ledger = self._ledger(Path("none"))
        todo = jobs(ledger)
        found = forecast.tasks(ledger, todo, pace, gpu=False, threads=1)
        order = by_critical_path(ledger, todo)
        place = {number: at for at, number in enumerate(order)}
        return [
            Task(t.seconds, None if t.after is None else place[t.after], t.written)
            for t in (found[number] for number in order)
        ]

    def run(self) -> float:
        """Train it by a Ray of its own; seconds from the first task to the last one's end."""
        from netstab.sweep.ray.pool import sweep

        ledger = self._ledger(self._store)
        clock = Clock(ledger)
        sweep(ledger, self._manifest, clock)
        return clock.seconds

    def _ledger(self, store: Path) -> Ledger:
        return open_ledger(Path(), Store(store), content=self._study)


class Clock(Display):
    """A display that shows nothing, and times the sweep.

    Attributes:
        seconds: from the start to the end.
    """

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger, Console(quiet=True))
        self.seconds = 0.0
        self._began = 0.0

    def start(self, todo: list[Job], workers: str, *, gpu: bool) -> None:
        """See `Display`."""
        super().start(todo, workers, gpu=gpu)
        self._began = time.perf_counter()

    def __exit__(self, *fault: Any) -> None:
        self.seconds = time.perf_counter() - self._began
        super().__exit__(*fault)


if __name__ == "__main__":
    typer.run(main)
