"""What is done to a forked process before it starts: a disk that fills, another clock, a host."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from itertools import count
from pathlib import Path
from typing import Any

FILLER = ".filler"
Act = Callable[[int], object]


def _around(owner: Any, name: str, before: Act, after: Act) -> None:
    """Have two functions called around a method, with the number of the call, from 1."""
    real, calls = getattr(owner, name), count(1)

    def called(*arguments: Any, **named: Any) -> Any:
        number = next(calls)
        before(number)
        result = real(*arguments, **named)
        after(number)
        return result

    setattr(owner, name, called)


def _nothing(number: int) -> None:
    pass


def full_at(number: int, root: Path, room: int) -> None:
    """Before the write to the store of this number, fill its file system but for some bytes."""
    from netstab.store.measurements import Measurements
    from netstab.store.states import Store

    writes = count(1)

    def act(_: int) -> None:
        if next(writes) == number:
            fill(root, room)

    _around(Store, "save", act, _nothing)
    _around(Measurements, "write", act, _nothing)


def fill(root: Path, room: int) -> None:
    """Leave only so many bytes of a file system, in whole pages."""
    with (root / FILLER).open("wb") as file:
        free = os.statvfs(root).f_bavail * os.statvfs(root).f_frsize
        os.posix_fallocate(file.fileno(), 0, max(4096, free - room // 4096 * 4096))


def after_save(number: int, act: Callable[[], object]) -> None:
    """Do something right after a save of this number."""
    from netstab.store.states import Store

    _around(Store, "save", _nothing, lambda saved: act() if saved == number else None)


def removed_after(number: int, root: Path) -> None:
    """Remove the store right after a save of this number."""
    after_save(number, lambda: shutil.rmtree(root))


def stopped_after(number: int) -> None:
    """End this process, as a kill does, right after a save of this number."""
    after_save(number, lambda: os._exit(9))


def clock_shifted(seconds: float) -> None:
    """Set this process's clock, wherever it is read."""
    from netstab.training import device

    real = time.time
    time.time = lambda: real() + seconds

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Shifted":
            moved = datetime.now(tz) + timedelta(seconds=seconds)
            return cls.fromisoformat(moved.isoformat())

    vars(device)["datetime"] = Shifted


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
