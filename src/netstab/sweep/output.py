"""What a worker prints, passed on line by line to the command, whose bars it would spoil."""

import io
from collections.abc import Callable


def first_line(error: BaseException) -> str:
    """What an error says, in a line; its name where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class LineWriter(io.TextIOBase):
    """A standard error that is passed on: nobody sees that of a process of Ray's, and that of a
    process of this machine's is overwritten by the command's bars.

    Args:
        tell: told every line.
    """

    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell
        self._begun = ""

    def write(self, text: str) -> int:
        """See `io.TextIOBase`."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in filter(str.strip, lines):
            self._tell(line)
        return len(text)
