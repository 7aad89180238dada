"""How commands and stages end: 0 done, 1 refused or failed, 128 and its number after a signal.

So 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.

And how they speak: in whatever encoding the terminal or log has.
"""

import codecs
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from netstab import stops
from netstab.errors import NetstabError

PLAIN = str.maketrans(
    "\N{EN DASH}\N{MINUS SIGN}\N{RIGHTWARDS ARROW}\N{HORIZONTAL ELLIPSIS}", "-->."
)
"""What stands for a character that an encoding lacks; `?` for all others."""


@contextmanager
def exit_codes() -> Iterator[None]:
    """End with an exit code and a message on stderr where what is done is refused or stopped.

    From here on, output fails of no encoding: it tells of what is done, and is no part of it.

    Raises:
        SystemExit: 1 after a `NetstabError`, 128 and its number after a signal. Other errors pass:
            they are faults.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="netstab.plain")
    try:
        with stops.stoppable():
            yield
    except NetstabError as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt as stop:
        with suppress(OSError):  # of a terminal that is closed
            print("stopped; the same command goes on from what is stored", file=sys.stderr)
        raise SystemExit(128 + stops.number(stop)) from None


def _plain(error: UnicodeError) -> tuple[str, int]:
    """An error handler of codecs: a character for a character, so that tables stay aligned."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end].translate(PLAIN)
    return "".join(c if c.isascii() else "?" for c in lacking), error.end


codecs.register_error("netstab.plain", _plain)
