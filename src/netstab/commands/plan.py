"""`netstab plan`: the tree of shared pasts, and what is left to do, in the terminal."""

from rich.console import Console
from rich.tree import Tree as Drawing

from netstab.errors import NetstabError
from netstab.machine import looks_like_gpu, usable_cores
from netstab.store.ledger import Ledger
from netstab.study.experiments import Run
from netstab.study.plan import Segment, Tree, Work
from netstab.sweep import estimate, forecast
from netstab.sweep.jobs import by_critical_path, jobs
from netstab.sweep.makespan import Forecast, simulate
from netstab.sweep.refusals import refuse_share
from netstab.text import duration

START_UP_S = 10.0
"""What a worker takes before its first epoch, to an order of magnitude: torch, images, engine."""


def run(
    ledger: Ledger,
    console: Console,
    workers: int | None,
    gpus: float | None,
    start_up: float | None,
) -> None:
    """Draw the tree, or predict a sweep where a number of workers is given; see `predict`.

    Raises:
        NetstabError: what goes with workers is given without them; or see `predict`.
    """
    if workers is not None:
        predict(ledger, console, workers, gpus, start_up)
    elif gpus is not None or start_up is not None:
        raise NetstabError("--gpus-per-worker and --start-up go with --workers")
    else:
        draw(ledger, console)


def draw(ledger: Ledger, console: Console) -> None:
    """Draw the tree of one seed, and sum up epochs and time for all."""
    seeds = ledger.params.seeds
    work = ledger.outstanding()
    drawing = Drawing(
        f"one seed: {len(ledger.tree.schedules)} runs (seeds {', '.join(map(str, seeds))})",
        guide_style="dim",
    )
    for root in ledger.tree.roots:
        _hang(drawing, root, None, ledger.tree)
    for variant, start in ledger.tree.views.items():
        end = ledger.tree.schedules[variant].epochs
        drawing.add(
            f"[bold]{variant.name}[/bold]  [dim]baseline, seen otherwise {start} → {end}[/dim]"
        )
    console.print(drawing)
    console.print()
    console.print(_sums(ledger, [w for of_seed in work.values() for w in of_seed]))


def _hang(above: Drawing, segment: Segment, parent: Segment | None, tree: Tree) -> None:
    name = segment.variants[0].name
    goes_on = parent is not None and parent.variants[0].name == name
    shared = f", shared by {len(segment.variants)}" if len(segment.variants) > 1 else ""
    start = f"{name}" if goes_on or parent is None else f"[bold]{name}[/bold]"
    branch = above.add(
        f"{start}  [dim]{segment.start} → {segment.end}{shared}[/dim]{_change(segment, tree)}"
    )
    for child in segment.children:
        _hang(branch, child, segment, tree)


def _change(segment: Segment, tree: Tree) -> str:
    """What the segment's first phase does that the one before did not."""
    schedule = tree.schedules[segment.variants[0]]
    if segment.start == 0:
        return ""
    before, after = schedule.at(segment.start - 1), schedule.at(segment.start)
    if before == after:
        return ""
    rates = {s for s in after.settings if isinstance(s, float) and s not in before.settings}
    frozen = [p for p in before.trained if p not in after.trained]
    said = []
    if rates:
        said.append(f"rate {', '.join(f'{r:g}' for r in sorted(rates))}")
    if frozen:
        said.append(f"trains {' '.join(after.trained) or 'nothing'} alone")
    return f"  [cyan]{'; '.join(said)}[/cyan]" if said else ""


def _sums(ledger: Ledger, work: list[Work]) -> str:
    seeds, tree = len(ledger.params.seeds), ledger.tree
    total, apart = tree.epochs * seeds, tree.epochs_apart * seeds
    left = sum(w.epochs for w in work)
    lines = [
        f"epochs to train   {total:>7,}  ({tree.epochs:,} a seed; each run alone: {apart:,})",
        f"epochs shared     {apart - total:>7,}  ({(apart - total) / apart:.0%} of separate runs)",
        f"already stored    {total - left:>7,}",
        f"still to train    {left:>7,}",
    ]
    if left:
        gpu = looks_like_gpu() and ledger.params.runtime.device != "cpu"
        threads = ledger.params.runtime.threads or usable_cores()
        seconds, measured = estimate.seconds(ledger, work, gpu=gpu, threads=threads)
        how = (
            "from what is measured in the store"
            if measured
            else f"a rough guess for {'a GPU' if gpu else f'{threads} CPU threads'}"
        )
        lines.append(f"time to train     {duration(seconds):>7}  ({how})")
        lines.append(_measuring(ledger))
    return "\n".join(lines)


def _measuring(ledger: Ledger) -> str:
    """What measuring adds to all training, by operations; what runs share is measured once."""
    seed = ledger.params.seeds[0]
    every = [Run(variant, seed) for variant in ledger.tree.schedules]
    drifts = {key for run in every for key in ledger.stability_keys(run).values()}
    curvatures = {key for run in every for key in ledger.sharpness_keys(run).values()}
    training = ledger.costs.flop(
        [
            Work(s.variants[0], phase, min(s.end, phase.end) - max(s.start, phase.start))
            for s in ledger.tree.segments()
            for phase in ledger.tree.schedules[s.variants[0]].phases
            if phase.start < s.end and phase.end > s.start
        ]
    )
    parts = ledger.costs.measuring_flop(len(drifts), len(curvatures))
    stability, sharpness = (part / training for part in parts)
    return (
        f"measuring on top  {stability + sharpness:>+7.0%}  "
        f"(about, by operations: stability {stability:.0%}, sharpness {sharpness:.0%})"
    )


def predict(
    ledger: Ledger, console: Console, workers: int, gpus: float | None, start_up: float | None
) -> None:
    """Say how long a sweep by Ray would take on a cluster, and what would hold it up.

    Args:
        ledger: of the study.
        console: to say it on.
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
        console.print("nothing to train: the store has every run that is asked for, measured")
        return
    known = forecast.pace(ledger, gpu=gpu, threads=threads)
    found = simulate(
        forecast.tasks(ledger, todo, known, gpu=gpu, threads=threads),
        workers,
        start_up=START_UP_S if start_up is None else start_up,
        order=by_critical_path(ledger, todo),
    )
    each = f"{gpus:g} GPU" if gpu else f"{threads} CPU thread{'s'[: threads > 1]}"
    console.print(f"by Ray, {workers:,} workers with {each} each: {len(todo):,} jobs")
    console.print(_outcome(found, gpus))
    if known.flop:
        spent = sum(map(len, known.epochs.values()))
        console.print(f"from what {spent:,} segments in the store took on such a device")
    else:
        guess = "a GPU" if gpu else f"{threads} CPU thread{'s'[: threads > 1]}"
        console.print(f"a rough guess for {guess}: the store has nothing of this setting on it")


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
