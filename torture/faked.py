"""What is done to a forked process before it starts: a disk that fills, another clock, a host."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

FILLER = ".filler"


def _around(owner: Any, name: str, act: Callable[[Callable[[], Any]], Any]) -> None:
    """Have a method done by `act`, which is given it as a call without arguments."""
    real = getattr(owner, name)

    def done(*arguments: Any, **named: Any) -> Any:
        return act(lambda: real(*arguments, **named))

    setattr(owner, name, done)


def full_at(count: int, root: Path, room: int) -> None:
    """Before the write to the store of this number, fill its file system but for some bytes."""
    from netstab.store.measurements import Measurements
    from netstab.store.states import Store

    seen = 0

    def act(write: Callable[[], Any]) -> Any:
        nonlocal seen
        seen += 1
        if seen == count:
            fill(root, room)
        return write()

    _around(Store, "save", act)
    _around(Measurements, "write", act)


def fill(root: Path, room: int) -> None:
    """Leave only so many bytes of a file system, in whole pages."""
    with (root / FILLER).open("wb") as file:
        free = os.statvfs(root).f_bavail * os.statvfs(root).f_frsize
        os.posix_fallocate(file.fileno(), 0, max(4096, free - room // 4096 * 4096))


def removed_after(count: int, root: Path) -> None:
    """Remove the store behind a save of this number."""
    from netstab.store.states import Store

    seen = 0

    def act(save: Callable[[], Any]) -> Any:
        nonlocal seen
        seen += 1
        saved = save()
        if seen == count:
            shutil.rmtree(root)
        return saved

    _around(Store, "save", act)


def stopped_after(count: int) -> None:
    """End this process, as a kill does, behind a save of this number."""
    from netstab.store.states import Store

    seen = 0

    def act(save: Callable[[], Any]) -> Any:
        nonlocal seen
        seen += 1
        saved = save()
        if seen == count:
            os._exit(9)
        return saved

    _around(Store, "save", act)


def clock_shifted(seconds: float) -> None:
    """Set this process's clock, wherever it is read."""
    from netstab.training import observer, trajectory

    real = time.time
    time.time = lambda: real() + seconds

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Shifted":
            moved = datetime.now(tz) + timedelta(seconds=seconds)
            return cls.fromisoformat(moved.isoformat())

    for module in (trajectory, observer):
        vars(module)["datetime"] = Shifted


def host(number: int, delay_s: float) -> None:
    """Be another host: without locks, with a process number that another host has too."""
    import torch

    from netstab.store import states as store
    from netstab.training.engine import Engine

    @contextmanager
    def unlocked(*_: Any) -> Iterator[None]:
        yield

    time.sleep(delay_s)
    vars(store)["locked"] = unlocked
    os.getpid = lambda: 4242
    real = Engine.epoch

    def other_bits(self: Any, *arguments: Any, **named: Any) -> Any:
        row = real(self, *arguments, **named)
        with torch.no_grad():
            next(self.model.parameters()).add_(1e-4 * number)
        return row

    Engine.epoch = other_bits  # type: ignore[method-assign]


def forked_workers() -> None:
    """Fork a sweep's workers off itself, and leave its look at the images out.

    A worker then sees by its parent's number that it is gone: the pipe that would tell is open in
    forked workers too.
    """
    from netstab.commands import sweep as command
    from netstab.sweep.local import pool, worker

    context = pool.multiprocessing.get_context("fork")

    def die_with(_: object) -> None:
        parent = os.getppid()
        while os.getppid() == parent:
            time.sleep(0.005)
        os._exit(1)

    vars(command)["run_dvc"] = lambda *_, **__: 0
    vars(worker)["_die_with"] = die_with
    pool.multiprocessing.get_context = lambda _: context
