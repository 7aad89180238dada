"""How commands and stages end: 0 done, 1 refused or failed, 130 stopped by Ctrl-C."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from netstab.errors import NetstabError


@contextmanager
def exit_codes() -> Iterator[None]:
    """End with an exit code and a message on stderr where what is done is refused or stopped.

    Raises:
        typer.Exit: 1 after a `NetstabError`, 130 after Ctrl-C. Other errors pass: they are faults.
    """
    try:
        yield
    except NetstabError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        print("stopped; the same command goes on from what is stored", file=sys.stderr)
        raise typer.Exit(130) from None
