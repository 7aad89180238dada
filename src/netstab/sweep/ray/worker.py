"""A process of Ray's that trains jobs: near the store, or far from it.

A job is done by the means of a stage, through the same store: its locks, its states in
mid-segment, its checks. So a task that Ray starts again after the loss of a node goes on from the
last saved state, and comes to the same bits.
"""

import gc
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch

from netstab.data.dataset import Dataset
from netstab.data.manifest import Manifest
from netstab.data.tensors import NAMES, Tensors, checked
from netstab.errors import NetstabError
from netstab.params import Params
from netstab.results.schema import Row
from netstab.store.ledger import Ledger
from netstab.store.states import Store
from netstab.study.experiments import Run
from netstab.sweep import ceiling
from netstab.sweep.job import refuse as refuse_run
from netstab.sweep.jobs import Job
from netstab.sweep.ray.lines import Lines, first_line
from netstab.sweep.ray.remote_store import FarMeasurements, FarStore, Handle
from netstab.sweep.ray.store_server import clear, old_folders, sees
from netstab.sweep.worker import Said
from netstab.training.trainer import Trainer

LAG_S = 60.0
"""For how long a shared file system may take to show what another node has written."""
ABANDONED_S = 24 * 3600.0
"""Age from which copies of states are taken for what a killed command left on this node."""
ON = "on "
"""So begins what a worker says first of a job; what follows is its node."""
HINT = "too little memory? A larger share of a GPU leaves more to each (--gpus-per-worker)"


@dataclass(frozen=True, slots=True)
class Study:
    """What every worker has to know.

    Attributes:
        params: with the threads of a worker.
        share: of a GPU, that a worker has.
        manifest: of the images.
        versions: see `ledger.versions`.
        store: the command's store; a node may name another way to it in NETSTAB_STORE.
        token: the mark in the store by which a node knows that it sees it.
        images: the prepared arrays.
    """

    params: Params
    share: float
    manifest: Manifest
    versions: tuple[int, int]
    store: Path
    token: str
    images: Tensors


@dataclass(frozen=True, slots=True)
class Done:
    """A job that is done.

    Attributes:
        key: of the state that it reached.
    """

    key: str


@dataclass(frozen=True, slots=True)
class Fault:
    """A job that cannot be done, and why; None where it starts from one that could not."""

    why: str | None


Outcome = Done | Fault
_here: dict[tuple[str, bool, str], Trainer] = {}
"""The trainer of this process, by the command's mark, whether it trains near the store, and the
device."""


def refuse(study: Study, depot: Handle, todo: list[Run]) -> str:
    """Refuse runs as stages of their own would; see `job.refuse`.

    Returns:
        The type of the device: `cpu` or `cuda`.
    """
    trainer = _trainer(study, depot)
    of = trainer.ledger
    # A device that was asked for is never refused: by those parameters, not the worker's own.
    ledger = Ledger(
        study.params, of.dataset, of.store, *study.versions, measurements=of.measurements
    )
    for run in todo:
        refuse_run(ledger, run, trainer.manifest, trainer.device, trainer.threads)
    return trainer.device.type


def do(study: Study, depot: Handle, number: int, todo: Job, before: Outcome | None) -> Outcome:
    """Train a job, and tell of it.

    Args:
        study: that it belongs to.
        depot: on the node of the command.
        number: of the job.
        todo: the job.
        before: what became of the one that it starts from.
    """
    if isinstance(before, Fault):
        return Fault(None)

    def say(run: Run, epoch: int | None, words: str) -> None:
        depot.say.remote(Said(number, run.name, epoch, words))

    def epoch_done(run: Run, row: Row, seconds: float) -> None:
        say(
            run,
            int(row["epoch"]),
            f"val top-1 {row['val_top1_pct']:.1f} %, {seconds:.2g} s an epoch",
        )

    def measuring(words: str) -> None:
        say(todo.run, None, words)

    try:
        with redirect_stderr(Lines(depot.say.remote)):
            trainer = _trainer(study, depot, before)
            say(todo.run, None, ON + node_name())
            record = trainer.train(todo.run, epoch_done, measuring, todo.end)
    except NetstabError as error:
        return Fault(str(error))
    except (RuntimeError, MemoryError) as error:
        return Fault(f"{todo.run.name}: {first_line(error)} ({HINT})")
    except OSError as error:
        return Fault(f"{todo.run.name}: {first_line(error)} (on {node_name()})")
    return Done(record.key)


def compare_seeds(study: Study, depot: Handle) -> None:
    """Measure the ceiling; see `ceiling.compare_seeds`."""
    trainer = _trainer(study, depot)
    ceiling.compare_seeds(trainer.ledger, trainer.manifest, lambda _: _read(study), node_name())


def leave(token: str) -> None:
    """Remove what a command has left on this node."""
    clear(_copies(token))


def collect_copies() -> None:
    """Remove what commands that were killed have left on this node."""
    anyones = _copies("[0-9a-f]" * 32)
    for left in old_folders(anyones.parent, anyones.name, ABANDONED_S):
        clear(left)  # in use after all, it is fetched again


def node_name() -> str:
    """This machine, and which of Ray's nodes on it: several may be on one."""
    context = ray.get_runtime_context()
    return f"{platform.node()}, Ray node {context.get_node_id()[:8]}"


def _trainer(study: Study, depot: Handle, before: Outcome | None = None) -> Trainer:
    """This process's trainer: in the command's store itself, where that is to be seen."""
    store = Store(_way_to_store(study))
    near = sees(store.root, study.token)
    if near and isinstance(before, Done):
        near = _shows(store, before.key)
    given = ray.get_runtime_context().get_accelerator_ids()["GPU"]
    device = device_of(study.share, given, os.environ.get("CUDA_VISIBLE_DEVICES"))
    key = study.token, near, device
    if key not in _here:
        _forget()  # of another command, a store that was seen and is no more, or another GPU
        _here[key] = _make(study, depot, store if near else None, device)
    return _here[key]


def device_of(share: float, given: Sequence[str], visible: str | None) -> str:
    """The device to train on: of the GPUs that this process sees, the one that its task has.

    Args:
        share: of a GPU, that a worker has.
        given: GPUs that Ray gave to the task, by number, or by name as in `visible`.
        visible: CUDA_VISIBLE_DEVICES, in whose order CUDA counts; None where all are.
    """
    if not share:
        return "cpu"
    if not given:
        return "cuda"
    seen = [name.strip() for name in visible.split(",")] if visible else []
    if given[0] in seen:
        return f"cuda:{seen.index(given[0])}"
    return f"cuda:{given[0]}" if given[0].isdigit() else "cuda"


def _forget() -> None:
    """Give back the memory of engine and images: of a GPU, it belongs to another task now."""
    _here.clear()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        gc.collect()
        torch.cuda.empty_cache()


def _make(study: Study, depot: Handle, store: Store | None, device: str) -> Trainer:
    runtime = study.params.runtime.model_copy(update={"device": device})
    params = study.params.model_copy(update={"runtime": runtime})
    measurements = None
    if store is None:
        collect_copies()
        far = FarStore(_copies(study.token), depot)
        store, measurements = far, FarMeasurements(far, depot)
    dataset = Dataset.prepared(study.manifest)
    ledger = Ledger(params, dataset, store, *study.versions, measurements=measurements)
    trainer = Trainer(ledger, study.manifest, lambda _: _read(study), node_name())
    if trainer.device.type == "cuda":
        torch.cuda.set_device(trainer.device)
    return trainer


def _way_to_store(study: Study) -> Path:
    own = Path(os.environ.get("NETSTAB_STORE", ""))
    return own if own.is_absolute() else study.store


def _copies(token: str) -> Path:
    return Path(tempfile.gettempdir()) / f"netstab-{token}"


def _shows(store: Store, key: str) -> bool:
    """Whether the store has a state, as soon as its file system shows what others wrote."""
    waited = time.monotonic()
    while key not in store.listing():
        if time.monotonic() - waited > LAG_S:
            return False
        time.sleep(0.2)
    return True


def _read(study: Study) -> Tensors:
    """The images, checked; copied, for what Ray hands out cannot be written to."""
    arrays: dict[str, Any] = {name: np.array(getattr(study.images, name)) for name in NAMES}
    return checked(arrays, study.manifest)
