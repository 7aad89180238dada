"""A study small enough for tests: parameters, images and a ledger on a temporary store."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from netstab.data.batches import Images, to_device
from netstab.data.dataset import Dataset
from netstab.errors import ParameterError
from netstab.networks.network import Network, build
from netstab.params import Params, check
from netstab.store.ledger import Ledger
from netstab.store.records import Record
from netstab.store.states import Store
from netstab.study.experiments import Run, find_variant
from netstab.study.measuring import MEASURES
from netstab.training import state
from netstab.training.context import Built, EngineContext
from netstab.training.device import hardware
from netstab.training.engine import Engine
from netstab.training.observer import Observer
from tests.checkout import ROOT as ROOT
from tests.checkout import SHIPPED, content

CPU = torch.device("cpu")
IMAGES, SIZE, CLASSES = 24, 16, 6
ABSENT = object()


def altered(*changes: tuple[tuple[Any, ...], Any]) -> dict[str, Any]:
    """The shipped parameters with other values at these paths, or without what is `ABSENT`."""
    found = copy.deepcopy(SHIPPED)
    for path, value in changes:
        place: Any = found
        for step in path[:-1]:
            place = place[step]
        if value is ABSENT:
            del place[path[-1]]
        else:
            place[path[-1]] = value
    return found


def faults(content: object) -> list[str]:
    """What is wrong with parameters."""
    with pytest.raises(ParameterError) as refused:
        check(content)
    return refused.value.faults


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


VERSIONS = dict.fromkeys(MEASURES, 1)
"""Of what measures compute."""


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


def observing(ledger: Ledger, context: EngineContext) -> Callable[[], Observer]:
    """What measures the runs that an engine trains, made where it is first asked for."""
    return lambda: Observer(ledger, context.twin, context.built.training, context.built.hardware)


def tensors(ledger: Ledger, record: Record) -> state.Tensors:
    """The stored tensors of a record, which are there."""
    path = ledger.store.tensors_file(record)
    assert path is not None, record
    return state.read(path)


def run(study: Params, name: str, seed: int = 0) -> Run:
    """A run by its variant's name."""
    return Run(find_variant(study, name), seed)


def silent(*_: object) -> None:
    """An `EpochDone` that says nothing."""
