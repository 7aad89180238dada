"""A study small enough for tests: parameters, images and a ledger on a temporary store."""

import copy
from pathlib import Path
from typing import Any

import torch
from ruamel.yaml import YAML

from netstab.data.batches import Images, to_device
from netstab.data.dataset import Dataset
from netstab.networks.network import Network, build
from netstab.params import Params, check
from netstab.store.ledger import Ledger
from netstab.store.states import Store
from netstab.study.experiments import Run, find_variant
from netstab.training.context import Built, EngineContext
from netstab.training.device import hardware
from netstab.training.engine import Engine
from tests.checkout import ROOT, changed

CPU = torch.device("cpu")
SHIPPED: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())
IMAGES, SIZE, CLASSES = 24, 16, 6


def content(**changes: Any) -> dict[str, Any]:
    """The shipped parameters with changes; see `changed`."""
    return changed(copy.deepcopy(SHIPPED), **changes)


def params(**changes: Any) -> Params:
    """A tiny study: 10 epochs of 3 steps, width 2, one thread; changes at 3, 5 (4.5), 6 and 7."""
    train = {"time_scale": 0.05, "batch_size": 8, "precision": "fp32", "crop_padding": 2}
    base: dict[str, Any] = {
        "seeds": [0],
        "data": {"image_size": SIZE},
        "model": {"width": 2},
        "runtime": {"threads": 1, "device": "cpu", "save_interval_s": 1e6},
        "expE": {**SHIPPED["expE"], "batch": {**SHIPPED["expE"]["batch"], "largest_batch": 24}},
    }
    for section, change in changes.items():
        if section == "train":
            train |= change
        elif isinstance(change, dict) and section in base and section != "expE":
            base[section] |= change
        else:
            base[section] = change
    return check(content(train=train, **base))


def images(padding: int, *, dtype: torch.dtype = torch.float32, count: int = IMAGES) -> Images:
    """Random images whose brightness tells their class, so that there is something to learn."""
    draw = torch.Generator().manual_seed(3)
    labels = torch.randint(0, CLASSES, (count,), generator=draw)
    pixels = torch.randint(0, 130, (count, SIZE, SIZE, 3), generator=draw)
    pixels += 25 * labels[:, None, None, None]
    return to_device(
        pixels.to(torch.uint8),
        labels,
        mean=[0.45, 0.5, 0.55],
        std=[0.2, 0.25, 0.3],
        padding=padding,
        device=CPU,
        dtype=dtype,
    )


def network(study: Params, *, double: bool = False) -> Network:
    """The study's network, in float64 where asked."""
    found = build(study, 3, CLASSES)
    found.module.to(torch.float64 if double else torch.float32)
    return found


def engine(study: Params, *, double: bool = False) -> Engine:
    """An engine for the study, in float64 where asked."""
    return Engine(network(study, double=double), study.train, CPU)


def ledger(study: Params, store: Path, *, numerics: int = 1, data: str = "small") -> Ledger:
    """A ledger on a store at a path."""
    return Ledger(study, Dataset(data, IMAGES, 3, CLASSES), Store(store), numerics)


def context(study: Params) -> EngineContext:
    """Engine and images for the study."""

    def build() -> Any:
        torch.set_num_threads(study.runtime.threads or 1)
        padding = study.train.crop_padding
        return Built(engine(study), images(padding), images(0), hardware(CPU, 1))

    return EngineContext(build)


def run(study: Params, name: str, seed: int = 0) -> Run:
    """A run by its variant's name."""
    return Run(find_variant(study, name), seed)


def silent(*_: object) -> None:
    """An `EpochDone` that says nothing."""
