"""One input under a guard: what it may take, what it may touch, and what may come out."""

import os
import re
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

from netstab.errors import NetstabError

MOST_SECONDS = 20.0
"""Wall-clock seconds that an input of at most `MOST_BYTES` may take."""
MOST_GROWTH = 512 * 2**20
"""Bytes of memory that it may take beyond what the process had before."""
MOST_BYTES = 64 * 2**10
"""Of a generated input; bombs, which unpack to more, have tests of their own."""

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {
    *("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.chmod"),
    *("os.chown", "os.truncate", "os.utime", "shutil.rmtree", "shutil.move", "shutil.copyfile"),
}
"""Audit events of Python whose first argument is a path that is changed."""
ESCAPES = {
    *("os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn"),
    *("subprocess.Popen", "pty.spawn", "socket.connect", "socket.bind", "socket.getaddrinfo"),
    *("ctypes.dlopen", "pickle.find_class", "urllib.Request", "webbrowser.open"),
}
"""Audit events of Python that no input may cause at all."""

sung: list[str] = []
"""What canaries said: calls that only code from an input can make."""


def canary(*words: object) -> str:
    """What hostile pickles and templates of this package call; nobody else does."""
    sung.append(repr(words))
    return "sung"


class EscapeError(BaseException):
    """An input did what none may; past every `except Exception`."""


@dataclass(frozen=True, slots=True)
class Target:
    """Something that reads what others wrote.

    Attributes:
        name: of it.
        make: an input from chance: a valid one with faults, or nonsense.
        feed: gives an input to netstab, in a folder of its own; returns whether it was accepted,
            and checks that what came out is right.
        named: words of which each refusal must have one: file or field.
    """

    name: str
    make: Callable[[Random], bytes]
    feed: Callable[[bytes, Path], bool]
    named: tuple[str, ...]


@dataclass(slots=True)
class Tally:
    """What came out so far, over all inputs.

    Attributes:
        inputs: how many were tried.
        accepted: and used.
        refused: with a message that names file or field.
        seconds: of the slowest.
        growth: most bytes of memory that one took.
        findings: what was wrong -> the first input that showed it.
    """

    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    seconds: float = 0.0
    growth: int = 0
    findings: dict[str, bytes] = field(default_factory=dict)


_inside: Path | None = None
_escaped: list[str] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _inside is None:
        return
    if event in ESCAPES:
        _escape(f"{event} {arguments!r:.80}")
    if event == "open":
        path, _, flags = arguments
        if isinstance(path, str | bytes | os.PathLike) and flags & WRITING:
            _check_inside(event, path)
    elif event in CHANGES:
        # Relative to an open folder, as rmtree does it: that folder was checked when it began.
        if event in ("os.remove", "os.rmdir", "os.mkdir") and arguments[-1] != -1:
            return
        for path in arguments[:2] if event in ("os.rename", "os.link") else arguments[:1]:
            _check_inside(event, path)


def _check_inside(event: str, path: Any) -> None:
    if isinstance(path, int) or os.fspath(path) in ("/dev/null", b"/dev/null"):
        return
    place = os.path.realpath(os.fsdecode(path))
    if _inside is not None and not place.startswith(f"{_inside}{os.sep}") and place != str(_inside):
        _escape(f"{event} outside: {place}")


def _escape(what: str) -> None:
    _escaped.append(what)
    raise EscapeError(what)


_installed: list[bool] = []


@contextmanager
def guarded(folder: Path) -> Iterator[None]:
    """Within it, nothing outside the folder is written, and no process or connection made."""
    global _inside
    if not _installed:
        sys.addaudithook(_hook)  # for the rest of the process: hooks cannot be removed
        _installed.append(True)
    before, _inside = _inside, Path(os.path.realpath(folder))
    try:
        yield
    finally:
        _inside = before


def judge(target: Target, content: bytes, folder: Path, tally: Tally) -> str | None:
    """Feed one input; what was wrong, or None.

    Args:
        target: that it is fed to.
        content: the input.
        folder: emptied first; nothing is written anywhere else.
        tally: that the outcome is added to.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _escaped.clear()
    sung.clear()
    _forget_peak()
    before, started = _memory("VmRSS"), time.monotonic()
    wrong: str | None = None
    accepted = False
    try:
        with warnings.catch_warnings(), _alarm(), guarded(folder):
            warnings.simplefilter("error")
            accepted = target.feed(content, folder)
    except NetstabError as error:
        wrong = _of_refusal(target, error)
    except (Exception, EscapeError) as error:
        wrong = f"{type(error).__name__} {_where(error)}"
    took, growth = time.monotonic() - started, max(0, _memory("VmHWM") - before)
    if _escaped or sung:
        said = [*_escaped, *sung][0]
        wrong = f"executed or touched what it must not: {re.sub('tmp[a-z0-9_]+', '...', said):.150}"
    elif wrong is None and growth > MOST_GROWTH:
        wrong = f"took {growth / 2**20:.0f} MiB of memory"
    tally.inputs += 1
    tally.accepted += accepted and wrong is None
    tally.refused += not accepted and wrong is None
    tally.seconds, tally.growth = max(tally.seconds, took), max(tally.growth, growth)
    if wrong is not None:
        tally.findings.setdefault(wrong, content)
    return wrong


def _of_refusal(target: Target, error: NetstabError) -> str | None:
    said = str(error)
    if not any(word in said for word in target.named):
        return f"refusal names neither file nor field: {said[:150]}"
    if not all(character.isprintable() or character == "\n" for character in said):
        return f"refusal holds control characters: {said[:150]!a}"
    if len(said) > 100_000:
        return f"refusal of {len(said):,} characters"
    return None


def _where(error: BaseException) -> str:
    """The innermost line of netstab that it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f"{os.sep}netstab{os.sep}" in f.filename] or frames[-1:]
    return f"at {Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""


@contextmanager
def _alarm() -> Iterator[None]:
    def ring(_number: int, _frame: FrameType | None) -> None:
        raise EscapeError(f"takes more than {MOST_SECONDS:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _forget_peak() -> None:
    """From here on the peak of memory is counted anew, where the system can."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


def _memory(field_: str) -> int:
    try:
        with open("/proc/self/status") as file:
            line = next(line for line in file if line.startswith(field_))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(line.split()[1]) * 1024
