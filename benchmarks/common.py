"""What the benchmarks share: timing in turn, spread, the machine, tables and JSON. No torch."""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Self

import psutil
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

from netstab.machine import usable_cores

ROOT = Path(__file__).parent.parent
"""The checkout that is measured."""
RESULTS = ROOT / "benchmarks" / "results"

Source = Annotated[
    Path | None, typer.Option(help="Archive or folder of images; without it, random ones.")
]
Rounds = Annotated[int, typer.Option(min=1, help="Each case is timed once a round.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; one a core.")]
Size = Annotated[str, typer.Option(help="demo, mini or article.")]
Json = Annotated[Path | None, typer.Option(help="Where the JSON goes.")]

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 100)


@dataclass(frozen=True, slots=True)
class Spread:
    """Values measured of one thing, in the order in which they were."""

    values: tuple[float, ...]

    @classmethod
    def of_ratios(cls, above: Self, below: Self) -> Self:
        """Ratios pair by pair: what was measured in the same round is divided."""
        return cls(tuple(a / b for a, b in zip(above.values, below.values, strict=True)))

    def per_second(self, amount: float) -> Self:
        """Rates at which an amount was done in these seconds."""
        return type(self)(tuple(amount / seconds for seconds in self.values))

    @property
    def median(self) -> float:
        """Median of the values."""
        return median(self.values)

    def as_json(self) -> dict[str, Any]:
        """Number of values, median, extremes, and the values themselves."""
        return {
            "n": len(self.values),
            "median": self.median,
            "min": min(self.values),
            "max": max(self.values),
            "values": list(self.values),
        }

    def __str__(self) -> str:
        low, high = three_digits(min(self.values)), three_digits(max(self.values))
        return f"{three_digits(self.median)} [{low}, {high}]"


def three_digits(value: float) -> str:
    """A number as a table shows it."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}"


def in_turn(cases: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Spread]:
    """Wall time in seconds of each case, all once in every round: A B C, A B C, ...

    In turn, so that what else the machine does meets all alike; the caller warms up.
    """
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds):
        for name, case in cases.items():
            started = time.perf_counter()
            case()
            seconds[name].append(time.perf_counter() - started)
        figures = ", ".join(f"{name} {values[-1]:.3g} s" for name, values in seconds.items())
        print(f"round {number + 1} of {rounds}: {figures}", file=sys.stderr, flush=True)
    return {name: Spread(tuple(values)) for name, values in seconds.items()}


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure and the limit that it is held against."""

    what: str
    measured: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the figure is on the right side of the limit."""
        return self.measured >= self.limit if self.at_least else self.measured < self.limit

    def __str__(self) -> str:
        side = "at least" if self.at_least else "below"
        verdict = "met" if self.met else "missed"
        return f"{self.what} {side} {self.limit:g}: {verdict} ({three_digits(self.measured)})"


def make_table(title: str, *columns: str) -> Table:
    """An empty table in which numbers stand under each other; the first column holds names."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table


def machine(device: str = "cpu") -> dict[str, Any]:
    """The machine, and how busy it is; numbers without it mean nothing."""
    return {
        "cpu": _processor(),
        "cores": usable_cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "device": device,
        "threads": usable_cores(),
        "torch": version("torch"),
        "python": platform.python_version(),
        "system": platform.system(),
        "load_before": round(os.getloadavg()[0], 2),
        "niceness": os.nice(0),
        "commit": _commit(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str:
    """The commit that was measured, with a + where the sources differ from it."""
    git = ["git", "--no-optional-locks", "-C", str(ROOT)]
    try:
        head = subprocess.check_output([*git, "rev-parse", "--short=12", "HEAD"], text=True)
        changes = subprocess.check_output([*git, "status", "--porcelain", "--", "src"], text=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.strip() + ("+" if changes.strip() else "")


def report(
    name: str,
    path: Path | None,
    shown: RenderableType,
    *,
    on: Mapping[str, Any],
    settings: Mapping[str, Any],
    results: Mapping[str, Any],
    goals: Sequence[Goal] = (),
    notes: Sequence[str] = (),
) -> None:
    """Print tables with machine, goals and notes, and write all of it as JSON.

    Args:
        name: of the benchmark; also of the file, where `path` is None.
        path: of the JSON file.
        shown: what a person sees: a table, or a group of them.
        on: the machine, as `machine` describes it before anything was measured.
        settings: how it was measured.
        results: what was measured, in names with units; a `Spread` is written out.
        goals: what it is held against.
        notes: what a reader has to know, such as that a figure is computed.
    """
    console.print(shown)
    for goal in goals:
        console.print(f"[{'green' if goal.met else 'red'}]goal: {escape(str(goal))}[/]")
    where = (
        f"{on['cpu']}, {on['cores']} cores, {on['threads']} threads, {on['memory_gib']} GiB, "
        f"torch {on['torch']}, load {on['load_before']} before"
    )
    for note in (*notes, where):
        console.print(f"[dim]{escape(note)}[/]")
    content = {
        "benchmark": name,
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        # Results are committed: what they were called on, not where it lay on some machine.
        "command": ["python", "-m", f"benchmarks.{name}", *(Path(a).name for a in sys.argv[1:])],
        "commit": on["commit"],
        "machine": {key: value for key, value in on.items() if key != "commit"},
        "settings": settings,
        "results": results,
        "goals": [str(goal) for goal in goals],
        "notes": list(notes),
    }
    path = path or RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=2, default=Spread.as_json)
    path.write_text(text + "\n", encoding="utf-8")
    console.print(f"[dim]{path}[/]")


def child_environment(*source_folders: Path) -> dict[str, str]:
    """Environment for a child: this Python's programs, and modules from these folders, first.

    A store or a checkout (NETSTAB_STORE, DVC_ROOT) that the caller's environment names is left out.
    """
    mine = {k: v for k, v in os.environ.items() if k not in ("NETSTAB_STORE", "DVC_ROOT")}
    programs = os.pathsep.join([str(Path(sys.executable).parent), mine.get("PATH", "")])
    # What is installed may be in a folder that PYTHONPATH alone names.
    folders = [*map(str, source_folders), *filter(None, [mine.get("PYTHONPATH")])]
    return {**mine, "PATH": programs, "PYTHONPATH": os.pathsep.join(folders)}
