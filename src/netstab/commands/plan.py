"""`netstab plan`: the tree of shared pasts, and what is left to do, in the terminal."""

from rich.console import Console
from rich.tree import Tree as Drawing

from netstab.study.experiments import Run
from netstab.study.plan import Segment, Tree, Work
from netstab.training.estimate import looks_like_gpu, spoken, usable_cores
from netstab.training.ledger import Ledger


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
        _measuring(ledger),
    ]
    if left:
        gpu = looks_like_gpu() and ledger.params.runtime.device != "cpu"
        threads = ledger.params.runtime.threads or usable_cores()
        seconds, measured = ledger.estimate.seconds(work, gpu=gpu, threads=threads)
        how = (
            "from what is measured in the store"
            if measured
            else f"a rough guess for {'a GPU' if gpu else f'{threads} CPU threads'}"
        )
        lines.append(f"estimated time    {spoken(seconds):>7}  ({how})")
    return "\n".join(lines)


def _measuring(ledger: Ledger) -> str:
    """What measuring adds to training, by operations; what runs share is measured once."""
    seed = ledger.params.seeds[0]
    every = [Run(variant, seed) for variant in ledger.tree.schedules]
    drifts = {key for run in every for key in ledger.stability_keys(run).values()}
    curvatures = {key for run in every for key in ledger.sharpness_keys(run).values()}
    training = ledger.estimate.flop(
        [
            Work(s.variants[0], phase, min(s.end, phase.end) - max(s.start, phase.start))
            for s in ledger.tree.segments()
            for phase in ledger.tree.schedules[s.variants[0]].phases
            if phase.start < s.end and phase.end > s.start
        ]
    )
    parts = ledger.estimate.measuring_flop(len(drifts), len(curvatures))
    stability, sharpness = (part / training for part in parts)
    return (
        f"measuring         {stability + sharpness:>+7.0%}  "
        f"(about, by operations: stability {stability:.0%}, sharpness {sharpness:.0%})"
    )
