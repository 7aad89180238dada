"""Files of results: small, growing with every trial, so that a run can be cut and goes on."""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.common import console, machine, make_table

RESULTS = Path(__file__).parent / "results"
Row = dict[str, Any]


class Results:
    """The trials of one item, in `torture/results/NAME.json`."""

    def __init__(self, name: str, seed: int, *, fresh: bool, folder: Path = RESULTS) -> None:
        self.name = name
        self.path = folder / f"{name}.json"
        self.content: dict[str, Any] = {"item": name, "seed": seed, "trials": []}
        if fresh:
            # At once: where nothing is tried, nothing older may pass for it.
            self.path.unlink(missing_ok=True)
        if self.path.exists():
            before = json.loads(self.path.read_text(encoding="utf-8"))
            if before.get("seed") == seed:
                self.content = before
        self.content["machine"] = machine()

    @property
    def trials(self) -> list[Row]:
        """A row for every trial so far."""
        found: list[Row] = self.content["trials"]
        return found

    @property
    def next(self) -> int:
        """Number of the next trial."""
        return 1 + max((row["number"] for row in self.trials), default=-1)

    def add(self, row: Row) -> None:
        """Note a trial, and write it down."""
        short = {k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}
        self.trials.append({k: v for k, v in short.items() if k != "folder"})
        self.content["measured_at"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        rows = ",\n  ".join(json.dumps(one) for one in self.trials)
        rest = json.dumps({k: v for k, v in self.content.items() if k != "trials"}, indent=1)
        self.path.write_text(f'{rest[:-2]},\n "trials": [\n  {rows}\n ]\n}}\n', encoding="utf-8")

    def replace(self, name: str, row: Row) -> None:
        """Note a trial in the place of the one with the same name."""
        self.content["trials"] = [one for one in self.trials if one.get(name) != row[name]]
        self.add(row)

    @property
    def failed(self) -> list[Row]:
        """The trials in which something was wrong."""
        return [row for row in self.trials if row.get("problems")]


def kills_table(found: Sequence[Results]) -> Table:
    """A row for every kind of kill: how many, when, what was lost, what failed."""
    table = make_table("kills", "killed", "kills", "lost s", "waited s", "failed", "doing")
    for results in found:
        killed = [row for row in results.trials if row["doing"] != "was over before"]
        words = Counter(row["doing"] for row in killed)
        table.add_row(
            results.name.removeprefix("kills-"),
            str(len(killed)),
            f"{max((row['lost_s'] for row in killed), default=0):.2f}",
            f"{max((row['waiting_s'] for row in killed), default=0):.2f}",
            str(len(results.failed)),
            ", ".join(f"{count} {word}" for word, count in words.most_common()),
        )
    return table


def print_trial(results: Results, row: Row, repeat: str) -> None:
    """Print how a trial went; of one that failed, where it lies and how it is repeated."""
    parts = {k: v for k, v in row.items() if k not in ("problems", "folder")}
    figures = ", ".join(
        f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in parts.items()
    )
    console.print(f"{results.name}: {figures}", markup=False)
    for problem in row.get("problems", ()):
        console.print(f"  FAILED: {problem}", markup=False)
    if row.get("problems"):
        console.print(f"  kept in {row.get('folder')}; again: {repeat}", markup=False)
