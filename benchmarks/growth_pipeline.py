"""The pipeline with many seeds: clones whose every run is stored, collected and reported."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import pipeline
from benchmarks.common import ROOT, child_environment
from benchmarks.filled_store import fill

PLAN, COLLECT, STATUS, REPORT = "netstab plan", "netstab collect", "dvc status", "report stage"
COMMANDS: dict[str, list[str]] = {
    # What the console script `netstab` does, from the clone's sources.
    PLAN: [sys.executable, "-c", "from netstab.cli import app; app()", "plan"],
    COLLECT: [sys.executable, "-c", "from netstab.cli import app; app()", "collect"],
    STATUS: ["dvc", "status"],
    REPORT: [sys.executable, "-m", "netstab.stages.report"],
}
BOOKKEEPING = {
    "load_s": "DVC reads the pipeline",
    "save_s": "DVC hashes everything",
    "write_one_s": "DVC writes its lock",
}


@dataclass(frozen=True, slots=True)
class Clone:
    """A clone with so many seeds.

    Attributes:
        seeds: number of them.
        runs: in its plan.
        states: in its store.
        dvc: what DVC's own bookkeeping took: see `dvc_child`.
        run: runs a command in it.
    """

    seeds: int
    runs: int
    states: int
    dvc: dict[str, float]
    run: Callable[[list[str]], str]

    def cases(self) -> dict[str, Callable[[], object]]:
        """The commands; `dvc status` is seen to find nothing to do."""
        run = self.run

        def quiet() -> None:
            said = run(COMMANDS[STATUS])
            if "up to date" not in said:
                raise SystemExit(f"dvc status found something to do:\n{said[-2000:]}")

        return {
            PLAN: partial(run, COMMANDS[PLAN]),
            COLLECT: partial(run, COMMANDS[COLLECT]),
            STATUS: quiet,
            REPORT: partial(run, COMMANDS[REPORT]),
        }

    def as_json(self) -> dict[str, Any]:
        """What the clone is."""
        return {"runs": self.runs, "states": self.states, "dvc": self.dvc}


def clone(seeds: int, folder: Path) -> Clone:
    """A clone below `folder`, as it is after `dvc repro` of the demo's plan with many seeds.

    One that was made there before is used again: it takes long.
    """
    place, made = folder / f"seeds-{seeds}", folder / f"seeds-{seeds}.json"
    site = {"DVC_SITE_CACHE_DIR": str(folder / f"site-{seeds}")}
    environment = child_environment(place / "src", ROOT) | site
    run = partial(pipeline.run_in, cwd=place, environment=environment)
    if not made.exists():
        shutil.rmtree(place, ignore_errors=True)
        made.write_text(json.dumps(_make(seeds, place, run)), encoding="utf-8")
    return Clone(seeds, **json.loads(made.read_text(encoding="utf-8")), run=run)


def _make(seeds: int, place: Path, run: Callable[[list[str]], str]) -> dict[str, Any]:
    """Make a clone; returns its `runs`, `states` and `dvc`.

    The runs are collected in one go, and DVC records the rest by its own functions: `dvc repro`
    would start a process for every run, and write the lock after each.
    """
    pipeline.copy_of_checkout(place)
    runs = pipeline.configure(place, list(range(seeds)))
    run(["dvc", "repro", "--quiet", "data"])
    states = fill(place)
    run(COMMANDS[COLLECT])
    run([sys.executable, "-m", "netstab.stages.ceiling"])
    run(COMMANDS[REPORT])
    dvc = json.loads(run([sys.executable, "-m", "benchmarks.dvc_child"]).splitlines()[-1])
    pipeline.commit(place)
    return {"runs": runs, "states": states, "dvc": dvc}
