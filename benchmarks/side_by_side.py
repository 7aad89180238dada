"""Two trainers at once on the same cores, as `dvc queue start -j 2` has them, beside one alone."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import sizes, trainer
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
from netstab.training import device as devices

ALONE, TWO = "one alone", "two at once"
CASES = {
    ALONE: (1, True),
    TWO: (2, True),
    f"{ALONE}, no turns": (1, False),
    f"{TWO}, no turns": (2, False),
}
"""How many trainers, and whether they take turns."""
RATIOS = {TWO: ALONE, ALONE: f"{ALONE}, no turns", f"{TWO}, no turns": f"{ALONE}, no turns"}
"""What each is compared with."""
LIMITS = {TWO: 2.3, ALONE: 1.03}
"""Times that it may take of that."""

Child = subprocess.Popen[str]


def main(
    size: Size = "demo",
    rounds: Rounds = 5,
    epochs: Annotated[int, typer.Option(min=1, help="That each trainer trains a time.")] = 3,
    threads: Threads = None,
    json: Json = None,
) -> None:
    """Time epochs of trainers that are started and warmed up: one and two at once.

    Each is a process of its own on the CPU. Two at once take turns as stages do, and then do not.
    Processor seconds are all trainers' together.
    """
    on = machine()
    on["threads"] = threads or on["threads"]
    walls: dict[str, list[float]] = {name: [] for name in CASES}
    busy: dict[str, list[float]] = {name: [] for name in CASES}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        sizes.prepare(sizes.params(size), size, Path(folder))
        trainers = [stack.enter_context(_trainer(folder, size, on["threads"])) for _ in range(2)]
        for _ in range(rounds):
            for name, (count, in_turn) in CASES.items():
                wall, processor = _timed(trainers[:count], epochs, in_turn=in_turn)
                walls[name].append(wall)
                busy[name].append(processor)
    wall_s, processor_s = (
        {name: Spread(tuple(values)) for name, values in found.items()} for found in (walls, busy)
    )
    ratios = {name: Spread.of_ratios(wall_s[name], wall_s[of]) for name, of in RATIOS.items()}
    table = make_table(f"{size}: {epochs} epochs", "trainers", "s", "processor s", "ratio")
    for name in CASES:
        shown = f"{ratios[name]}" if name in ratios else ""
        table.add_row(name, str(wall_s[name]), str(processor_s[name]), shown)
    report(
        "side_by_side",
        json,
        table,
        on=on,
        settings={"size": size, "rounds": rounds, "epochs": epochs, "threads": on["threads"]},
        results={
            **{n: {"wall_s": wall_s[n], "processor_s": processor_s[n]} for n in CASES},
            **{f"{name} / {of}": {"ratio": ratios[name]} for name, of in RATIOS.items()},
        },
        goals=[
            Goal(f"{name} over {RATIOS[name]},", ratios[name].median, limit)
            for name, limit in LIMITS.items()
        ],
        notes=[
            f"n = {rounds}, in turn; median [min, max]. Ratios are taken round by round: of two "
            "over one alone, and of one alone over one that takes no turns."
        ],
    )


def _timed(trainers: Sequence[Child], epochs: int, *, in_turn: bool) -> tuple[float, float]:
    """Wall time until all trainers are done, and their processor seconds."""
    started = time.perf_counter()
    for child in trainers:
        assert child.stdin
        print(epochs, int(in_turn), file=child.stdin, flush=True)
    processor_s = sum(float(_line(child)) for child in trainers)
    return time.perf_counter() - started, processor_s


def _line(child: Child) -> str:
    assert child.stdout
    if line := child.stdout.readline():
        return line
    raise SystemExit(f"a trainer ended with exit code {child.wait()}")


@contextmanager
def _trainer(folder: str, size: str, threads: int) -> Iterator[Child]:
    """A warmed-up trainer; each line of its stdin says how many epochs, and whether in turn."""
    call = f"train({folder!r}, {size!r}, {threads})"
    with subprocess.Popen(
        [sys.executable, "-c", f"from benchmarks.side_by_side import train; {call}"],
        cwd=ROOT,
        env=child_environment(ROOT / "src", ROOT),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        _line(child)
        yield child
        assert child.stdin
        child.stdin.close()  # that is its end


def train(folder: str, size: str, threads: int) -> None:
    """Train as each line says; print the processor seconds that it takes."""
    study = sizes.params(size, device="cpu", threads=threads)
    workload = trainer.workload_on(study, read_manifest(Path(folder)), Path(folder))
    epoch = workload.epochs(trainer.trunk(study))
    used = devices.hardware(workload.device, threads)
    print("ready", flush=True)
    for line in sys.stdin:
        epochs, in_turn = map(int, line.split())
        before = time.process_time()
        for _ in range(epochs):
            with devices.turn(used) if in_turn else nullcontext():
                epoch()
        print(time.process_time() - before, flush=True)


if __name__ == "__main__":
    typer.run(main)
