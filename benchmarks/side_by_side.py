"""Two trainers at once on the same cores, as `dvc queue start -j 2` has them, beside one alone."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import sizes
from benchmarks.common import (
    ROOT,
    Goal,
    Json,
    Rounds,
    Size,
    Spread,
    Threads,
    child_environment,
    machine,
    make_table,
    report,
)
from netstab.data.manifest import read_manifest
from netstab.machine import WAITING, wait_briefly

ALONE, TWO, SPINNING = "one alone", "two at once", "one, spinning"
LIMITS = {TWO: 2.3, ALONE: 1.03}
"""Times that two may take of one alone; and one alone of one whose threads spin while they wait."""

Child = subprocess.Popen[str]


def main(
    size: Size = "demo",
    rounds: Rounds = 5,
    epochs: Annotated[int, typer.Option(min=1, help="That each trainer trains a time.")] = 3,
    threads: Threads = None,
    json: Json = None,
) -> None:
    """Time epochs of trainers that are started and warmed up: one, two at once, one that spins.

    Each is a process of its own on the CPU, and its threads wait as those of a stage do. The third
    has what OpenMP does by default. Processor seconds are all trainers' together.
    """
    on = machine()
    on["threads"] = threads or on["threads"]
    walls: dict[str, list[float]] = {ALONE: [], TWO: [], SPINNING: []}
    busy: dict[str, list[float]] = {name: [] for name in walls}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        sizes.prepare(sizes.params(size), size, Path(folder))
        trainers = [
            stack.enter_context(_trainer(folder, size, on["threads"], brief=brief))
            for brief in (True, True, False)
        ]
        cases = {ALONE: trainers[:1], TWO: trainers[:2], SPINNING: trainers[2:]}
        for _ in range(rounds):
            for name, chosen in cases.items():
                wall, processor = _timed(chosen, epochs)
                walls[name].append(wall)
                busy[name].append(processor)
    wall_s, processor_s = (
        {name: Spread(tuple(values)) for name, values in found.items()} for found in (walls, busy)
    )
    ratios = {
        TWO: Spread.of_ratios(wall_s[TWO], wall_s[ALONE]),
        ALONE: Spread.of_ratios(wall_s[ALONE], wall_s[SPINNING]),
    }
    table = make_table(f"{size}: {epochs} epochs", "trainers", "s", "processor s", "ratio")
    for name in cases:
        shown = f"{ratios[name]}" if name in ratios else ""
        table.add_row(name, str(wall_s[name]), str(processor_s[name]), shown)
    report(
        "side_by_side",
        json,
        table,
        on=on,
        settings={"size": size, "rounds": rounds, "epochs": epochs, "threads": on["threads"]},
        results={
            **{n: {"wall_s": wall_s[n], "processor_s": processor_s[n]} for n in cases},
            "two at once / one alone": {"ratio": ratios[TWO]},
            "one alone / one that spins": {"ratio": ratios[ALONE]},
        },
        goals=[
            Goal("two at once over one alone,", ratios[TWO].median, LIMITS[TWO]),
            Goal("one alone over one that spins,", ratios[ALONE].median, LIMITS[ALONE]),
        ],
        notes=[
            f"n = {rounds}, in turn; median [min, max]. Ratios are taken round by round: of two at "
            "once over one alone, and of one alone over one whose threads spin."
        ],
    )


def _timed(trainers: Sequence[Child], epochs: int) -> tuple[float, float]:
    """Wall time until all trainers are done, and their processor seconds."""
    started = time.perf_counter()
    for child in trainers:
        assert child.stdin
        print(epochs, file=child.stdin, flush=True)
    processor_s = sum(float(_line(child)) for child in trainers)
    return time.perf_counter() - started, processor_s


def _line(child: Child) -> str:
    assert child.stdout
    if line := child.stdout.readline():
        return line
    raise SystemExit(f"a trainer ended with exit code {child.wait()}")


@contextmanager
def _trainer(folder: str, size: str, threads: int, *, brief: bool) -> Iterator[Child]:
    """A warmed-up trainer that trains as many epochs as each line of its stdin says."""
    arguments = f"{folder!r}, {size!r}, {threads}, brief={brief}"
    environment = child_environment(ROOT / "src", ROOT)
    for name in (*WAITING, "OMP_NUM_THREADS"):
        environment.pop(name, None)
    with subprocess.Popen(
        [sys.executable, "-c", f"from benchmarks.side_by_side import train; train({arguments})"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        _line(child)
        yield child
        assert child.stdin
        child.stdin.close()  # that is its end


def train(folder: str, size: str, threads: int, *, brief: bool) -> None:
    """Train as many epochs as each line says; print the processor seconds that they take."""
    if brief:
        wait_briefly()
    study = sizes.params(size, device="cpu", threads=threads)
    from benchmarks import trainer  # only now torch, and with it OpenMP

    workload = trainer.workload_on(study, read_manifest(Path(folder)), Path(folder))
    epoch = workload.epochs(trainer.trunk(study))
    print("ready", flush=True)
    for line in sys.stdin:
        before = time.process_time()
        for _ in range(int(line)):
            epoch()
        print(time.process_time() - before, flush=True)


if __name__ == "__main__":
    typer.run(main)
