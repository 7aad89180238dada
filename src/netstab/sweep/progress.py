"""What a person sees while a run trains: a bar in a terminal, plain lines elsewhere."""

import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from netstab.results.schema import Row
from netstab.store.ledger import Ledger
from netstab.study.experiments import Run, runs
from netstab.sweep import estimate
from netstab.text import duration

PLAIN_INTERVAL_S = 15.0


def bars(console: Console, counted: str = "") -> Progress | None:
    """Bars that are shown from now on, with a field `text` behind each; None without a terminal.

    Args:
        console: where.
        counted: what is written before the numbers.
    """
    if not console.is_terminal:
        return None
    made = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn(counted + "{task.completed}/{task.total}  {task.fields[text]}", markup=False),
        console=console,
    )
    made.start()
    return made


class Reporter:
    """Shows epochs as they are done, with the time that the run and the study still need."""

    def __init__(self, ledger: Ledger, run: Run, *, gpu: bool, threads: int) -> None:
        self._ledger = ledger
        self._run = run
        self._gpu, self._threads = gpu, threads
        self._console = Console(highlight=False, soft_wrap=True, stderr=True)
        self._epochs = ledger.schedule(run).epochs
        self._printed = 0.0
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> Self:
        self._bar = bars(self._console, "epoch ")
        if self._bar:
            self._task = self._bar.add_task(self._run.name, total=self._epochs, text="")
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar:
            self._bar.stop()

    def epoch_done(self, run: Run, row: Row, seconds: float) -> None:
        """Report an epoch; see `trajectory.EpochDone`."""
        epoch = int(row["epoch"]) + 1
        left = (self._epochs - epoch) * seconds
        figures = f"val top-1 {row['val_top1_pct']:.1f} %, {duration(seconds)} an epoch, "
        figures += f"run {duration(left)} left"
        now = time.monotonic()
        if self._bar:
            self._bar.update(self._task, completed=epoch, text=figures)
        elif now - self._printed >= PLAIN_INTERVAL_S or epoch == self._epochs:
            self._printed = now
            self._console.print(f"{run.name}: epoch {epoch}/{self._epochs}, {figures}")

    def measuring(self, text: str) -> None:
        """Report a measurement that takes long."""
        now = time.monotonic()
        if self._bar:
            self._bar.update(self._task, text=text)
        elif now - self._printed >= PLAIN_INTERVAL_S:
            self._printed = now
            self._console.print(f"{self._run.name}: {text}")

    def study(self) -> None:
        """Say how far the whole study is."""
        work = self._ledger.outstanding()
        everything = [w for of_seed in work.values() for w in of_seed]
        epochs = sum(w.epochs for w in everything)
        total = self._ledger.tree.epochs * len(self._ledger.params.seeds)
        keys = self._ledger.store.listing() | self._ledger.imports.listing()
        all_runs = runs(self._ledger.params)
        done = sum(self._ledger.key(r, self._epochs) in keys for r in all_runs)
        text = f"study: {done} of {len(all_runs)} runs, {total - epochs} of {total} epochs done"
        if epochs:
            seconds, measured = estimate.seconds(
                self._ledger, everything, gpu=self._gpu, threads=self._threads
            )
            text += f"; {'about' if measured else 'roughly'} {duration(seconds)} of training left"
        self._console.print(text)
