"""One thread a process: tests run side by side, and bits depend on the number of threads."""

import gc
import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["DVC_NO_ANALYTICS"] = "true"  # no process of the tests uses the network

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests import forks

if TYPE_CHECKING:
    from netstab.store.ledger import Ledger
    from tests.pipeline_helpers import Clone
    from tests.repository import Repository
    from tests.synthetic_report import Reported

torch.set_num_threads(1)
# Modules alone are a million objects, which looking for garbage goes through again and again.
gc.set_threshold(100_000, 20, 100)

forks.forget_to_sync()

FIRST = ("pipeline", "ray", "sweeps", "report", "torture", "null", "engine", "same_bits")
"""Groups and files whose tests take longest, in this order."""


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # once for all of xdist's processes
        forks.start()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
    # The longest first, so that processes end together. Those behind the first begin with the Ray
    # cluster: Ray keeps to what its first use in a process found set.
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    marker = item.get_closest_marker("xdist_group")
    names = (marker.args[0] if marker else "", item.path.stem.removeprefix("test_"))
    return next((i for i, name in enumerate(FIRST) if name in names), len(FIRST))


@pytest.fixture(scope="session", autouse=True)
def signals() -> None:
    """As in a terminal, also where `nohup` or a shell's background has some ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def repository(root: Path, monkeypatch: pytest.MonkeyPatch) -> "Repository":
    """A git repository with nothing of the machine's own settings, which is the working folder."""
    from tests.repository import Repository

    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    return Repository(root)


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Path]:
    """Makes files of pieces, each trained in a store of its own; see `pieces.maker`."""
    from tests import pieces

    return pieces.maker(tmp_path)


@pytest.fixture
def here(tmp_path: Path) -> "Ledger":
    """The ledger of a machine that has trained nothing."""
    from tests import pieces

    return pieces.ledger_on(tmp_path / "here")


@pytest.fixture
def clone(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Clone]":
    """A clone of the project with a study that has been trained, for one test.

    Afterwards its trainers go on to their end, and its files go.
    """
    from tests.pipeline_helpers import make_clone

    made = make_clone(tmp_path_factory, tmp_path / "clone")
    yield made
    made.open_gates()
    shutil.rmtree(made.root, ignore_errors=True)


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser; its tests are marked `in_one_process`."""
    from tests.chromium import chromium

    with chromium(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> "Reported":
    """A whole study with its report; tests only read it, and are marked `in_one_process`."""
    from tests import synthetic_report  # drawing needs a second to be imported

    return synthetic_report.make(tmp_path_factory.mktemp("whole"))
