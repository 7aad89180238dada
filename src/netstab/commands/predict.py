"""`netstab plan --workers`: how long a sweep by Ray would take on a cluster."""

from netstab.store.ledger import Ledger
from netstab.sweep import forecast
from netstab.sweep.jobs import by_critical_path, jobs
from netstab.sweep.makespan import Forecast, simulate
from netstab.sweep.refusals import refuse_share
from netstab.text import duration

START_UP_S = 10.0
"""What a worker takes before its first epoch, to an order of magnitude: torch, images, engine."""


def predict(ledger: Ledger, workers: int, gpus: float | None, start_up: float | None) -> None:
    """Say how long a sweep by Ray would take on a cluster, and what would hold it up.

    Args:
        ledger: of the study.
        workers: that train at once.
        gpus: that each of them takes; None for 1 where the parameters do not say cpu.
        start_up: seconds of a worker before its first epoch; None for an order of magnitude.

    Raises:
        NetstabError: there is no such share of a GPU.
    """
    refuse_share(gpus)
    runtime = ledger.params.runtime
    gpus = (0.0 if runtime.device == "cpu" else 1.0) if gpus is None else gpus
    threads, gpu = runtime.threads or 1, gpus > 0
    todo = jobs(ledger)
    if not todo:
        print("nothing to train: the store has every run that is asked for, measured")
        return
    known = forecast.pace(ledger, gpu=gpu, threads=threads)
    found = simulate(
        forecast.tasks(ledger, todo, known, gpu=gpu, threads=threads),
        workers,
        start_up=START_UP_S if start_up is None else start_up,
        order=by_critical_path(ledger, todo),
    )
    each = f"{gpus:g} GPU" if gpu else f"{threads} CPU thread{'s'[: threads > 1]}"
    print(f"by Ray, {workers:,} workers with {each} each: {len(todo):,} jobs")
    print(_outcome(found, gpus))
    if known.flop:
        spent = sum(map(len, known.epochs.values()))
        print(f"from what {spent:,} segments in the store took on such a device")
    else:
        guess = "a GPU" if gpu else f"{threads} CPU thread{'s'[: threads > 1]}"
        print(f"a rough guess for {guess}: the store has nothing of this setting on it")


def _outcome(found: Forecast, gpus: float) -> str:
    lines = [
        f"makespan          {duration(found.makespan):>9}",
        f"utilisation       {found.utilisation:>9.0%}  ({found.used:,} workers have work)",
        f"critical path     {duration(found.path):>9}  (no number of workers is faster)",
        f"written           {_bytes(found.written):>9}  "
        f"({_bytes(found.written_per_second)}/s on average)",
    ]
    if gpus:
        hours = found.makespan * found.workers * gpus / 3600
        lines.insert(3, f"GPU-hours         {hours:>9,.3g}  (paid for, idle ones too)")
    held = "the number of workers"
    if found.used < found.workers or found.makespan < 1.1 * found.path:
        held = "the critical path, and the start of workers; more of them do not help"
    return "\n".join([*lines, f"limit: {held}"])


def _bytes(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.2f} MB"
