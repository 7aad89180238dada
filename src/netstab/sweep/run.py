"""The whole study in one go: every job of the plan, several side by side.

What a sweep on this machine (`local/`) and one on a cluster (`ray/`) have in common. Workers train
through the store as a stage does, so a sweep may be stopped, killed, started twice, or left to
`dvc repro` at any time. No torch here.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from netstab.errors import DivergedError, TrainingError
from netstab.store.ledger import Ledger
from netstab.study.experiments import Run, runs
from netstab.sweep.display import Display
from netstab.sweep.jobs import Job, by_critical_path, jobs

OTHER_BITS = (
    "warning: on CUDA a past that is trained twice comes to other bits each time, and runs from "
    "different stores cannot be joined. If these are a piece of a study, set deterministic: true "
    "under train in params.yaml, for every piece"
)
OTHER_THREADS = (
    "warning: another number of CPU threads comes to other bits, and runs from different stores "
    "cannot be joined then. If these are a piece of a study, set threads under runtime in "
    "params.yaml (threads: 1, say), the same for every piece"
)


@dataclass
class Outcomes:
    """What becomes of the jobs of a sweep.

    Attributes:
        todo: the jobs.
        display: shows them.
        faults: of jobs that failed, by number.
        skipped: numbers of jobs that start from one that failed, directly or not.
    """

    todo: list[Job]
    display: Display
    faults: dict[int, TrainingError] = field(default_factory=dict)
    skipped: list[int] = field(default_factory=list)

    def raise_faults(self) -> None:
        """End a sweep: well, or with every fault named.

        Raises:
            DivergedError: there was no other fault than losses that are not finite.
            TrainingError: there were others.
        """
        if not self.faults:
            return
        lines = list(dict.fromkeys(map(str, self.faults.values())))
        if self.skipped:
            names = ", ".join(self.todo[number].name for number in sorted(self.skipped))
            lines.append(f"not trained, since they start from there: {names}")
        diverged = all(isinstance(fault, DivergedError) for fault in self.faults.values())
        raise (DivergedError if diverged else TrainingError)("\n".join(lines))


class Workers(Protocol):
    """Processes that train; as text, how many and in how many threads each."""

    def prepare(self, chosen: list[Run]) -> str:
        """Refuse runs as stages of their own would, and settle how many workers train.

        Returns:
            The type of the device: `cpu` or `cuda`.

        Raises:
            TrainingError: see `refusals.refuse`, or there is too little memory.
        """

    def train(self, order: list[int], outcomes: Outcomes) -> None:
        """Train jobs, those first that come first in `order`, but each after its parent."""

    def measure(self, what: str) -> None:
        """Measure what is between runs: `ceiling` or `barriers`; see the modules of these names."""


def sweep(
    ledger: Ledger,
    display: Display,
    chosen: Sequence[Run] | None,
    workers: Callable[[list[Job]], AbstractContextManager[Workers]],
) -> None:
    """Train and measure what the plan asks for and the store lacks.

    Args:
        ledger: of the study.
        display: shows progress.
        chosen: the runs that are wanted; None for all.
        workers: starts workers for some jobs; they are gone when its context ends.

    Raises:
        NetstabError: a run is refused, or one or more could not be trained: those that do not
            start from them are done, and every fault is named.
        KeyboardInterrupt: after the workers have gone; the store has what they saved.
    """
    chosen = runs(ledger.params) if chosen is None else chosen
    todo, ceiling = jobs(ledger, chosen), ceiling_is_missing(ledger, chosen)
    if not todo and not ceiling and not ledger.unmeasured_barriers()[0]:
        display.print("nothing to train: the store has every run that is asked for, measured")
        return
    with workers(todo) as pool:
        kind = pool.prepare(list(dict.fromkeys(job.run for job in todo)))
        warn_of_other_bits(ledger, chosen, kind, display)
        if todo:
            display.start(todo, str(pool), gpu=kind == "cuda")
            outcomes = Outcomes(todo, display)
            with display:
                pool.train(by_critical_path(ledger, todo), outcomes)
            outcomes.raise_faults()
        if ceiling:
            display.print("comparing two seeds with each other (ceiling)")
            pool.measure("ceiling")
        if ready := ledger.unmeasured_barriers()[0]:
            display.print(f"measuring barriers between states of a seed ({len(ready)})")
            pool.measure("barriers")


def warn_of_other_bits(ledger: Ledger, chosen: Sequence[Run], kind: str, display: Display) -> None:
    """Say so where pieces of a study that are trained like this could not be joined.

    Args:
        ledger: of the study.
        chosen: the runs that are wanted.
        kind: of device that trains, `cpu` or `cuda`.
        display: to say it on.
    """
    if not is_piece(ledger, chosen):
        return
    if kind == "cuda" and not ledger.params.train.deterministic:
        display.print(OTHER_BITS)
    if kind == "cpu" and ledger.params.runtime.threads is None:
        display.print(OTHER_THREADS)


def is_piece(ledger: Ledger, chosen: Sequence[Run]) -> bool:
    """Whether some runs of a seed are left out, whose past others will train once more."""
    seeds = {run.seed for run in chosen}
    return any(run not in chosen for run in runs(ledger.params) if run.seed in seeds)


def ceiling_is_missing(ledger: Ledger, chosen: Sequence[Run]) -> bool:
    """Whether two seeds are to be compared, and all that is compared is or will be here."""
    keys = ledger.ceiling_keys()
    compared = [run for name in keys for run in ledger.compared(name)]
    ends = {ledger.end_key(run) for run in compared}
    return (
        any(key not in ledger.measurements for key in keys.values())
        and all(run in chosen for run in compared)
        and not ends & ledger.imports.listing() - ledger.store.listing()
    )
