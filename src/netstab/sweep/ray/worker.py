"""A process of Ray's that trains jobs, in the command's store itself or by its server.

A job is trained as a stage trains, with the store's locks, states in mid-segment and checks. So a
task that Ray starts again after the loss of a node goes on from the last saved state, and comes to
the same bits.
"""

import _thread
import gc
import os
import platform
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from ray.exceptions import RayError

from netstab import stops
from netstab.data.dataset import Dataset
from netstab.data.manifest import Manifest
from netstab.data.tensors import NAMES, Tensors, checked
from netstab.errors import NetstabError
from netstab.params import Params
from netstab.store.ledger import Ledger
from netstab.store.states import Store
from netstab.study.experiments import Run
from netstab.sweep import barriers, ceiling, refusals
from netstab.sweep.events import WorkerEvent, train_job
from netstab.sweep.jobs import Job
from netstab.sweep.output import LineWriter, first_line
from netstab.sweep.ray import places
from netstab.sweep.ray.folders import old_folders
from netstab.sweep.ray.marks import has_mark
from netstab.sweep.ray.remote_store import Handle, RemoteMeasurements, RemoteStore, asked
from netstab.training.trainer import Trainer

LISTEN_S = 1.0
"""Between questions whether the command is asked to end."""
LAG_S = 60.0
"""For how long a shared file system may take to show what another node has written."""
ABANDONED_S = 24 * 3600.0
"""Age from which copies of states are taken for what a killed command left on this node."""
MEASURES = {"ceiling": ceiling.compare_seeds, "barriers": barriers.measure_barriers}
HINT = "too little memory? A larger share of a GPU leaves more to each (--gpus-per-worker)"


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """What every worker has to know.

    Attributes:
        params: with the threads of a worker.
        share: of a GPU, that a worker has.
        gpus: of a Ray of the command's own, over which shares are spread; 0: Ray's choice stands.
        manifest: of the images.
        versions: see `store.settings.versions`.
        store: the command's store; a node may name another way to it in NETSTAB_STORE.
        token: the mark in the store by which a node knows that it sees it.
        images: the prepared arrays.
    """

    params: Params
    share: float
    gpus: int
    manifest: Manifest
    versions: tuple[int, Mapping[str, int]]
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
_trainers: dict[tuple[str, bool, str], Trainer] = {}
"""The trainer of this process, by the command's mark, whether it sees the command's store, and the
device."""


def refuse(config: WorkerConfig, server: Handle, chosen: list[Run]) -> str:
    """Refuse runs as stages of their own would; see `refusals.refuse`.

    Returns:
        The type of the device: `cpu` or `cuda`.
    """
    with _trainer(config, server) as trainer:
        of, kind = trainer.ledger, trainer.device.type
        # A device that was asked for is never refused: by those parameters, not the worker's own.
        ledger = Ledger(
            config.params, of.dataset, of.store, *config.versions, measurements=of.measurements
        )
        refusals.refuse(ledger, chosen, trainer.manifest, kind, trainer.threads)
        return kind


def train(
    config: WorkerConfig, server: Handle, number: int, job: Job, before: Outcome | None
) -> Outcome:
    """Train a job, and report it.

    Args:
        config: of the command that it belongs to.
        server: on the node of the command.
        number: of the job.
        job: some epochs of a run.
        before: what became of the job that this one starts from.
    """
    if isinstance(before, Fault) or asked(server.is_stopping.remote()):
        return Fault(None)
    try:
        with (
            stops.stoppable(notice=b""),
            _told_to_end(server),
            redirect_stderr(LineWriter(server.report.remote)),
            _trainer(config, server, before) as trainer,
        ):
            begins = WorkerEvent(number, job.run.name, None, f"on {node_name()}", begins=True)
            server.report.remote(begins)
            record = train_job(trainer, number, job, server.report.remote)
    except stops.Stopped:
        return Fault(None)
    except NetstabError as error:
        return Fault(str(error))
    except (RuntimeError, MemoryError) as error:
        return Fault(f"{job.run.name}: {first_line(error)} ({HINT})")
    except OSError as error:
        return Fault(f"{job.run.name}: {first_line(error)} (on {node_name()})")
    return Done(record.key)


@contextmanager
def _told_to_end(server: Handle) -> Iterator[None]:
    """Ask this process to end when the command is; see `stops`."""
    over = threading.Event()

    def listen() -> None:
        with suppress(RayError):  # where the server is gone, the command is
            while not over.wait(LISTEN_S):
                if asked(server.is_stopping.remote()):
                    _thread.interrupt_main(signal.SIGTERM)
                    return

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def measure(config: WorkerConfig, server: Handle, what: str) -> None:
    """See `run.Workers`."""
    with _trainer(config, server) as trainer:
        MEASURES[what](trainer.ledger, trainer.manifest, lambda _: _read(config), node_name())


def remove_copies(token: str) -> None:
    """Remove what a command has left on this node."""
    shutil.rmtree(_copies(token), ignore_errors=True)


def collect_copies() -> None:
    """Remove what commands that were killed have left on this node."""
    pattern = _copies("[0-9a-f]" * 32)
    for folder in old_folders(pattern.parent, pattern.name, ABANDONED_S):
        shutil.rmtree(folder, ignore_errors=True)  # what is in use after all is fetched again


def node_name() -> str:
    """This machine, and which of Ray's nodes on it: several may be on one."""
    context = ray.get_runtime_context()
    return f"{platform.node()}, Ray node {context.get_node_id()[:8]}"


@contextmanager
def _trainer(
    config: WorkerConfig, server: Handle, before: Outcome | None = None
) -> Iterator[Trainer]:
    """This process's trainer: in the command's store itself, where this node sees it."""
    with _device(config) as device:
        yield _trainer_on(device, config, server, before)


def _trainer_on(
    device: str, config: WorkerConfig, server: Handle, before: Outcome | None
) -> Trainer:
    store = Store(_way_to_store(config))
    shared = has_mark(store.root, config.token)
    if shared and isinstance(before, Done):
        shared = _shows(store, before.key)
    key = config.token, shared, device
    if key not in _trainers:
        _forget()  # of another command, another way to the store, or another GPU
        _trainers[key] = _make(config, server, store if shared else None, device)
    return _trainers[key]


@contextmanager
def _device(config: WorkerConfig) -> Iterator[str]:
    """The device of a task, for as long as it trains."""
    if config.gpus and 0 < config.share < 1:
        used = next((device for _, _, device in _trainers), None)
        with places.taken(config.token, config.gpus, config.share, used) as device:
            yield device
        return
    given = ray.get_runtime_context().get_accelerator_ids()["GPU"]
    yield device_of(config.share, given, os.environ.get("CUDA_VISIBLE_DEVICES"))


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
    _trainers.clear()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        gc.collect()
        torch.cuda.empty_cache()


def _make(config: WorkerConfig, server: Handle, store: Store | None, device: str) -> Trainer:
    runtime = config.params.runtime.model_copy(update={"device": device})
    params = config.params.model_copy(update={"runtime": runtime})
    measurements = None
    if store is None:
        collect_copies()
        remote = RemoteStore(_copies(config.token), server)
        store, measurements = remote, RemoteMeasurements(remote, server)
    dataset = Dataset.prepared(config.manifest)
    ledger = Ledger(params, dataset, store, *config.versions, measurements=measurements)
    trainer = Trainer(ledger, config.manifest, lambda _: _read(config), node_name())
    if trainer.device.type == "cuda":
        torch.cuda.set_device(trainer.device)
    return trainer


def _way_to_store(config: WorkerConfig) -> Path:
    own = Path(os.environ.get("NETSTAB_STORE", ""))
    return own if own.is_absolute() else config.store


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


def _read(config: WorkerConfig) -> Tensors:
    """The images, checked; copied, for what Ray hands out cannot be written to."""
    arrays: dict[str, Any] = {name: np.array(getattr(config.images, name)) for name in NAMES}
    return checked(arrays, config.manifest)
