"""What the pipeline costs when there is nothing to train."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from ruamel.yaml import YAML

from benchmarks import sizes
from benchmarks.common import (
    ROOT,
    Goal,
    Spread,
    child_environment,
    in_turn,
    machine,
    make_table,
    report,
)
from benchmarks.filled_store import fill
from netstab import paths
from netstab.params import check
from netstab.study.experiments import runs

REPRO, STATUS, PLAN = "dvc repro, no-op", "dvc status", "netstab plan"
COLLECT = "netstab collect"
STAGE = "stage of a stored run"
GOALS_S = {REPRO: 4.0, PLAN: 0.5, STAGE: 1.5}


def main(
    seeds: Annotated[int, typer.Option(min=1, help="Seeds in the plan: 27 stages each.")] = 3,
    rounds: Annotated[int, typer.Option(min=1, help="Each command is timed once a round.")] = 5,
    json: Annotated[Path | None, typer.Option(help="Where the JSON goes.")] = None,
) -> None:
    """Time the pipeline in a temporary clone with the sources as they are here.

    The demo's plan with the store filled with made-up states, so that every stage runs and
    nothing trains; then, in turn, `dvc repro` with nothing to do, `dvc status`, `netstab plan`,
    `netstab collect` and a stage whose run the store has.
    """
    on = machine()
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        # Otherwise DVC leaves an index of every temporary clone under /var.
        site = {"DVC_SITE_CACHE_DIR": str(Path(folder) / "site")}
        environment = child_environment(clone / "src") | site
        copy_of_checkout(clone)
        count = configure(clone, list(range(seeds)))
        run = partial(run_in, cwd=clone, environment=environment)
        run(["dvc", "repro", "--quiet", "data"])
        states = fill(clone)
        started = time.perf_counter()
        run(["dvc", "repro", "--quiet"])
        collected_s = time.perf_counter() - started
        commit(clone)
        measured = in_turn(_cases(run), rounds)
    settings = {"seeds": seeds, "rounds": rounds, "runs": count, "states_in_store": states}
    _report(measured, collected_s, settings, on, json)


def copy_of_checkout(target: Path) -> None:
    """A clone of the checkout, with what is changed or new in its working tree."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(target)], check=True)
    listing = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others"]
    found = subprocess.check_output([*listing, "--exclude-standard"], text=True)
    for name in filter(None, found.split("\0")):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_file():
            shutil.copy2(ROOT / name, target / name)
        else:
            (target / name).unlink(missing_ok=True)


def configure(clone: Path, seeds: list[int]) -> int:
    """Write the demo's parameters and commit; returns the number of runs."""
    content = sizes.content("demo", seeds=seeds)
    yaml = YAML()
    yaml.default_flow_style = False
    with (clone / paths.PARAMS).open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
    commit(clone)
    return len(runs(check(content)))


def commit(clone: Path) -> None:
    git = ["git", "-C", str(clone), "-c", "user.name=benchmark", "-c", "user.email=-"]
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "benchmark"], check=True)


def _cases(run: Callable[[list[str]], str]) -> Mapping[str, Callable[[], object]]:
    """The commands, each called once to warm up and seen to have nothing to do."""

    def noop() -> None:
        said = run(["dvc", "repro"])
        if "up to date" not in said:
            raise SystemExit(f"dvc repro found something to do:\n{said}")

    # What the console script `netstab` does, from the clone's sources.
    netstab = [sys.executable, "-c", "from netstab.cli import app; app()"]
    cases: dict[str, Callable[[], object]] = {
        REPRO: noop,
        STATUS: lambda: run(["dvc", "status"]),
        PLAN: lambda: run([*netstab, "plan"]),
        COLLECT: lambda: run([*netstab, "collect"]),
        STAGE: lambda: run([sys.executable, "-m", "netstab.stages.train", "baseline", "0"]),
    }
    for case in cases.values():
        case()
    return cases


def run_in(command: list[str], *, cwd: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout


def _report(
    measured: dict[str, Spread],
    collected_s: float,
    settings: dict[str, Any],
    on: dict[str, Any],
    json: Path | None,
) -> None:
    table = make_table(
        f"{settings['runs']} runs ({settings['seeds']} seeds), all of them stored",
        *("command", "s", "goal"),
    )
    for name, seconds in measured.items():
        table.add_row(name, str(seconds), f"< {GOALS_S[name]:g}" if name in GOALS_S else "")
    table.add_row("dvc repro, every stage (n = 1)", f"{collected_s:.3g}", "")
    report(
        "pipeline",
        json,
        table,
        on=on,
        settings=settings,
        results={
            **{name: {"wall_s": seconds.as_json()} for name, seconds in measured.items()},
            "dvc repro, every stage": {"wall_s": Spread((collected_s,)).as_json()},
        },
        goals=[Goal(f"{n}, s,", measured[n].median, limit) for n, limit in GOALS_S.items()],
        notes=[
            f"n = {settings['rounds']}; median [min, max] of wall times, process start included.",
            "'Every stage': all stages but data run, and each finds its run in the store.",
        ],
    )


if __name__ == "__main__":
    typer.run(main)
