"""One process at a time: locks of the operating system, which fall with their holder."""

import errno
import fcntl
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

from netstab import paths
from netstab.errors import NetstabError

NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
"""Errors of file systems without locks."""
POLL_S = 0.2
"""How often a waiting process looks whether a lock is free."""
TURN_POLL_S = 0.02
"""The same of a turn, which may be as short as an epoch of the demo."""


@contextmanager
def locked(
    path: Path, waiting: Callable[[], None] = lambda: None, poll_s: float = POLL_S
) -> Iterator[None]:
    """Hold the lock of a file; where another process holds it, say so by `waiting`, and wait.

    The operating system gives the lock back when its holder dies, however it dies. On a file
    system without locks it is done without, and said once: a lock made of a file alone would stay
    behind whoever is killed, and whatever is written here is sound without one.

    Raises:
        OSError: the file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, fallback_to_soft=False)
    try:
        try:
            lock.acquire(blocking=False)
        except Timeout:
            waiting()
            lock.acquire(poll_interval=poll_s)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        _warn(path.parent)
    try:
        yield
    finally:
        lock.release()


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock of a file.

    Raises:
        OSError: it cannot be found out.
    """
    lock = FileLock(path, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    lock.release()
    return False


@contextmanager
def results_lock(name: str) -> Iterator[None]:
    """Be the only process that writes some results of this checkout (the current folder).

    A stage whose `dvc` was killed lives on, and would write beside the one that came after it.

    Raises:
        NetstabError: the checkout cannot be written.
    """
    with ExitStack() as held:
        try:
            held.enter_context(locked(paths.LOCKS / f"{name}.lock"))
        except OSError as error:
            raise NetstabError(
                f"{error.filename or '.netstab'}: cannot be written ({error.strerror}); free some "
                "room or mend the rights, then run the same command again"
            ) from error
        yield


@contextmanager
def turn(name: str) -> Iterator[None]:
    """Be the only one of this user's processes on this machine that does some kind of work.

    Whoever waits comes before the one that has just had it. Nothing is wrong where two work at
    once, so without a folder of its own to lock in it is done without.

    Args:
        name: of the kind.
    """
    folder = Path(tempfile.gettempdir()) / f"netstab-{os.getuid()}"
    with ExitStack() as held:
        with suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
            # In another user's folder one could be kept waiting for ever.
            if folder.lstat().st_uid == os.getuid():
                # Whoever waits for the turn is the next, and the others wait for being that.
                with locked(folder / f"{name}-next.lock", poll_s=TURN_POLL_S):
                    own = locked(folder / f"{name}.lock", _tell_of_turns, TURN_POLL_S)
                    held.enter_context(own)
        yield


@cache
def _tell_of_turns() -> None:
    print(
        "another netstab process computes on these cores: they take turns, an epoch each",
        file=sys.stderr,
        flush=True,
    )


@contextmanager
def shared_with_children(path: Path) -> Iterator[int]:
    """Hold the lock of a file by a number that children inherit, for as long as one of them lives.

    Where this process is killed, whoever comes next waits for what it had started.

    Raises:
        OSError: the file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    number = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        os.set_inheritable(number, True)
        try:
            fcntl.flock(number, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        yield number
    finally:
        os.close(number)


@cache
def _warn(folder: Path) -> None:
    print(
        f"warning: {folder}: this file system has no locks. Processes that start at the same time "
        "may do the same work twice; what they store is sound all the same",
        file=sys.stderr,
    )
