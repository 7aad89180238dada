"""What the study lacks, as jobs: each some epochs of a run that one process trains. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass

from netstab.store.ledger import Ledger
from netstab.study.experiments import Run, runs
from netstab.study.plan import MissingSegment, Work, works


@dataclass(frozen=True, slots=True)
class Job:
    """A run, trained up to a boundary of its segments; at its end it is measured as well.

    Attributes:
        run: whose epochs they are.
        end: epoch of the state that is reached.
        work: the epochs, phase by phase; empty where a view or measurements alone are missing.
        after: number of the job that has to be done first.
    """

    run: Run
    end: int
    work: tuple[Work, ...]
    after: int | None

    @property
    def epochs(self) -> int:
        """Epochs to train."""
        return sum(part.epochs for part in self.work)

    @property
    def name(self) -> str:
        """Such as `baseline-0 to epoch 60`."""
        return f"{self.run.name} to epoch {self.end}"


def jobs(ledger: Ledger, chosen: Sequence[Run] | None = None) -> list[Job]:
    """What the plan asks for and the store lacks, seed by seed, parents first.

    Args:
        ledger: of the study.
        chosen: the runs that are wanted, and with them no more of their past than they need; None
            for all.
    """
    chosen = runs(ledger.params) if chosen is None else chosen
    found: list[Job] = []
    ends: dict[str, int] = {}  # key of a run's end -> number of the job that reaches it
    for seed, segments in ledger.missing(chosen).items():
        numbers: dict[int, int] = {}
        for segment in segments:
            job = _trained(ledger, seed, segment, numbers)
            numbers[id(segment)] = len(found)
            if job.end == ledger.schedule(job.run).epochs:
                ends[ledger.key(job.run, job.end)] = len(found)
            found.append(job)
    trained = {job.run for job in found if job.end == ledger.schedule(job.run).epochs}
    for run in chosen:
        if run in trained:
            continue
        if ledger.finished(run) is None or not ledger.is_measured(run):
            # Views are recorded with their host; what shares another's end is measured with it.
            host = ledger.host(run) if ledger.is_view(run) else run
            end = ledger.schedule(run).epochs
            found.append(Job(run, end, (), ends.get(ledger.key(host, end))))
    return found


def _trained(ledger: Ledger, seed: int, missing: MissingSegment, numbers: dict[int, int]) -> Job:
    run = Run(missing.variant, seed)
    after = numbers[id(missing.after)] if missing.after else None
    return Job(run, missing.segment.end, tuple(works(ledger.tree, missing)), after)


def critical_paths(ledger: Ledger, todo: Sequence[Job]) -> list[float]:
    """Operations of each job and of the longest chain of jobs that start from it."""
    paths = [ledger.costs.flop(job.work) for job in todo]
    for number in range(len(todo) - 1, -1, -1):
        before = todo[number].after
        if before is not None:
            own = ledger.costs.flop(todo[before].work)
            paths[before] = max(paths[before], own + paths[number])
    return paths


def by_critical_path(ledger: Ledger, todo: Sequence[Job]) -> list[int]:
    """Numbers of jobs, those first from which the longest chain starts; parents come first."""
    paths = critical_paths(ledger, todo)
    return sorted(range(len(todo)), key=lambda number: -paths[number])
