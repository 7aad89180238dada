"""Peak resident memory of a trainer, in a process of its own."""

import json as json_format
import resource
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import sizes
from benchmarks.common import (
    ROOT,
    Goal,
    Json,
    Rounds,
    Spread,
    child_environment,
    machine,
    make_table,
    report,
)
from netstab.data.manifest import read_manifest

LIMITS_MIB = {"mini": 2 * 1024, "article": 4 * 1024}
STEPS = {"mini": 20, "article": 3}
EVALUATION_BATCHES = 2
PEAK = "save"
"""The last part of a trainer's work: the peak after it is that of the process."""


def main(
    rounds: Rounds = 3,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of each; 20 at mini, 3 at article.")
    ] = None,
    size: Annotated[str | None, typer.Option(help="mini or article alone.")] = None,
    json: Json = None,
) -> None:
    """Measure a trainer on the CPU: load images, train some steps, evaluate, save a state.

    As many random images as the size has real ones (5,085 + 1,017 and 50,000 + 10,000), and the
    size's network, batch and precision. The figure is the operating system's, of the whole
    process: ru_maxrss.
    """
    on, chosen = machine(), [size] if size else list(LIMITS_MIB)
    counts = {name: steps or STEPS[name] for name in chosen}
    peaks_after: dict[str, list[dict[str, float]]] = {name: [] for name in chosen}
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen:
            _child("images", Path(folder) / name, name)
        for _ in range(rounds):
            for name in chosen:
                output = _child("train", Path(folder) / name, name, counts[name])
                peaks_after[name].append(json_format.loads(output))
    peaks = {name: Spread(tuple(one[PEAK] for one in many)) for name, many in peaks_after.items()}
    table = make_table("peak resident memory of a trainer's process, MiB", "", *chosen)
    for part in peaks_after[chosen[0]][-1]:
        table.add_row(
            f"so far, after: {part}", *(f"{peaks_after[n][-1][part]:,.0f}" for n in chosen)
        )
    table.add_section()
    table.add_row("peak", *map(str, peaks.values()))
    report(
        "memory",
        json,
        table,
        on=on,
        settings={"steps": counts},
        results={
            name: {"peak_mib": peak, "peak_mib_after": peaks_after[name][-1]}
            for name, peak in peaks.items()
        },
        goals=[
            Goal(f"{name} trainer's peak, MiB,", max(peak.values), LIMITS_MIB[name])
            for name, peak in peaks.items()
        ],
        notes=[
            f"n = {rounds} processes each; median [min, max]; a goal is held against the largest. "
            "'So far' is of the last one."
        ],
    )


def _child(function: str, *arguments: Any) -> str:
    """Call a function of this module in a process of its own; what it prints.

    Linux counts the parent's own peak in a child's: no torch and no images in this one.
    """
    values = ", ".join(repr(str(a) if isinstance(a, Path) else a) for a in arguments)
    code = f"from benchmarks import memory; memory.{function}({values})"
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=child_environment(ROOT / "src", ROOT),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


def images(folder: str, size: str) -> None:
    """Write a size's number of random images as the stage `data` would."""
    image_size = sizes.params(size).data.image_size
    sizes.random_images(Path(folder), *sizes.RANDOM_COUNTS[size], image_size)


class _EnoughError(Exception):
    """Ends an epoch after the steps that were asked for."""


def train(folder: str, size: str, steps: int) -> None:
    """Train some steps of an epoch, evaluate, save a state; print the peak after each as JSON."""
    peaks_mib: dict[str, float] = {}
    study = sizes.params(size, device="cpu")
    from benchmarks import trainer
    from netstab.measure.evaluate import BATCH
    from netstab.training import state

    peaks_mib["imports"] = _peak_mib()
    workload = trainer.workload_on(study, read_manifest(Path(folder)), Path(folder))
    peaks_mib["images"] = _peak_mib()
    made = trainer.Trainer(study, workload.manifest, workload.device)
    peaks_mib["network"] = _peak_mib()
    done = 0

    def count(*_: object) -> None:
        nonlocal done
        done += 1
        if done == steps:
            raise _EnoughError

    # The epoch is a whole one, with all its draws; it just ends early.
    made.engine.optimizer.register_step_post_hook(count)
    with suppress(_EnoughError):
        made.epoch(trainer.trunk(study), workload.training, workload.validation)
    peaks_mib["steps"] = _peak_mib()
    made.evaluate(trainer.first(workload.validation, EVALUATION_BATCHES * BATCH))
    peaks_mib["evaluation"] = _peak_mib()
    state.write(state.capture(made.engine), Path(folder) / "state.safetensors")
    peaks_mib[PEAK] = _peak_mib()
    print(json_format.dumps(peaks_mib))


def _peak_mib() -> float:
    """Peak resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


if __name__ == "__main__":
    typer.run(main)
