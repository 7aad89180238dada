"""What netstab refuses, and why. Every message names what was wrong and what to do."""

from collections.abc import Mapping, Sequence
from typing import Any


def visible(text: str) -> str:
    """A text that moves no cursor and hides nothing: other than letters and breaks as escapes.

    Names from data, the store or parameters may hold what a terminal takes for commands.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text
    )


class NetstabError(Exception):
    """Base of every error that a user can cause and can do something about.

    Errors cross processes by pickle, which calls the class with `args`: an error that needs more
    than one argument hands all of them to `Exception`, and makes its message in `__str__`.
    """

    def __str__(self) -> str:
        return visible(super().__str__())


class ParameterError(NetstabError):
    """`params.yaml` cannot be used; carries every fault found, each named by its key.

    Attributes:
        source: the file.
        faults: one line a fault, `key: what is wrong; what to do`.
    """

    def __init__(self, source: str, faults: list[str]) -> None:
        super().__init__(source, faults)
        self.source = source
        self.faults = faults

    def __str__(self) -> str:
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        lines = [f"{self.source}: {count}", *(f"  {fault}" for fault in self.faults)]
        return visible("\n".join(lines))


class DataError(NetstabError):
    """Images or labels are missing, damaged, unsafe to read, or other than promised."""


class StoreError(NetstabError):
    """The store of states cannot be read or written."""


class TrainingError(NetstabError):
    """Training was refused or had to stop."""


class DivergedError(TrainingError):
    """A loss is not finite, so that a run cannot be trained to its end.

    Attributes:
        why: what is not finite, and where; without the run's name.
        history: a row for each epoch before.
        segments: what trained these.
    """

    def __init__(
        self,
        message: str,
        why: str = "",
        history: Sequence[Mapping[str, Any]] = (),
        segments: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(message)
        self.why = why or message
        self.history, self.segments = history, segments
