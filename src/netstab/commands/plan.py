"""`netstab plan`: the tree of shared pasts, and what is left to do, in the terminal."""

import json
from collections import Counter
from typing import Any

import typer
from rich.console import Console
from rich.tree import Tree as Drawing

from netstab.commands import explain as reasons
from netstab.commands.predict import predict
from netstab.errors import NetstabError
from netstab.machine import looks_like_gpu, usable_cores
from netstab.store.ledger import Ledger
from netstab.store.why import explain
from netstab.study.experiments import Run
from netstab.study.plan import Segment, Tree, Work
from netstab.sweep.estimate import Totals
from netstab.text import duration


def run(
    ledger: Ledger,
    console: Console,
    workers: int | None,
    gpus: float | None,
    start_up: float | None,
    *,
    why: bool = False,
    as_json: bool = False,
) -> None:
    """Draw the tree, explain runs, or predict a sweep where a number of workers is given.

    Args:
        ledger: of the study.
        console: to say it on.
        workers: see `predict`.
        gpus: see `predict`.
        start_up: see `predict`.
        why: whether it is told of each run why it is trained, measured or only collected.
        as_json: whether all of it is printed as JSON; see docs/JSON.md.

    Raises:
        NetstabError: what goes with workers is given without them; or see `predict`.
        typer.BadParameter: options do not go together.
    """
    if workers is not None:
        if why or as_json:
            raise typer.BadParameter(
                "goes with neither --explain nor --json", param_hint="--workers"
            )
        predict(ledger, workers, gpus, start_up)
    elif gpus is not None or start_up is not None:
        raise NetstabError("--gpus-per-worker and --start-up go with --workers")
    elif as_json:
        print(json.dumps(_as_json(ledger, why=why), indent=2))
    elif why:
        reasons.show(explain(ledger))
        print(_sums(ledger))
    else:
        draw(ledger, console)


def draw(ledger: Ledger, console: Console) -> None:
    """Draw the tree of one seed, and sum up epochs and time for all."""
    seeds = ledger.params.seeds
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
    print()
    print(_sums(ledger))


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
    changed = [after.setting(part) for part in schedule.unswept(before, after)]
    rates = {s for s in changed if isinstance(s, float) and s not in before.settings}
    frozen = [p for p in before.trained if p not in after.trained]
    said = [
        f"{sweep.shape.replace('_', ' ')} until {sweep.end}"
        for sweep in {(s.shape, s.end): s for s in schedule.sweeps}.values()
        if sweep.starts[0] <= segment.start < sweep.end
    ]
    if rates:
        said.append(f"rate {', '.join(f'{r:g}' for r in sorted(rates))}")
    if frozen:
        said.append(f"trains {' '.join(after.trained) or 'nothing'} alone")
    return f"  [cyan]{'; '.join(said)}[/cyan]" if said else ""


def _device(ledger: Ledger) -> tuple[int, bool]:
    """CPU threads, and whether a GPU trains."""
    runtime = ledger.params.runtime
    return runtime.threads or usable_cores(), looks_like_gpu() and runtime.device != "cpu"


def _sums(ledger: Ledger) -> str:
    threads, gpu = _device(ledger)
    sums = Totals.of(ledger, gpu=gpu, threads=threads)
    saved = sums.apart - sums.shared
    lines = [
        f"epochs to train   {sums.shared:>7,}  ({ledger.tree.epochs:,} a seed; each run alone: "
        f"{sums.apart:,})",
        f"epochs shared     {saved:>7,}  ({saved / sums.apart:.0%} of separate runs)",
        f"already stored    {sums.shared - sums.left:>7,}",
        f"still to train    {sums.left:>7,}",
    ]
    if sums.seconds is not None:
        how = (
            "from what is measured in the store"
            if sums.measured
            else f"a rough guess for {'a GPU' if gpu else f'{threads} CPU threads'}"
        )
        if ledger.params.model.is_own and not sums.measured:
            how = "at least: a network of your own is not known before some of it is trained"
        shares = _measuring(ledger)
        told = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
        lines += [
            f"time to train     {duration(sums.seconds):>7}  ({how})",
            f"measuring, about  {sum(shares.values()):>+7.0%}  ({told})",
        ]
    return "\n".join(lines)


def _as_json(ledger: Ledger, *, why: bool) -> dict[str, Any]:
    threads, gpu = _device(ledger)
    sums = Totals.of(ledger, gpu=gpu, threads=threads)
    segments = [
        {"start": s.start, "end": s.end, "variants": [v.name for v in s.variants]}
        for s in ledger.tree.segments()
    ]
    content = {
        "seeds": list(ledger.params.seeds),
        "epochs": {
            "shared": sums.shared,
            "apart": sums.apart,
            "stored": sums.shared - sums.left,
            "left": sums.left,
        },
        "seconds_left": sums.seconds,
        "seconds_are_measured": sums.measured,
        "measuring_share": _measuring(ledger),
        "segments": segments,
        "views": {v.name: start for v, start in ledger.tree.views.items()},
    }
    return {**content, "runs": reasons.explained(explain(ledger))} if why else content


def _measuring(ledger: Ledger) -> dict[str, float]:
    """What each measure adds to all training, as a share of its operations.

    What runs share is measured once.
    """
    seed = ledger.params.seeds[0]
    every = [Run(variant, seed) for variant in ledger.tree.schedules]
    asked = {asked.key: asked.measure for run in every for asked in ledger.asked(run)}
    training = ledger.costs.flop(
        [
            Work(s.variants[0], phase, min(s.end, phase.end) - max(s.start, phase.start))
            for s in ledger.tree.segments()
            for phase in ledger.tree.schedules[s.variants[0]].phases
            if phase.start < s.end and phase.end > s.start
        ]
    )
    counts = Counter(asked.values())
    counts["barriers"] = sum(pair.run.seed == seed for pair in ledger.pairs)
    return {n: counts[n] * each / training for n, each in ledger.costs.measuring.items()}
