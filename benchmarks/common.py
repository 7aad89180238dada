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
from typing import Any, Self

import psutil
from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

from netstab.machine import usable_cores

ROOT = Path(__file__).parent.parent
"""The checkout that is measured."""

RESULTS = ROOT / "benchmarks" / "results"

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 100)


@dataclass(frozen=True, slots=True)
class Spread:
    """Values measured of one thing, in the order in which they were."""

    values: tuple[float, ...]

    @classmethod
    def of_ratios(cls, above: Self, below: Self) -> Self:
        """Ratios pair by pair: what was measured in the same round is divided."""
        return cls(tuple(a / b for a, b in zip(above.values, below.values, strict=True)))

    def scaled(self, factor: float) -> Self:
        """All values times a factor."""
        return type(self)(tuple(value * factor for value in self.values))

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


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure is held against."""

    what: str
    measured: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the figure is on the right side of the limit."""
        return self.measured >= self.limit if self.at_least else self.measured < self.limit

    def as_json(self) -> dict[str, Any]:
        """The goal as a sentence of data."""
        side = "at least" if self.at_least else "below"
        return {
            "what": self.what,
            "goal": f"{side} {self.limit:g}",
            "measured": self.measured,
            "met": self.met,
        }


@dataclass(frozen=True, slots=True)
class Took:
    """What a case returns that knows by itself how long it took: part of its call is no part."""

    seconds: float


def in_turn(cases: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Spread]:
    """Wall time in seconds of each case, all once in every round: A B C, A B C, ...

    In turn, so that what else the machine does meets all alike; the caller warms up. A case that
    returns a `Took` is believed.
    """
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds):
        for name, case in cases.items():
            started = time.perf_counter()
            told = case()
            wall = time.perf_counter() - started
            seconds[name].append(told.seconds if isinstance(told, Took) else wall)
        said = ", ".join(f"{name} {values[-1]:.3g} s" for name, values in seconds.items())
        print(f"round {number + 1} of {rounds}: {said}", file=sys.stderr, flush=True)
    return {name: Spread(tuple(values)) for name, values in seconds.items()}


def make_table(title: str, *columns: str) -> Table:
    """An empty table in which numbers stand under each other; the first column holds names."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table


def machine(device: str = "cpu") -> dict[str, Any]:
    """What was measured on, and how busy it was; numbers without it mean nothing."""
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


def report(
    name: str,
    path: Path | None,
    table: RenderableType,
    *,
    on: Mapping[str, Any],
    settings: Mapping[str, Any],
    results: Mapping[str, Any],
    goals: Sequence[Goal] = (),
    notes: Sequence[str] = (),
) -> None:
    """Print the table with machine, goals and notes, and write all of it as JSON.

    Args:
        name: of the benchmark; also of the file, where `path` is None.
        path: of the JSON file.
        table: what a person sees: a table, or a group of them.
        on: the machine, as `machine` told before anything was measured.
        settings: how it was measured.
        results: what was measured, in names with units.
        goals: what it is held against.
        notes: what a reader has to know, such as that a figure is computed.
    """
    console.print(table)
    for goal in goals:
        said = goal.as_json()
        verdict = "[green]met[/]" if goal.met else "[red]missed[/]"
        console.print(
            f"goal: {goal.what} {said['goal']}: {verdict} ({three_digits(goal.measured)})"
        )
    for note in notes:
        console.print(f"[dim]{escape(note)}[/]")
    console.print(
        f"[dim]{on['cpu']}, {on['cores']} cores, {on['threads']} threads, {on['memory_gib']} GiB, "
        f"torch {on['torch']}, load {on['load_before']} before[/]"
    )
    where = dict(on)
    content = {
        "benchmark": name,
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        # Results are committed: what they were called on, not where it lay on some machine.
        "command": ["python", "-m", f"benchmarks.{name}", *(Path(a).name for a in sys.argv[1:])],
        "commit": where.pop("commit"),
        "machine": where,
        "settings": dict(settings),
        "results": dict(results),
        "goals": [goal.as_json() for goal in goals],
        "notes": list(notes),
    }
    path = path or RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    console.print(f"[dim]{path}[/]")


def _commit() -> str:
    """The commit that was measured, with a + where the sources differ from it."""
    git = ["git", "--no-optional-locks", "-C", str(ROOT)]
    try:
        head = subprocess.check_output([*git, "rev-parse", "--short=12", "HEAD"], text=True)
        changes = subprocess.check_output([*git, "status", "--porcelain", "--", "src"], text=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.strip() + ("+" if changes.strip() else "")


def child_environment(*source_folders: Path) -> dict[str, str]:
    """Environment for a child: this Python's programs, and modules from these folders, first.

    A store or a checkout (NETSTAB_STORE, DVC_ROOT) that the caller's environment names is left out.
    """
    mine = {k: v for k, v in os.environ.items() if k not in ("NETSTAB_STORE", "DVC_ROOT")}
    programs = os.pathsep.join([str(Path(sys.executable).parent), mine.get("PATH", "")])
    # What is installed may be in a folder that PYTHONPATH alone names.
    folders = [*map(str, source_folders), *filter(None, [mine.get("PYTHONPATH")])]
    modules = os.pathsep.join(folders)
    return {**mine, "PATH": programs, "PYTHONPATH": modules}
