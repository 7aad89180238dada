"""Peak resident memory of a trainer, in a process of its own."""

import json as json_format
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.children import measured_child
from benchmarks.common import Goal, Spread, machine, make_table, report

CHILD = "benchmarks.memory_child"
LIMITS_MIB = {"mini": 2 * 1024, "article": 4 * 1024}
STEPS = {"mini": 20, "article": 3}


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Trainers of each size.")] = 3,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of each; 20 at mini, 3 at article.")
    ] = None,
    size: Annotated[str | None, typer.Option(help="mini or article alone.")] = None,
    json: Annotated[Path | None, typer.Option(help="Where the JSON goes.")] = None,
) -> None:
    """Measure a trainer on the CPU: load images, train some steps, evaluate, save a state.

    As many random images as the size has real ones (5,085 + 1,017 and 50,000 + 10,000), and the
    size's network, batch and precision. The figure is the operating system's, of the whole
    process: ru_maxrss.
    """
    on, chosen = machine(), [size] if size else list(LIMITS_MIB)
    peaks: dict[str, list[float]] = {name: [] for name in chosen}
    stages: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen:
            (Path(folder) / name).mkdir()
            measured_child(CHILD, "images", str(Path(folder) / name), name)
        for _ in range(rounds):
            for name in chosen:
                work = [str(Path(folder) / name), name, str(steps or STEPS[name])]
                peak, said = measured_child(CHILD, "train", *work)
                peaks[name].append(peak)
                stages[name] = json_format.loads(said)
    _report({name: Spread(tuple(p)) for name, p in peaks.items()}, stages, steps, on, json)


def _report(
    peaks: dict[str, Spread],
    stages: dict[str, dict[str, float]],
    steps: int | None,
    on: dict[str, object],
    json: Path | None,
) -> None:
    table = make_table("peak resident memory of a trainer's process, MiB", "", *peaks)
    for stage in next(iter(stages.values())):
        table.add_row(f"so far, after: {stage}", *(f"{s[stage]:,.0f}" for s in stages.values()))
    table.add_section()
    table.add_row("peak", *map(str, peaks.values()))
    table.add_row("limit", *(f"{LIMITS_MIB[name]:,}" for name in peaks))
    report(
        "memory",
        json,
        table,
        on=on,
        settings={"steps": {name: steps or STEPS[name] for name in peaks}},
        results={
            name: {
                "peak_mib": peak.as_json(),
                "limit_mib": LIMITS_MIB[name],
                "peak_mib_after": stages[name],
            }
            for name, peak in peaks.items()
        },
        goals=[
            Goal(f"{name} trainer's peak, MiB,", max(p.values), LIMITS_MIB[name])
            for name, p in peaks.items()
        ],
        notes=[
            f"n = {len(next(iter(peaks.values())).values)} processes each; median [min, max]; a "
            "goal is held against the largest. 'So far' is of the last one."
        ],
    )


if __name__ == "__main__":
    typer.run(main)
