"""The numerics contract: golden values that say whether the code still computes the same numbers.

`numerics.json` holds a version, part of every state's key, and values computed in float64 on the
CPU. A refactor leaves them as they are and keeps every result. A change that moves them raises
the version (`python -m netstab.training.numerics --raise`), and everything is trained again.
"""

import json
import tempfile
from math import isclose
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch import Tensor

from netstab import paths
from netstab.data.batches import Images, splits
from netstab.data.tensors import Tensors
from netstab.params import Params, check
from netstab.study.experiments import Run, Variant, schedule, variants
from netstab.training import state
from netstab.training.device import Hardware, hardware
from netstab.training.engine import Engine
from netstab.training.ledger import Dataset, Ledger
from netstab.training.model import ResNet18
from netstab.training.store import Store
from netstab.training.trajectory import Workshop, train

TOLERANCE = 1e-8
"""Relative, and absolute near zero. In float64 another order of summation moves the values by
less than 1e-11; each of the mutations in the tests by more than 1e-4."""

SEED = 7
STEPS = 10
BATCH = 8
SIZE = 16
CLASSES = 4


def study(time_scale: float, batch_norm: str) -> Params:
    """The shipped interventions on a tiny network; independent of what params.yaml says today."""
    decay: dict[str, Any] = {"decay_epochs": [60, 120], "decay_factor": 0.1}
    thaw = {"60": "frozen", "120": 0.05}
    content = {
        "seeds": [SEED],
        "experiments": ["expA", "expB", "expC", "expD"],
        "blocks": {
            "64": ["stem", "layer1"],
            "128": ["layer2"],
            "256": ["layer3"],
            "512": ["layer4", "head"],
        },
        "data": {"dataset": "cifar10", "image_size": SIZE},
        "model": {"width": 4},
        "train": {
            "epochs": 200,
            "time_scale": time_scale,
            "batch_size": BATCH,
            "learning_rate": 0.1,
            "momentum": 0.9,
            "weight_decay": 0.0005,
            "crop_padding": 2,
            "horizontal_flip": True,
            "precision": "fp32",
            "tf32": False,
            "deterministic": True,
        },
        "freeze": {"batch_norm": batch_norm},
        "baseline": {},
        "outpost": decay,
        "expA": decay,
        "expB": {"freeze_epoch": 60},
        "expC": {**decay, "freeze_epoch": 90},
        "expD": {**decay, "freeze_epoch": 140},
        "own": {"thaw": {"64": thaw, "256": {"60": 0.01, "120": "frozen"}}},
        "report": {"final_epochs": 10, "jitter_epochs": 50, "settle_epochs": 10},
        "runtime": {
            "device": "cpu",
            "threads": 1,
            "compile": False,
            "save_interval_s": 60.0,
            "keep_every": 30,
        },
    }
    return check(content, "numerics")


def compute() -> dict[str, Any]:
    """Every golden value, by name."""
    return {"schedules": _schedules(), "trajectories": _trajectories()}


def _schedules() -> dict[str, Any]:
    found = {}
    for scale in (1.0, 0.1):
        params = study(scale, "live")
        for variant in variants(params):
            expanded = schedule(params, variant)
            found[f"{variant.name} at {scale:g}"] = [
                [f"{p.start}-{p.end}", *(str(s) for s in p.settings), p.batch_size]
                for p in expanded.phases
            ]
    return found


def _trajectories() -> dict[str, Any]:
    """Runs of 10 common steps and 20 of their own, for each freeze pattern and batch-norm mode."""
    found: dict[str, Any] = {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for mode in ("live", "eval"):
            # At this scale every intervention falls on epoch 1 or 2 of 3.
            params = study(0.0167, mode)
            for variant in variants(params):
                if variant.experiment in ("baseline", "outpost", "expA") and mode == "eval":
                    continue
                found[f"{variant.name} {mode}"] = trajectory(params, variant)
    finally:
        torch.set_num_threads(threads)
    return found


def trajectory(params: Params, variant: Variant) -> dict[str, Any]:
    """Train a run on the fixed images, the way that every run is trained, through a store.

    Returns:
        Its history, and the sums of its last state.
    """

    def build() -> tuple[Engine, Images, Images, Hardware]:
        model = ResNet18(params.model.width, 3, CLASSES).double()
        made = Engine(model, params.train, torch.device("cpu"))
        return (made, *images(params.train.crop_padding), hardware(torch.device("cpu"), 1))

    with tempfile.TemporaryDirectory() as folder:
        dataset = Dataset("golden", STEPS * BATCH, 3, CLASSES)
        ledger = Ledger(params, dataset, Store(Path(folder)), numerics=0)
        run = Run(variant, SEED)
        record = train(ledger, run, Workshop(build), lambda *_: None)
        path = ledger.store.tensors_file(record)
        assert path is not None
        return {
            "history": [list(row.values()) for row in record.history],
            "state": _sums(state.read(path)),
        }


def images(padding: int) -> tuple[Images, Images]:
    """Eighty images of 16x16 pixels in four classes, made without random numbers.

    Not smaller: where layer4 has a single pixel and the batch few images, batch norm divides by
    almost nothing, and rounding grows to the size of the values within a hundred steps.
    """
    count = STEPS * BATCH
    labels = np.arange(count, dtype=np.int64) % CLASSES
    pixels = ((np.arange(count * SIZE * SIZE * 3) * 7919) % 251).reshape(count, SIZE, SIZE, 3) // 2
    pixels[:, :, :, 0] += 40 * labels[:, None, None]
    pixels[:, :, :, 1] += 4 * np.arange(SIZE)[None, None, :]
    made = np.clip(pixels, 0, 255).astype(np.uint8)
    return splits(
        Tensors(made, labels, made, labels),
        mean=[0.5, 0.5, 0.4],
        std=[0.25, 0.25, 0.3],
        padding=padding,
        device=torch.device("cpu"),
        dtype=torch.float64,
    )


def _sums(tensors: dict[str, Tensor]) -> dict[str, list[float]]:
    """Norm and a fixed projection of weights, momentum and running statistics of each part."""
    groups: dict[str, list[Tensor]] = {}
    for name, tensor in sorted(tensors.items()):
        kind, part, *rest = name.split(".")
        kind = "running" if "running" in rest[-1] or "tracked" in rest[-1] else kind
        groups.setdefault(f"{kind} {part}", []).append(tensor.double().reshape(-1))
    return {
        name: [float(flat.norm()), float(flat @ torch.cos(torch.arange(len(flat)).double()))]
        for name, flat in ((name, torch.cat(members)) for name, members in groups.items())
    }


def differences(golden: object, found: object, at: str = "") -> list[str]:
    """Where two sets of values differ by more than the tolerance, by name."""
    if isinstance(golden, dict) and isinstance(found, dict):
        if golden.keys() != found.keys():
            return [f"{at}: has other names: {sorted(golden.keys() ^ found.keys())}"]
        return [d for k in golden for d in differences(golden[k], found[k], f"{at}/{k}")]
    if isinstance(golden, list) and isinstance(found, list):
        if len(golden) != len(found):
            return [f"{at}: has another length"]
        pairs = enumerate(zip(golden, found, strict=True))
        return [d for i, (g, f) in pairs for d in differences(g, f, f"{at}/{i}")]
    if isinstance(golden, float) and isinstance(found, float):
        same = isclose(golden, found, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    else:
        same = golden == found
    return [] if same else [f"{at}: {golden!r} became {found!r}"]


def main(
    raise_version: Annotated[
        bool, typer.Option("--raise", help="Renew the golden values under the next version.")
    ] = False,
) -> None:
    """Hold the code against the golden values; exit 1 where they differ."""
    content = json.loads(paths.NUMERICS.read_text(encoding="utf-8"))
    found = json.loads(json.dumps(compute()))
    if raise_version:
        content = {"version": content["version"] + 1, "golden": found}
        paths.NUMERICS.write_text(_layout(content), encoding="utf-8")
        print(f"numerics version {content['version']}: every run will be trained again")
        return
    moved = differences(content["golden"], found)
    for line in moved[:20]:
        print(line)
    print(f"numerics version {content['version']}: {len(moved)} values moved")
    raise typer.Exit(1 if moved else 0)


def _layout(content: dict[str, Any]) -> str:
    """JSON with a line for each trajectory's part, so that a diff shows what moved."""
    lines = [f'{{\n"version": {content["version"]},', '"golden": {']
    for i, (name, group) in enumerate(content["golden"].items()):
        members = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in group.items()]
        comma = "," if i + 1 < len(content["golden"]) else ""
        lines += [f"{json.dumps(name)}: {{", ",\n".join(members), f"}}{comma}"]
    return "\n".join([*lines, "}", "}", ""])


if __name__ == "__main__":
    typer.run(main)
