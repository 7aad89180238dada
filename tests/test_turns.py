"""Processes that would only hinder each other on the same cores take turns."""

import itertools
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from netstab import locks
from netstab.store.ledger import Ledger
from netstab.training import device as devices
from netstab.training import replay, trajectory
from netstab.training.device import Hardware
from netstab.training.observer import Observer
from tests import small

TURNS = 10
OWN = f"netstab-{os.getuid()}"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where turns are taken; other tests take them elsewhere."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_whoever_waits_for_a_turn_comes_before_the_one_that_has_just_had_it() -> None:
    taken: list[str] = []
    inside = threading.Lock()

    def work(name: str) -> None:
        for _ in range(TURNS):
            with locks.turn("work"):
                assert inside.acquire(blocking=False), "two at once"
                taken.append(name)
                time.sleep(0.05)
                inside.release()

    workers = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(taken) == ["a"] * TURNS + ["b"] * TURNS
    changes = sum(one != other for one, other in itertools.pairwise(taken))
    # Each time but the last few; without an order it is once, when the first has had all of his.
    assert changes > TURNS


def waits() -> bool:
    """Whether somebody else waits for a turn."""

    def work() -> None:
        with locks.turn("work"):
            pass

    other = threading.Thread(target=work, daemon=True)
    other.start()
    other.join(1)
    return other.is_alive()


def test_without_a_folder_to_lock_in_nobody_waits(folder: Path) -> None:
    with locks.turn("work"):
        assert waits()
    shutil.rmtree(folder / OWN)
    (folder / OWN).write_text("no folder")
    with locks.turn("work"):
        assert not waits()


@pytest.mark.skipif(os.getuid() != 0, reason="gives a folder to another user")
def test_nobody_waits_in_the_folder_of_another_user(folder: Path) -> None:
    with locks.turn("work"):
        os.chown(folder / OWN, os.getuid() + 1, -1)
        assert not waits()


@pytest.mark.parametrize(
    ("device_type", "threads", "cores", "turns"),
    [
        ("cpu", 2, {0, 1}, ["cores-3"]),
        ("cpu", 2, {2, 3}, ["cores-c"]),  # another job's cores, and so another turn
        ("cpu", 3, {0, 1, 2, 3}, ["cores-f"]),
        ("cpu", 2, {0, 1, 2, 3}, []),  # two of these fit
        ("cpu", 1, {0}, []),  # one thread waits for no other
        ("cuda", 2, {0, 1}, []),
    ],
)
def test_trainers_take_turns_where_two_of_them_have_too_few_cores(
    device_type: str,
    threads: int,
    cores: set[int],
    turns: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    @contextmanager
    def turn(name: str) -> Iterator[None]:
        asked.append(name)
        yield

    monkeypatch.setattr(devices, "own_cores", lambda: frozenset(cores))
    monkeypatch.setattr(locks, "turn", turn)
    with devices.turn(Hardware("", device_type, "", threads, "", "", "")):
        pass
    assert asked == turns


def test_whatever_a_trainer_computes_is_within_its_turn(tmp_path: Path) -> None:
    measure = {
        "stability": {"every_epochs": 100, "images": 12},
        "field": {"every_epochs": 100, "images": 4, "seed": 0},
        "sharpness": small.SHIPPED["measure"]["sharpness"] | {"images": 8, "every_epochs": None},
    }
    study = small.params(own={}, expE={}, experiments=[], measure=measure)
    run, context = small.run(study, "outpost"), small.context(study)
    inside: list[None] = []
    seen: set[str] = set()

    @contextmanager
    def turn() -> Iterator[None]:
        assert not inside, "it would wait for itself"
        inside.append(None)
        yield
        inside.clear()

    def within(what: str, work: Any) -> Any:
        def checked(*args: Any) -> Any:
            assert inside, what
            seen.add(what)
            return work(*args)

        return checked

    def observer(ledger: Ledger) -> Observer:
        made = small.observing(ledger, context)()
        made.state = within("state", made.state)  # type: ignore[method-assign]
        made.epoch = within("over an epoch", made.epoch)  # type: ignore[method-assign]
        return made

    context.turn = turn  # type: ignore[method-assign]
    context.epoch = within("epoch", context.epoch)  # type: ignore[method-assign]
    whole = small.ledger(study, tmp_path / "whole")
    trajectory.train(whole, run, context, small.silent, lambda: observer(whole))
    assert whole.is_measured(run) and seen == {"epoch", "state", "over an epoch"}

    later = small.ledger(study, tmp_path / "later")
    trajectory.train(later, run, context, small.silent)
    seen.clear()
    replay.measure(later, run, context, observer(later), small.silent)
    assert later.is_measured(run) and seen == {"epoch", "state", "over an epoch"}
