"""What is decided about Ray without a Ray: where to train, what to hear, what to refuse."""

import sys
from contextlib import redirect_stderr
from importlib.util import find_spec
from pathlib import Path

import pytest

from netstab.training.store import Store

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra: cluster")


def test_what_a_worker_says_on_standard_error_is_told_line_by_line(tmp_path: Path) -> None:
    from netstab.cluster.worker import Lines

    told: list[str] = []
    with redirect_stderr(Lines(told.append)):
        print("warning:", "one line", file=sys.stderr)
        print("\nhalf", end="", file=sys.stderr)
        assert told == ["warning: one line"]
        print(" a line", file=sys.stderr)
        Store(tmp_path).set_aside("a" * 64, "no reason")
    assert told[:2] == ["warning: one line", "half a line"]
    assert told[2].startswith(f"warning: state {'a' * 12} is set aside")
