"""`python -m torture`: kills, disk, damage, soak; each alone, or all of it. Exits 1 on a fault."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.common import console
from torture import forked
from torture import kills as killing
from torture.checkout import make
from torture.results import Results, kills_table, tell

app = typer.Typer(add_completion=False, no_args_is_help=False)
Seed = Annotated[int, typer.Option(help="Of every random choice.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Forget the results so far.")]
Work = Annotated[Path | None, typer.Option(help="Where the checkouts lie; a temporary folder.")]


@app.callback()
def about() -> None:
    """What netstab survives; results go to torture/results. The exit code is 1 after a fault."""


def work_folder(named: Path | None) -> Path:
    """A folder of this run's own."""
    if named:
        named.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="torture-", dir=named))


@app.command()
def kills(
    kind: Annotated[list[str] | None, typer.Option(help=", ".join(killing.KINDS))] = None,
    count: Annotated[int, typer.Option(help="Kills of each kind; those so far count.")] = 50,
    seed: Seed = 1,
    only: Annotated[int | None, typer.Option(help="Number of one trial, to repeat it.")] = None,
    fresh: Fresh = False,
    work: Work = None,
) -> None:
    """Kill (-9) at random moments; the next call comes to the same bits."""
    folder = work_folder(work)
    console.print(f"seed {seed}, in {folder}", markup=False)
    forked.preload()
    base, all_results = make(folder / "base"), []
    for name in kind or [name for name in killing.KINDS if name != "ray"]:
        results = Results(f"kills-{name}", seed, fresh=fresh)
        references = {
            way.command: killing.reference(base, way, folder / f"{name}-reference-{number}")
            for number, way in enumerate(killing.KINDS[name])
        }
        while only is not None or _killed(results) < count:
            number = results.next if only is None else only
            trial = killing.Trial(base, name, number, seed, folder / f"{name}-{number}", references)
            row = trial.run()
            again = f"python -m torture kills --kind {name} --seed {seed} --only {number}"
            tell(results, row, again)
            if only is not None:
                raise typer.Exit(1 if row.get("problems") else 0)
            results.add(row)
        all_results.append(results)
    console.print(kills_table(all_results))
    raise typer.Exit(1 if any(one.failed for one in all_results) else 0)


def _killed(results: Results) -> int:
    return sum(row["doing"] != "was over before" for row in results.trials)


if __name__ == "__main__":
    app()
