"""What is left of a study as tasks with their seconds, from what the store has measured. No torch.

An epoch of a kind (by its operations) takes what epochs of that kind took so far, of any seed; one
of a kind that was never trained takes what its operations ask for at the pace of the others.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from netstab.results.schema import measurement_fault
from netstab.store.ledger import Ledger
from netstab.store.states import newest
from netstab.study import cost
from netstab.study.experiments import Run, view
from netstab.study.measuring import NETWORK
from netstab.study.plan import kept_epochs
from netstab.sweep import estimate
from netstab.sweep.jobs import Job
from netstab.sweep.makespan import Task

NEWEST = 300
"""Number of newest states, and of newest measurements, that say how long things take."""


@dataclass(slots=True)
class Pace:
    """How long things took.

    Attributes:
        epochs: operations of an epoch -> seconds an epoch of each segment of such epochs.
        flop: operations trained.
        seconds: that they took.
        measured: kind of a measurement -> seconds of each.
        states: bytes of the states.
    """

    epochs: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    flop: float = 0.0
    seconds: float = 0.0
    measured: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    states: list[int] = field(default_factory=list)


def pace(ledger: Ledger, *, gpu: bool, threads: int) -> Pace:
    """How long this setting took on such a device, in so many threads, by what is stored."""
    found, counted = Pace(), set()
    for key in ledger.store.newest(NEWEST):
        record = ledger.store.record(key)
        if record is None or not estimate.same_setting(ledger, record):
            continue
        found.states.append(record.size)
        for row in record.provenance:
            segment = (row["trained_for"], row["from"], row["to"], row["finished_at"])
            epochs = row["to"] - row["from"]
            if segment in counted or not _is_on(row, gpu, threads) or not row["flop"] or epochs < 1:
                continue
            counted.add(segment)
            found.epochs[_kind(row["flop"] / epochs)].append(row["seconds"] / epochs)
            found.flop, found.seconds = found.flop + row["flop"], found.seconds + row["seconds"]
    for key in newest(ledger.measurements.root, NEWEST):
        kept = ledger.measurements.read_with_inputs(key)
        if kept is None or measurement_fault(kept[0].get("measure"), kept[1]):
            continue
        inputs, entry = kept
        if _is_on(entry["provenance"], gpu, threads):
            found.measured[_scope(inputs)].append(entry["provenance"]["seconds"])
    return found


def tasks(
    ledger: Ledger, todo: Sequence[Job], known: Pace, *, gpu: bool, threads: int
) -> list[Task]:
    """The jobs of a sweep as tasks.

    Args:
        ledger: of the study.
        todo: its jobs.
        known: what was measured; where that is nothing, it is an order of magnitude.
        gpu: whether they are trained on one.
        threads: of a CPU, for each.
    """
    size = fmean(known.states) if known.states else _state_bytes(ledger)
    found = []
    for job, lacking in zip(todo, unmeasured(ledger, todo), strict=True):
        start = job.end - job.epochs
        seconds = _training(ledger, job, known, gpu=gpu, threads=threads)
        seconds += sum(_measuring(ledger, kind, known) for kind in lacking.values())
        kept = kept_epochs(ledger.params, ledger.tree, job.run.variant)
        states = sum(start < epoch <= job.end for epoch in kept) if job.work else 0
        found.append(Task(seconds, job.after, size * states))
    return found


def unmeasured(ledger: Ledger, todo: Sequence[Job]) -> list[dict[str, str]]:
    """Of each job, key -> kind of the measurements that it takes; each is with the first one."""
    seen: set[str] = set()
    found = []
    for job in todo:
        start = job.end - job.epochs if job.work else 0
        wanted = _measurements(ledger, job.run, start, job.end)
        lacking = {k: kind for kind, k in wanted if k not in seen and k not in ledger.measurements}
        seen |= lacking.keys()
        found.append(lacking)
    return found


def flop_of(ledger: Ledger, kind: str) -> float:
    """Operations of a measurement of a kind, roughly."""
    each = ledger.costs.measuring
    return each.get(kind, each["sharpness"])


def _is_on(row: dict[str, Any], gpu: bool, threads: int) -> bool:
    on = row.get("device_type") == ("cuda" if gpu else "cpu")
    return on and (gpu or row.get("threads") == threads)


def _kind(flop: float) -> int:
    return round(flop / 1e3)


def _scope(inputs: dict[str, Any]) -> str:
    measure, scope = inputs["measure"], inputs.get("scope", NETWORK)
    return str(measure) if scope == NETWORK else f"{measure} of a block"


def _training(ledger: Ledger, job: Job, known: Pace, *, gpu: bool, threads: int) -> float:
    """Seconds of a job's epochs, and of recording its views."""
    if not job.work:
        return 0.0
    work = list(job.work)
    flop = ledger.costs.flop(work)
    if known.flop:
        alike = known.epochs.get(_kind(flop / job.epochs))
        each = fmean(alike) if alike else flop / job.epochs * known.seconds / known.flop
    else:
        each = estimate.seconds(ledger, work, gpu=gpu, threads=threads)[0] / job.epochs
    return job.epochs * each + _views(ledger, job, known)


def _views(ledger: Ledger, job: Job, known: Pace) -> float:
    """Seconds that views add to their host's epochs: images that go forward, by operations."""
    forward = sum(ledger.costs.forward.values())
    images = 0.0
    for viewed in ledger.views_of(job.run):
        how = view(ledger.params, viewed.variant)
        assert how is not None
        first = max(job.end - job.epochs, ledger.tree.views[viewed.variant])
        each = min(how.batch_norm_images, ledger.dataset.training_images)
        images += each * max(0, job.end - first)
    return images * forward * (known.seconds / known.flop if known.flop else 0.0)


def _measurements(ledger: Ledger, run: Run, start: int, end: int) -> list[tuple[str, str]]:
    """Kind and key of what is measured while a run goes from one epoch to another."""
    found = []
    for measure, epoch, scope, key, _ in ledger.asked(run):
        if measure == "sharpness":
            due = start < epoch <= end or epoch == start == 0
            kind = measure if scope == NETWORK else "sharpness of a block"
        else:
            due, kind = start <= epoch < end, measure
        if due:
            found.append((kind, key))
    return found


def _measuring(ledger: Ledger, kind: str, known: Pace) -> float:
    if kind in known.measured:
        return fmean(known.measured[kind])
    return flop_of(ledger, kind) * known.seconds / known.flop if known.flop else 0.0


def _state_bytes(ledger: Ledger) -> float:
    data = ledger.dataset
    size = ledger.params.data.image_size
    return cost.state_bytes(ledger.params.model, size, data.channels, data.classes)
