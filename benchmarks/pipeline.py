"""What the pipeline costs when there is nothing to train."""

import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import sizes
from benchmarks.common import Goal, Json, Rounds, Spread, in_turn, machine, make_table, report
from netstab.store.ledger import open_ledger
from netstab.store.states import Store
from netstab.study.experiments import runs
from tests import pieces
from tests.checkout import DVC, NETSTAB, Checkout

REPRO, STATUS, PLAN = "dvc repro, no-op", "dvc status", "netstab plan"
COLLECT = "netstab collect"
STAGE = "stage of a stored run"
EVERY = "dvc repro, every stage (n = 1)"
GOALS_S = {REPRO: 4.0, PLAN: 0.5, STAGE: 1.5}


def main(
    seeds: Annotated[int, typer.Option(min=1, help="Seeds in the plan: 27 stages each.")] = 3,
    rounds: Rounds = 5,
    json: Json = None,
) -> None:
    """Time the pipeline in a temporary clone with the sources as they are here.

    The demo's plan with the store filled with made-up states, so that every stage runs and
    nothing trains; then, in turn, `dvc repro` with nothing to do, `dvc status`, `netstab plan`,
    `netstab collect` and a stage whose run the store has.
    """
    on = machine()
    with tempfile.TemporaryDirectory() as folder:
        clone = Checkout(Path(folder) / "clone")
        clone.copy_working_tree(spied=False)
        content = sizes.content("demo", seeds=list(range(seeds)))
        content["measure"]["barriers"]["images"] = None  # they need weights, which are made up here
        clone.change(**content)
        clone.commit("the demo's study")
        clone.run(*DVC, "repro", "--quiet", "data")
        ledger = open_ledger(clone.root, Store(clone.root / ".netstab" / "store"))
        stored = runs(ledger.params)
        pieces.fill(ledger, stored)
        started = time.perf_counter()
        clone.run(*DVC, "repro", "--quiet")
        every = Spread((time.perf_counter() - started,))
        clone.commit("results")
        measured = in_turn(_cases(clone), rounds) | {EVERY: every}
    table = make_table(f"{len(stored)} runs ({seeds} seeds), all of them stored", "command", "s")
    for name, seconds in measured.items():
        table.add_row(name, str(seconds))
    report(
        "pipeline",
        json,
        table,
        on=on,
        settings={"seeds": seeds, "rounds": rounds, "runs": len(stored)},
        results={name: {"wall_s": seconds} for name, seconds in measured.items()},
        goals=[Goal(f"{n}, s,", measured[n].median, limit) for n, limit in GOALS_S.items()],
        notes=[
            f"n = {rounds}; median [min, max] of wall times, process start included.",
            "'Every stage': all stages but data run, and each finds its run in the store.",
        ],
    )


def _cases(clone: Checkout) -> Mapping[str, Callable[[], object]]:
    """The commands, each called once to warm up and seen to have nothing to do."""

    def run(*command: str) -> str:
        return clone.run(*command, PYTHONPATH="src").output

    def noop() -> None:
        output = run(*DVC, "repro")
        if "up to date" not in output:
            raise SystemExit(f"dvc repro found something to do:\n{output}")

    cases: dict[str, Callable[[], object]] = {
        REPRO: noop,
        STATUS: lambda: run(*DVC, "status"),
        PLAN: lambda: run(*NETSTAB, "plan"),
        COLLECT: lambda: run(*NETSTAB, "collect"),
        STAGE: lambda: run(sys.executable, "-m", "netstab.stages.train", "baseline", "0"),
    }
    for case in cases.values():
        case()
    return cases


if __name__ == "__main__":
    typer.run(main)
