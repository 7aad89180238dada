"""Progress of a sweep: a bar for the study and for each process in a terminal, lines elsewhere."""

import time
from typing import Self

from rich.console import Console
from rich.progress import Progress, TaskID
from rich.text import Text

from netstab.store.ledger import Ledger
from netstab.study.plan import Work
from netstab.sweep import forecast
from netstab.sweep.events import WorkerEvent
from netstab.sweep.jobs import Job
from netstab.sweep.progress import PLAIN_INTERVAL_S, bars
from netstab.text import duration

LOOK_INTERVAL_S = 5.0
"""Between looks at which measurements are there: with many seeds thousands of files."""


class Display:
    """Shows epochs as they are done, and how long the rest will take."""

    def __init__(self, ledger: Ledger, console: Console) -> None:
        self._ledger = ledger
        self._console = console
        self._jobs: list[Job] = []
        self._bars: dict[int, TaskID] = {}
        self._bar: Progress | None = None
        self._whole = TaskID(0)
        self._epochs = self._done = 0
        self._flop = self._flop_done = 0.0
        self._unmeasured: dict[str, float] = {}
        self._started = self._printed = self._looked = 0.0
        self._ended: set[int] = set()
        self._told: set[str] = set()
        self._counted: set[tuple[int, int]] = set()

    def print(self, line: str) -> None:
        """Print a line as it is: what others say may look like markup."""
        self._console.print(Text(line), soft_wrap=True)

    def warn(self, line: str) -> None:
        """Print a line of a worker's, once: many workers have the same to say."""
        if line not in self._told:
            self._told.add(line)
            self.print(line)

    def start(self, todo: list[Job], workers: str, *, gpu: bool) -> None:
        """The sweep begins: these are its jobs, and these workers train them."""
        self._jobs = todo
        self._epochs = sum(job.epochs for job in todo)
        self._flop = sum(self._ledger.costs.flop(list(job.work)) for job in todo)
        lacking = forecast.unmeasured(self._ledger, todo)
        self._unmeasured = {
            key: forecast.flop_of(self._ledger, kind) for of in lacking for key, kind in of.items()
        }
        self._flop += sum(self._unmeasured.values())
        self._started = time.monotonic()
        where = "on the GPU" if gpu else "on the CPU"
        self.print(f"{self._epochs:,} epochs in {len(todo)} jobs {where}, {workers}")

    def __enter__(self) -> Self:
        self._bar = bars(self._console)
        if self._bar:
            self._whole = self._bar.add_task("study", total=self._epochs, text="")
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar:
            self._bar.stop()
        took = duration(time.monotonic() - self._started)
        self.print(f"{self._done:,} of {self._epochs:,} epochs done in {took}")

    def begin(self, number: int) -> None:
        """A job begins."""
        if self._bar:
            job = self._jobs[number]
            start = job.end - job.epochs
            self._bars[number] = self._bar.add_task(
                f"  {job.run.name}", total=job.end, completed=start, text=""
            )

    def update(self, event: WorkerEvent) -> None:
        """Show what a worker tells."""
        if event.epoch is not None:
            job = self._jobs[event.job]
            phase = self._ledger.schedule(job.run).at(event.epoch)
            # On a cluster, what a lost node had not saved is trained once more.
            again = (event.job, event.epoch) in self._counted
            if job.end - job.epochs <= event.epoch < job.end and not again:
                self._counted.add((event.job, event.epoch))
                self._done += 1
                self._flop_done += self._ledger.costs.flop([Work(job.run.variant, phase, 1)])
        if self._bar and (bar := self._bars.get(event.job)) is not None:
            reached = None if event.epoch is None else event.epoch + 1
            self._bar.update(bar, text=event.text, completed=reached)
            self._bar.update(self._whole, completed=self._done, text=self._left())
        self._print_now_and_then(event)

    def end(self, number: int) -> None:
        """A job is over, one way or the other."""
        self._ended.add(number)
        if self._bar and number in self._bars:
            self._bar.remove_task(self._bars.pop(number))

    def _left(self) -> str:
        """How long the rest takes at the pace so far, measuring included."""
        now = time.monotonic()
        if now - self._looked >= LOOK_INTERVAL_S:
            self._looked = now
            taken = [key for key in self._unmeasured if key in self._ledger.measurements]
            self._flop_done += sum(self._unmeasured.pop(key) for key in taken)
        if not self._flop_done:
            return ""
        waited = now - self._started
        rest = max(0.0, self._flop - self._flop_done) / self._flop_done * waited
        return f"about {duration(rest)} left"

    def _print_now_and_then(self, event: WorkerEvent) -> None:
        now = time.monotonic()
        if self._bar is None and now - self._printed >= PLAIN_INTERVAL_S:
            self._printed = now
            what = event.run if event.epoch is None else f"{event.run} epoch {event.epoch + 1}"
            self.print(
                f"study: {self._done:,} of {self._epochs:,} epochs, {len(self._ended)} of "
                f"{len(self._jobs)} jobs, {self._left()} ({what}: {event.text})"
            )
