"""A sweep by Ray against its prediction, and the prediction for a cluster that is not there."""

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

import typer
from rich.console import Console, Group

from benchmarks import sizes
from benchmarks.cluster_paper import EPOCH_S, on_paper
from benchmarks.common import Goal, Spread, console, machine, make_table, report, three_digits
from netstab.cluster import start
from netstab.data.manifest import Manifest
from netstab.params import Params
from netstab.study.makespan import Forecast, Task, simulate
from netstab.training import forecast
from netstab.training.board import Board
from netstab.training.dataset import Dataset
from netstab.training.jobs import Job, ahead, jobs
from netstab.training.ledger import Ledger, versions
from netstab.training.store import Store

WITHIN = 0.15
"""How far a prediction may be off."""


def main(
    size: Annotated[str, typer.Option(help="demo, mini or article.")] = "demo",
    experiments: Annotated[str, typer.Option(help="Block by block, with commas.")] = "expA,expB",
    scale: Annotated[float, typer.Option(help="train.time_scale; 0: the size's own.")] = 0.0,
    workers: Annotated[int, typer.Option(min=1, help="Of one CPU thread each.")] = 2,
    rounds: Annotated[int, typer.Option(min=1, help="Seeds that are predicted, then run.")] = 3,
    paper_seeds: Annotated[int, typer.Option(min=0, help="Of the cluster on paper.")] = 371,
    epoch_s: Annotated[float, typer.Option(min=0, help="Assumed there, on one GPU.")] = EPOCH_S,
    json: Annotated[Path | None, typer.Option(help="Where the JSON goes.")] = None,
) -> None:
    """Predict a sweep by a local Ray from what another seed took, then run it.

    Seed 0 is trained first: from it come the seconds of each kind of epoch and measurement, and
    what a worker takes to start, as the rest of its makespan. Then, seed by seed, predicted and
    run, each by a Ray of its own. Makespan: from handing in the first task to the end of the last.
    """
    on = machine()
    changes: dict[str, Any] = {
        "experiments": experiments.split(","),
        "ceiling": {"seeds": []},
        "runtime": {"device": "cpu", "threads": 1, "workers": workers},
    }
    if scale:
        changes["train"] = {"time_scale": scale}
    start.prepare(None)
    with tempfile.TemporaryDirectory() as folder, _working_in(Path(folder)):
        study = sizes.params(size, **changes)
        course = Course(study, sizes.prepare(study, size, Path()), Path("store").resolve(), workers)
        first, before = course.predicted(0), course.run(0)
        start_up = start_up_of(course.tasks(0, fresh=True), workers, before)
        said = f"seed 0 took {before:.1f} s: start-up of a worker {start_up:.1f} s"
        console.print(f"[dim]{said} (guessed before: {first.makespan:.1f} s in all)[/]")
        predicted, took, loads = [], [], []
        for seed in range(1, rounds + 1):
            found = course.predicted(seed, start_up)
            loads.append(os.getloadavg()[0])
            predicted.append(found.makespan)
            took.append(course.run(seed))
            console.print(f"[dim]seed {seed}: predicted {predicted[-1]:.1f} s, {took[-1]:.1f} s[/]")
    ran, told = Spread(tuple(took)), Spread(tuple(predicted))
    ratio = Spread.of_ratios(told, ran)
    table = make_table(f"{size}, a seed by Ray with {workers} workers", "", "median [min, max]")
    table.add_row("predicted (s)", str(told))
    table.add_row("measured (s)", str(ran))
    table.add_row("predicted / measured", str(ratio))
    table.add_row("start-up of a worker (s)", three_digits(start_up))
    paper = on_paper(paper_seeds, epoch_s) if paper_seeds else None
    report(
        "cluster",
        json,
        Group(table, *([paper.table()] if paper else [])),
        on=on,
        settings={"size": size, "workers": workers, "rounds": rounds, **changes},
        results={
            "seed_0_s": before,
            "start_up_s": start_up,
            "predicted_s": told.as_json(),
            "measured_s": ran.as_json(),
            "predicted_per_measured": ratio.as_json(),
            "load_before_each": loads,
            **({"on_paper": paper.as_json()} if paper else {}),
        },
        goals=[
            Goal("prediction off by, median,", abs(ratio.median - 1), WITHIN),
            Goal("prediction off by, at most,", max(abs(r - 1) for r in ratio.values), WITHIN),
        ],
        notes=[
            f"n = {rounds}; the start-up is fitted to seed 0, which is not among them.",
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


class Course:
    """A study, seed by seed, in one store.

    Args:
        study: parameters of it.
        manifest: of its images.
        store: a folder.
        workers: that train at once.
    """

    def __init__(self, study: Params, manifest: Manifest, store: Path, workers: int) -> None:
        self._study, self._manifest, self._store = study, manifest, store
        self._workers = workers
        self._todo: dict[int, list[Job]] = {}

    def predicted(self, seed: int, start_up: float = 10.0) -> Forecast:
        """How a seed's sweep is predicted to come out."""
        return simulate(self.tasks(seed), self._workers, start_up=start_up)

    def tasks(self, seed: int, *, fresh: bool = False) -> list[Task]:
        """A seed's jobs as tasks in the order of the sweep, with what the store tells by now.

        Args:
            seed: whose.
            fresh: as if the seed was not trained yet.
        """
        ledger = self._ledger(seed)
        known = forecast.pace(ledger, gpu=False, threads=1)
        if fresh:
            ledger = self._ledger(seed, Path("none"))
        todo = jobs(ledger)
        found = forecast.tasks(ledger, todo, known, gpu=False, threads=1)
        way = ahead(ledger, todo)
        order = sorted(range(len(todo)), key=lambda number: -way[number])
        place = {number: at for at, number in enumerate(order)}
        return [
            Task(t.seconds, None if t.after is None else place[t.after], t.written)
            for t in (found[number] for number in order)
        ]

    def run(self, seed: int) -> float:
        """Train a seed by a Ray of its own; seconds from the first task to the last one's end."""
        from netstab.cluster.sweep import sweep

        ledger = self._ledger(seed)
        board = Clock(ledger)
        sweep(ledger, self._manifest, board)
        return board.seconds

    def _ledger(self, seed: int, store: Path | None = None) -> Ledger:
        study = self._study.model_copy(update={"seeds": (seed,)})
        dataset = Dataset.prepared(self._manifest)
        return Ledger(study, dataset, Store(store or self._store), *versions())


class Clock(Board):
    """Says nothing, and knows how long the sweep took.

    Attributes:
        seconds: from the start to the end.
    """

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger, Console(quiet=True))
        self.seconds = 0.0
        self._began = 0.0

    def start(self, todo: list[Job], crew: str, *, gpu: bool) -> None:
        """See `Board`."""
        super().start(todo, crew, gpu=gpu)
        self._began = time.perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.seconds = time.perf_counter() - self._began
        super().__exit__(kind, error, trace)


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


if __name__ == "__main__":
    typer.run(main)
