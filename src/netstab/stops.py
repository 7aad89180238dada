"""Being asked to end: by Ctrl-C, a batch scheduler (SIGTERM), or a terminal that closes (SIGHUP).

Each raises `Stopped` in the main thread, so that whatever is under way is left in order. What must
not be left half-done puts it off for a moment.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
REPEAT_S = 1.0
"""Within which signals are taken for one: `timeout` sends its own twice, and a batch scheduler
to every process of a job, some of which pass it on."""
NOTICE = b"stopping once the epoch under way is saved; once more stops at once\n"


class Stopped(KeyboardInterrupt):
    """A signal has asked this process to end.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(number)
        self.number = number


def number(stop: KeyboardInterrupt) -> int:
    """The signal behind an interrupt."""
    return stop.number if isinstance(stop, Stopped) else signal.SIGINT


class _Asked:
    """What this process was asked, and whether it can end just now."""

    def __init__(self, notice: bytes) -> None:
        self.notice = notice
        self.number: int | None = None
        self.at = 0.0
        self.put_off = False
        self.pending = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The handler of `SIGNALS`."""
        now = time.monotonic()
        if self.number is not None and now - self.at < REPEAT_S:
            return
        first = self.number is None
        self.number, self.at = number, now
        if self.put_off and first:
            self.pending = True
            # Not by print: the signal may have come in the midst of one.
            with suppress(OSError):
                os.write(2, self.notice)
            return
        raise Stopped(number)


_asked = _Asked(b"")


@contextmanager
def stoppable(notice: bytes = NOTICE) -> Iterator[None]:
    """Raise `Stopped` where this process is asked to end; what it was told to ignore stays ignored.

    In a thread other than the main one nothing is changed.

    Args:
        notice: what to say on stderr where ending is put off.
    """
    global _asked
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    outer, _asked = _asked, _Asked(notice)
    # A command that was started by nohup, or in a script's background, is told to ignore some.
    found = {number: signal.getsignal(number) for number in SIGNALS}
    before = {n: handler for n, handler in found.items() if handler not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, _asked.handle)
    try:
        yield
    except KeyboardInterrupt as stop:
        # Ray makes an interrupt of its own of an error that comes while it waits.
        if _asked.number is not None and not isinstance(stop, Stopped):
            raise Stopped(_asked.number) from stop
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _asked = outer


@contextmanager
def masked() -> Iterator[None]:
    """Let signals that ask to end wait; in processes that are started here until they `hear`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def hear() -> None:
    """Let signals come that were masked when this process was started."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


@contextmanager
def put_off(really: bool = True) -> Iterator[None]:
    """Finish what is done here where this process is asked to end meanwhile; see `check`.

    Asked again after a second, it ends at once.

    Args:
        really: False to end at once all the same.
    """
    before, _asked.put_off = _asked.put_off, really
    try:
        yield
    finally:
        _asked.put_off = before


def pending() -> bool:
    """Whether this process was asked to end, and has put it off."""
    return _asked.pending


def check() -> None:
    """End now, if it was put off.

    Raises:
        Stopped: it was.
    """
    if _asked.pending and _asked.number is not None:
        _asked.pending = False
        raise Stopped(_asked.number)
