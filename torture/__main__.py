"""`python -m torture`: kills, disk, damage, soak; each alone, or all of it. Exits 1 on a fault."""

import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from math import inf
from pathlib import Path
from random import Random
from typing import Annotated

import typer

from benchmarks.common import console, make_table
from torture import brief, damaging, forked
from torture import disk as disks
from torture import kills as killing
from torture import soak as soaking
from torture.checkout import make
from torture.mounts import is_root
from torture.results import Results, kills_table, print_trial

ALL_MINUTES = 90
app = typer.Typer(add_completion=False, no_args_is_help=False)
Seed = Annotated[int, typer.Option(help="Of every random choice.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Forget the results so far.")]
Work = Annotated[Path | None, typer.Option(help="Where the checkouts lie; a temporary folder.")]


@app.callback()
def about() -> None:
    """What netstab survives; results go to torture/results. The exit code is 1 after a fault."""


def begin(seed: int, named: Path | None) -> Path:
    """A folder of this run's own; the seed and the folder are printed."""
    if named:
        named.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="torture-", dir=named))
    console.print(f"seed {seed}, in {folder}", markup=False)
    forked.preload()
    return folder


@app.command()
def kills(
    kind: Annotated[list[str] | None, typer.Option(help=", ".join(killing.KINDS))] = None,
    count: Annotated[int, typer.Option(help="Kills of each kind; those so far count.")] = 50,
    seed: Seed = 1,
    only: Annotated[int | None, typer.Option(help="Number of one trial, to repeat it.")] = None,
    minutes: Annotated[float, typer.Option(help="After which no further trial begins.")] = inf,
    fresh: Fresh = False,
    work: Work = None,
) -> None:
    """Kill (-9) at random moments; the next call comes to the same bits."""
    folder, all_results, end = begin(seed, work), [], time.monotonic() + 60 * minutes
    base = make(folder / "base")
    for name in kind or [name for name in killing.KINDS if name not in killing.APART]:
        results = Results(f"kills-{name}", seed, fresh=fresh)
        references = {
            way.command: killing.reference(base, way, folder / f"{name}-reference-{number}")
            for number, way in enumerate(killing.KINDS[name])
        }
        while only is not None or (_killed(results) < count and time.monotonic() < end):
            number = results.next if only is None else only
            trial = killing.Trial(base, name, number, seed, folder / f"{name}-{number}", references)
            row = trial.run()
            again = f"python -m torture kills --kind {name} --seed {seed} --only {number}"
            print_trial(results, row, again)
            if only is not None:
                raise typer.Exit(1 if row.get("problems") else 0)
            results.add(row)
        all_results.append(results)
    console.print(kills_table(all_results))
    raise typer.Exit(1 if any(one.failed for one in all_results) else 0)


@app.command()
def disk(
    case: Annotated[list[str] | None, typer.Option(help=", ".join(disks.CASES))] = None,
    seed: Seed = 1,
    fresh: Fresh = False,
    work: Work = None,
) -> None:
    """Full, read-only and vanishing disks, clocks that are set, hosts without common locks."""
    folder, results = begin(seed, work), Results("disk", seed, fresh=fresh)
    tried = disks.Disk(make(folder / "base", spied=False), folder, Random(seed))
    tried.prepare()
    for name in case or disks.CASES:
        if disks.CASES[name] and not is_root():
            console.print(f"{name}: left out; mounting takes root")
            continue
        tried.draw.seed(f"{seed} {name}")
        row = {"number": results.next, **tried.case(name)}
        print_trial(results, row, f"python -m torture disk --case {name} --seed {seed}")
        results.replace("case", row)
    _end(results)


@app.command()
def damage(
    kind: Annotated[list[str] | None, typer.Option(help="record, tensors, images, ...")] = None,
    count: Annotated[int, typer.Option(help="Cuts, and flipped bits, of a large file.")] = 60,
    files: Annotated[int, typer.Option(help="Files of each kind, at most.")] = 12,
    rebuilds: Annotated[int, typer.Option(help="Damaged files that a stage makes again.")] = 24,
    pipelines: Annotated[int, typer.Option(help="Times that dvc repro mends all files.")] = 2,
    seed: Seed = 1,
    fresh: Fresh = False,
    work: Work = None,
) -> None:
    """Damage every file in turn: found on reading, set aside or refused, and made again."""
    folder, results = begin(seed, work), Results("damage", seed, fresh=fresh)
    made = damaging.Made(make(folder / "base", spied=False), folder)
    for row in made.rows(Random(seed), kind, count, files, rebuilds, pipelines):
        row = {"number": results.next, **row}
        print_trial(results, row, f"python -m torture damage --seed {seed} --kind {row['kind']}")
        results.replace("kind", row)
    _end(results)


@app.command()
def soak(
    minutes: Annotated[float, typer.Option(help="How long.")] = 20.0,
    seed: Seed = 1,
    work: Work = None,
) -> None:
    """Random interventions by every command, with kills; consistent at the end, and flat."""
    folder, results = begin(seed, work), Results("soak", seed, fresh=True)
    base = make(folder / "base", spied=False)
    fresh = base.copied_to(folder / "fresh")
    row = {"number": 0, "case": "soak", **soaking.soak(base, fresh, minutes, Random(seed))}
    print_trial(results, row, f"python -m torture soak --minutes {minutes} --seed {seed}")
    results.add(row)
    _end(results)


@app.command("all")
def everything(seed: Seed = 1, fresh: Fresh = False, work: Work = None) -> None:
    """All of it, one after the other, kills last, within an hour and a half: where a machine is too
    slow for 200 kills in that time, fewer are made, as the table tells.
    """
    counts = {"dvc": 18, "dvc-group": 18, "sweep": 54, "worker": 54, "stage": 44}
    if find_spec("ray"):
        counts["ray"] = 12
    common = ["--seed", str(seed), *(["--work", str(work)] if work else [])]
    again = ["--fresh"] if fresh else []
    codes, end = {}, time.monotonic() + ALL_MINUTES * 60
    calls = [["damage", *again], ["disk", *again], ["soak"]]
    calls += [["kills", "--kind", k, "--count", str(n), *again] for k, n in counts.items()]
    for number, call in enumerate(calls):
        if call[0] == "kills":
            # Each kind has its share of the time left; what one does not use, the next ones have.
            left = (end - time.monotonic()) / 60 / (len(calls) - number)
            call = [*call, "--minutes", f"{max(left - 1, 0):.1f}"]
        command = [sys.executable, "-m", "torture", *call, *common]
        codes[" ".join(call[:3])] = subprocess.run(command, check=False).returncode
    killed = {name: Results(f"kills-{name}", seed, fresh=False) for name in counts}
    console.print(kills_table(list(killed.values())))
    table = make_table("everything", "what", "came out")
    for what, code in codes.items():
        name = what.removeprefix("kills --kind ")
        of = f", {_killed(killed[name])} of {counts[name]} kills" if name in killed else ""
        table.add_row(what, f"as it should{of}" if code == 0 else f"FAILED (exit code {code}){of}")
    console.print(table)
    raise typer.Exit(1 if any(codes.values()) else 0)


@app.command("brief")
def in_brief(seed: Seed = 1, work: Work = None) -> None:
    """Of everything a little, as the test suite does it; no results are kept."""
    folder = begin(seed, work)
    table, failed = make_table("in brief", "what", "came out"), False
    for row in brief.rows(folder, seed):
        problems = row.get("problems", [])
        failed |= bool(problems)
        table.add_row(str(row["case"]), "; ".join(problems)[:2000] or "as it should")
    console.print(table)
    if failed:
        console.print(f"kept in {folder}; again: python -m torture brief --seed {seed}")
    else:
        shutil.rmtree(folder)
    raise typer.Exit(1 if failed else 0)


def _end(results: Results) -> None:
    """Say what failed, and end with the exit code for it."""
    failed = [str(row.get("case", row["number"])) for row in results.failed]
    outcome = f"failed: {', '.join(failed)}" if failed else "nothing failed"
    console.print(f"{results.name}: {len(results.trials)} cases, {outcome}", markup=False)
    raise typer.Exit(1 if failed else 0)


def _killed(results: Results) -> int:
    return sum(row["doing"] != "was over before" for row in results.trials)


if __name__ == "__main__":
    app()
