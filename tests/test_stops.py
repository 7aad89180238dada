"""Whoever is asked to end saves what is trained, says how to go on, leaves nothing behind."""

import os
import pickle
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from netstab import stops
from netstab.stops import Stopped
from netstab.store.ledger import Ledger
from netstab.study.experiments import Run
from netstab.training import trajectory
from netstab.training.context import EngineContext
from tests import small

BY_SIGNAL = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


def ask(number: int = signal.SIGTERM) -> None:
    """Ask this process to end."""
    os.kill(os.getpid(), number)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in BY_SIGNAL}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", BY_SIGNAL)
def test_a_signal_that_asks_to_end_comes_as_an_error_and_handlers_are_put_back(number: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as stop, stops.stoppable():
        ask(number)
    assert stop.value.number == number == pickle.loads(pickle.dumps(stop.value)).number
    assert signal.getsignal(number) == before


def test_a_library_that_makes_an_interrupt_of_it_does_not_hide_which_signal_it_was() -> None:
    with pytest.raises(Stopped) as stop, stops.stoppable():
        try:
            ask()
        except Stopped:
            raise KeyboardInterrupt from None
    assert stop.value.number == signal.SIGTERM


def test_what_nohup_has_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with stops.stoppable():
        ask(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_a_signal_that_is_sent_twice_is_one_and_one_a_second_later_ends_at_once(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with stops.stoppable():
        with stops.put_off():
            ask()
            ask()
            assert stops.pending()
        with pytest.raises(Stopped):
            stops.check()
    assert capfd.readouterr().err.count("once more stops at once") == 1
    monkeypatch.setattr(stops, "REPEAT_S", 0.0)
    with stops.stoppable(), stops.put_off():
        ask()
        with pytest.raises(Stopped):
            ask()


# A trainer


def stopped(
    ledger: Ledger, run: Run, when: Callable[[EngineContext, Any], None], observer: Any = None
) -> None:
    """Train a run, and be asked to end on the way."""
    context = small.context(ledger.params)
    when(context, observer)
    with stops.stoppable(), pytest.raises(Stopped):
        trajectory.train(
            ledger, run, context, small.silent, (lambda: observer) if observer else None
        )


def in_epoch_4(context: EngineContext, _: Any) -> None:
    train = context.epoch

    def epoch(ledger: Ledger, run: Run, number: int, *more: Any) -> Any:
        if number == 4:
            ask()
        return train(ledger, run, number, *more)

    context.epoch = epoch  # type: ignore[method-assign]


class Observer:
    """Measures nothing, and is asked to end while it does so before epoch 5."""

    def state(self, run: Run, epoch: int, model: Any) -> None:
        if epoch == 5:
            ask()

    def epoch(self, run: Run, epoch: int, model: Any) -> None:
        return None


def while_it_waits_for_its_turn(context: EngineContext, _: Any) -> None:
    turns = iter(range(100))

    @contextmanager
    def turn() -> Iterator[None]:
        if next(turns) == 5:
            ask()
        yield

    context.turn = turn  # type: ignore[method-assign]


def in_a_measurement(_: EngineContext, observer: Any) -> None:
    assert observer


@pytest.mark.parametrize(
    ("when", "observer", "interval_s", "saved"),
    [
        (in_epoch_4, None, 1e6, 5),  # the epoch is trained to its end, and the one before saved
        (in_epoch_4, None, 1e-9, 4),  # nothing waits to be saved: at once
        (in_a_measurement, Observer(), 1e6, 5),  # which is not waited for
        (while_it_waits_for_its_turn, None, 1e6, 5),
    ],
)
def test_a_trainer_that_is_asked_to_end_saves_the_epochs_that_wait_for_it(
    when: Any, observer: Any, interval_s: float, saved: int, tmp_path: Path
) -> None:
    runtime = {"save_interval_s": interval_s, "keep_every": 1000}
    study = small.params(own={}, expE={}, experiments=[], runtime=runtime)
    ledger, whole = small.ledger(study, tmp_path / "cut"), small.ledger(study, tmp_path / "whole")
    run = small.run(study, "outpost")
    stopped(ledger, run, when, observer)
    assert ledger.resume(run).epoch == saved
    ends = [trajectory.train(of, run, small.context(study), small.silent) for of in (ledger, whole)]
    assert ends[0].sha256 == ends[1].sha256 and ends[0].history == ends[1].history
