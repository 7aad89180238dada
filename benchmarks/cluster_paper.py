"""A cluster on paper: the article's study for thousands of runs, by the simulator alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks import sizes
from benchmarks.common import make_table, three_digits
from netstab.data.dataset import OFFICIAL
from netstab.store.ledger import Ledger
from netstab.store.states import Store
from netstab.sweep import forecast
from netstab.sweep.jobs import by_critical_path, jobs
from netstab.sweep.makespan import Forecast, simulate

EPOCH_S = 0.6
"""Assumed for an epoch of the article's baseline on one GPU; not measured."""
START_UP_S = 30.0
"""Assumed for a worker on a node of a cluster, with its images; not measured."""
GPUS = (1, 10, 100, 1_000, 10_000)


@dataclass(frozen=True, slots=True)
class Paper:
    """What the simulator says of it.

    Attributes:
        runs: of the study.
        jobs: of a sweep of them.
        epoch_s: assumed seconds of an epoch.
        forecasts: one for each number of GPUs.
    """

    runs: int
    jobs: int
    epoch_s: float
    forecasts: Sequence[Forecast]

    @property
    def notes(self) -> list[str]:
        """What a reader has to know."""
        return [
            f"On paper: {self.epoch_s:g} s an epoch of the baseline and {START_UP_S:g} s of "
            "start-up are assumed; frozen kinds and measurements by their operations. Only states "
            "that stay are counted as written.",
        ]

    def table(self) -> Table:
        """A row for each number of GPUs."""
        table = make_table(
            f"on paper: {self.runs:,} runs at article size, {self.jobs:,} jobs",
            *("GPUs", "makespan (min)", "utilisation", "path (min)", "GPU-hours", "written, MB/s"),
        )
        for found in self.forecasts:
            table.add_row(
                f"{found.workers:,}",
                three_digits(found.makespan / 60),
                f"{found.utilisation:.0%}",
                three_digits(found.path / 60),
                three_digits(found.makespan * found.workers / 3600),
                three_digits(found.written_per_second / 1e6),
            )
        return table

    def as_json(self) -> dict[str, Any]:
        """The figures as data."""
        return {
            "runs": self.runs,
            "jobs": self.jobs,
            "assumed_epoch_s": self.epoch_s,
            "assumed_start_up_s": START_UP_S,
            "written_bytes": self.forecasts[0].written,
            "gpus": {
                str(found.workers): {
                    "makespan_s": found.makespan,
                    "utilisation": found.utilisation,
                    "critical_path_s": found.path,
                    "gpus_used": found.used,
                    "written_bytes_per_s": found.written_per_second,
                }
                for found in self.forecasts
            },
        }


def on_paper(seeds: int, epoch_s: float = EPOCH_S) -> Paper:
    """The article's study with so many seeds, on 1 to 10,000 GPUs."""
    study = sizes.params("article", seeds=list(range(seeds)))
    ledger = Ledger(study, OFFICIAL["cifar10"], Store(Path("none")), 1)
    todo = jobs(ledger)
    trunk = todo[0]
    pace = forecast.Pace(flop=ledger.costs.flop(list(trunk.work)))
    pace.seconds = trunk.epochs * epoch_s
    tasks = forecast.tasks(ledger, todo, pace, gpu=True, threads=1)
    order = by_critical_path(ledger, todo)
    found = [simulate(tasks, gpus, start_up=START_UP_S, order=order) for gpus in GPUS]
    return Paper(len(ledger.tree.schedules) * seeds, len(todo), epoch_s, found)
