"""Items of `benchmarks.gpu_programme` that time and weigh the engine itself."""

import gc
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from json import dumps, loads
from pathlib import Path
from typing import Annotated, Any

import psutil
import torch
import typer

from benchmarks import sizes, trainer
from benchmarks.common import Spread, in_turn
from benchmarks.trainer import Trainer, Workload
from netstab.study.experiments import Variant, schedule
from netstab.study.schedule import Phase
from netstab.training import device as devices
from netstab.training import engine, state
from netstab.training.compiled import Compiled

app = typer.Typer(add_completion=False)
Rehearse = Annotated[bool, typer.Option(help="On the CPU, at a tiny size.")]
Json = Annotated[Path, typer.Option("--json", help="Where the results go.")]

WAYS = ("eager", "compiled")
STEADY_S = 20.0
TINY_STEPS = 6
BITS_STEPS = 40


@contextmanager
def _workload(rehearse: bool, **train: bool) -> Iterator[Workload]:
    size = "demo" if rehearse else "article"
    device, threads = ("cpu", 1) if rehearse else ("cuda", None)
    if rehearse:
        # Generating code takes minutes on a CPU, and shows nothing about a GPU.
        engine.Compiled = partial(Compiled, backend="aot_eager")  # type: ignore[misc,assignment]
    with tempfile.TemporaryDirectory() as folder:
        study = sizes.params(size, device=device, threads=threads, train=train)
        yield trainer.workload(study, size, Path(folder), TINY_STEPS if rehearse else None)


def _made(workload: Workload, way: str, **train: bool) -> Trainer:
    study = workload.study
    changed = {
        "runtime": study.runtime.model_copy(update={"compile": way == "compiled"}),
        "train": study.train.model_copy(update=train),
    }
    return Trainer(study.model_copy(update=changed), workload.manifest, workload.device)


def _epoch_of(workload: Workload, made: Trainer, phase: Phase | None = None) -> Callable[[], None]:
    """An epoch of a phase; without it, of the trunk."""
    phase = phase or trainer.trunk(workload.study)
    return partial(made.epoch, phase, workload.training, workload.validation)


def _write(path: Path, workload: Workload, results: dict[str, Any]) -> None:
    content = {"on": workload.on, "settings": workload.settings, **results}
    path.write_text(dumps(content, default=Spread.as_json), encoding="utf-8")


@app.command()
def ways(result: Json, rehearse: Rehearse = False, block: str = "", rounds: int = 7) -> None:
    """Time an epoch each way, in turn; the first one, which compiles, by itself."""
    with _workload(rehearse) as workload:
        phase = trainer.trunk(workload.study)
        if block:
            phase = schedule(workload.study, Variant("expB", block)).phases[-1]
        cases = {way: _epoch_of(workload, _made(workload, way), phase) for way in WAYS}
        first = in_turn(cases, 1)
        measured = in_turn(cases, 1 if rehearse else rounds)
        results = {
            way: {
                "first_epoch_s": first[way],
                "epoch_s": seconds,
                "images_per_s": seconds.per_second(len(workload.training)),
                "eager_per_this": Spread.of_ratios(measured["eager"], seconds),
            }
            for way, seconds in measured.items()
        }
        _write(result, workload, {"trained": list(phase.trained), "ways": results})


@app.command()
def deterministic(result: Json, rehearse: Rehearse = False, rounds: int = 5) -> None:
    """Time epochs with and without, eager and compiled; and compare runs to the bit.

    All in one process with the fixed workspace of cuBLAS that determinism asks for. Under it torch
    fills fresh memory, to show who reads it too early; without that is a case of its own.
    """
    with _workload(rehearse, deterministic=True) as workload:
        cases = {}
        for way in WAYS:
            for name, on, fill in (
                ("free", False, True),
                ("deterministic", True, True),
                ("unfilled", True, False),
            ):
                made = _made(workload, way, deterministic=on)
                cases[f"{way} {name}"] = case = partial(_under, workload, made, fill)
                case()
        measured = in_turn(cases, 1 if rehearse else rounds)
        results = {
            name: {
                "epoch_s": seconds,
                "this_per_free": Spread.of_ratios(seconds, measured[f"{name.split()[0]} free"]),
            }
            for name, seconds in measured.items()
        }
        same = {way: state.equal(_bits(workload, way), _bits(workload, way)) for way in WAYS}
        _write(result, workload, {"cases": results, "same_bits_again": same})


def _under(workload: Workload, made: Trainer, fill: bool) -> None:
    """An epoch under the trainer's own settings, which are the whole process's."""
    devices.configure(made.engine.train, workload.study.runtime)
    torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
    _epoch_of(workload, made)()
    torch.utils.deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]


def _bits(workload: Workload, way: str) -> state.Tensors:
    """The state after two short epochs of a new trainer."""
    made = _made(workload, way, deterministic=True)
    devices.configure(made.engine.train, workload.study.runtime)
    epoch = _epoch_of(workload.cut(min(BITS_STEPS, workload.settings["steps_an_epoch"])), made)
    for _ in range(2):
        epoch()
    return state.capture(made.engine)


@app.command()
def steady(way: str, rehearse: Rehearse = False) -> None:
    """Train epochs for a while, once a line is read; print how many and how long as JSON."""
    with _workload(rehearse) as workload:
        epoch = _epoch_of(workload, _made(workload, way))
        epoch()
        print("ready", flush=True)
        sys.stdin.readline()
        epochs, started, least = 0, time.perf_counter(), 0.2 if rehearse else STEADY_S
        while (seconds := time.perf_counter() - started) < least or not epochs:
            epoch()
            epochs += 1
        result = {"epochs": epochs, "seconds": seconds, "images": len(workload.training)}
        print(dumps({**result, "on": workload.on, "settings": workload.settings}), flush=True)


@app.command()
def together(
    result: Json, way: str = "compiled", rehearse: Rehearse = False, most: int = 3
) -> None:
    """Train in 1, 2, ... processes at once; epochs a second of all together."""
    found: list[dict[str, Any]] = []
    for count in range(1, (2 if rehearse else most) + 1):
        each = _at_once(count, way, rehearse)
        rates = [one["epochs"] / one["seconds"] for one in each]
        found.append({"processes": count, "epochs_per_s": sum(rates), "of_each": rates})
    alone = found[0]["epochs_per_s"]
    for row in found:
        row["times_one_alone"] = row["epochs_per_s"] / alone
    shared = {name: each[0][name] for name in ("on", "settings")}
    result.write_text(dumps({**shared, "way": way, "together": found}), encoding="utf-8")


def _at_once(count: int, way: str, rehearse: bool) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "benchmarks.gpu_child", "steady", way]
    command += ["--rehearse"] if rehearse else []
    pipe = subprocess.PIPE
    children = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(count)]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline().strip() == "ready", "a process failed; see above"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    outputs = [child.communicate()[0] for child in children]
    return [loads(text) for text in outputs]


@app.command()
def memory(result: Json, rehearse: Rehearse = False) -> None:
    """Peak memory each way: allocated and reserved on the GPU, resident in the process."""
    with _workload(rehearse) as workload:
        found = {}
        on_gpu = workload.device.type == "cuda"
        for way in WAYS:
            gc.collect()
            if on_gpu:
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            made = _made(workload, way)
            for _ in range(2):
                _epoch_of(workload, made)()
            found[way] = {
                "allocated_mib": torch.cuda.max_memory_allocated() / 2**20 if on_gpu else None,
                "reserved_mib": torch.cuda.max_memory_reserved() / 2**20 if on_gpu else None,
                "resident_mib": psutil.Process().memory_info().rss / 2**20,
            }
            del made
        _write(result, workload, {"ways": found})


if __name__ == "__main__":
    app()
