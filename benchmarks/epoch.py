"""One epoch: netstab's engine, plain loops, frozen parts, and what the device can do."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group

from benchmarks import sizes
from benchmarks.common import (
    Device,
    Goal,
    Json,
    Rounds,
    Size,
    Source,
    Spread,
    Threads,
    console,
    in_turn,
    make_table,
    report,
)
from netstab.study.schedule import Frozen, Phase

if TYPE_CHECKING:
    from benchmarks.trainer import Workload

FASTER = {"cpu": 4.0, "cuda": 10.0}
"""Goal: times faster than the plain loop."""
FROZEN = {"expB-512": 0.5, "expB-64": 0.8}
"""Goals on CUDA: an epoch with frozen parts over the trunk's."""


def main(
    size: Size = "mini",
    source: Source = None,
    rounds: Rounds = 5,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Cut all epochs to so many steps, for a trial.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Loader processes of the plain loop.")] = 2,
    device: Device = "auto",
    threads: Threads = None,
    profile: Annotated[
        Path | None, typer.Option(help="Folder for a trace; prints the costliest kernels.")
    ] = None,
    json: Json = None,
) -> None:
    """Time an epoch, evaluation included: netstab's engine and plain PyTorch loops in turn.

    The plain loop trains the same network with the same optimizer and batch size in fp32, its
    images made by DataLoader workers with torchvision's transforms of PIL images; then the same
    channels last and, where the device has units for it, in bf16. Beside these an epoch for every
    way in which the plan freezes parts, an evaluation, a save, and large matrix products, which
    say what the device can do.
    """
    study = sizes.params(size, source, device, threads)
    from benchmarks import epoch_cases, trainer

    with tempfile.TemporaryDirectory() as folder:
        workload = trainer.workload(study, size, Path(folder), steps)
        epochs = epoch_cases.epochs(workload, Path(folder), workers)
        products = epoch_cases.products(workload.device)
        others = epoch_cases.others(workload, Path(folder))
        cases = {name: case for name, (case, _) in epochs.items()}
        named = {f"matrix product {precision}": case for precision, case in products.items()}
        measured = in_turn(cases | named | others, rounds)
        if profile:
            console.print(epoch_cases.profiled(workload, profile), markup=False)
    flop = epoch_cases.product_flop(workload.device)
    rates = {p: measured[f"matrix product {p}"].per_second(flop) for p in products}
    phases = {name: phase for name, (_, phase) in epochs.items()}
    found = {
        name: figures(workload, name, phase, measured, rates) for name, phase in phases.items()
    }
    paid = {name: measured[name] for name in others}
    settings = {"size": size, "rounds": rounds, "plain_loop_workers": workers, **workload.settings}
    report(
        "epoch",
        json,
        Group(*_tables(settings, found, rates, paid)),
        on=workload.on,
        settings=settings,
        results={
            **found,
            **{f"matrix product {p}": {"flop_per_s": rate} for p, rate in rates.items()},
            **{name: {"s": seconds} for name, seconds in paid.items()},
        },
        goals=_goals(workload, found),
        notes=_notes(workload, rounds, phases, rates),
    )


def figures(
    workload: "Workload",
    name: str,
    phase: Phase,
    measured: Mapping[str, Spread],
    rates: Mapping[str, Spread],
) -> dict[str, Spread]:
    """How fast an epoch is: by itself, beside a matrix product, the plain loop and the trunk."""
    from benchmarks.epoch_cases import PLAIN

    seconds = measured[name]
    flop_per_s = seconds.per_second(workload.flop(phase))
    return {
        "epoch_s": seconds,
        "images_per_s": seconds.per_second(workload.trained_images),
        "flop_per_s": flop_per_s,
        **{f"of_{p}_matrix_rate": Spread.of_ratios(flop_per_s, r) for p, r in rates.items()},
        "plain_loop_per_this": Spread.of_ratios(measured[PLAIN], seconds),
        "this_per_trunk": Spread.of_ratios(seconds, measured[_trunk(workload)]),
    }


def _trunk(workload: "Workload") -> str:
    return f"netstab {workload.study.train.precision}"


def _tables(
    settings: Mapping[str, Any],
    found: Mapping[str, Mapping[str, Spread]],
    rates: Mapping[str, Spread],
    paid: Mapping[str, Spread],
) -> list[Any]:
    title = f"{settings['size']}: {settings['steps_an_epoch']} steps of {settings['batch_size']} "
    speeds = make_table(
        f"{title}images, and evaluation",
        *("epoch of", "s", "images/s", "TFLOP/s", *(f"of {precision}" for precision in rates)),
    )
    ratios = make_table("the same epochs", "epoch of", "plain loop / this", "this / trunk")
    for name, one in found.items():
        shares = (f"{one[f'of_{p}_matrix_rate'].median:.1%}" for p in rates)
        images, tflop = one["images_per_s"].median, one["flop_per_s"].median * 1e-12
        speeds.add_row(name, str(one["epoch_s"]), f"{images:,.0f}", f"{tflop:.3g}", *shares)
        ratios.add_row(name, str(one["plain_loop_per_this"]), str(one["this_per_trunk"]))
    beside = make_table("beside them", "what", "")
    for precision, rate in rates.items():
        tflop_per_s = Spread(tuple(value * 1e-12 for value in rate.values))
        beside.add_row(f"matrix product {precision}", f"{tflop_per_s} TFLOP/s")
    for name, seconds in paid.items():
        beside.add_row(name, f"{seconds} s")
    return [speeds, ratios, beside]


def _goals(workload: "Workload", found: Mapping[str, Mapping[str, Spread]]) -> list[Goal]:
    own, kind = _trunk(workload), workload.device.type
    faster = found[own]["plain_loop_per_this"].median
    goals = [Goal(f"{own}, times faster than the plain loop,", faster, FASTER[kind], True)]
    for name, limit in FROZEN.items():
        if kind == "cuda" and name in found:
            ratio = found[name]["this_per_trunk"].median
            goals.append(Goal(f"{name}, over the trunk,", ratio, limit))
    return goals


def _notes(
    workload: "Workload", rounds: int, phases: Mapping[str, Phase], rates: Mapping[str, Spread]
) -> list[str]:
    notes = [
        f"n = {rounds}; median [min, max]; ratios are taken round by round.",
        "NHWC: channels last in memory. TFLOP/s: operations of the convolutions and the head, "
        "counted on the network's shape, over measured time; 'of', over a large matrix product's.",
    ]
    for name, phase in phases.items():
        if any(isinstance(setting, Frozen) for setting in phase.settings):
            still = ", batch norm of the rest frozen too" if Frozen.EVAL in phase.settings else ""
            notes.append(f"{name}: trains {' '.join(phase.trained) or 'nothing'}{still}.")
    if "bf16" not in rates:
        notes.append("This processor has no bf16 units: nothing was timed in bf16.")
    if workload.share != 1.0:
        notes.append(f"A trial: {workload.share:.1%} of an epoch's images.")
    return notes


if __name__ == "__main__":
    typer.run(main)
