"""One thread a process: tests run side by side, and bits depend on the number of threads."""

import os

os.environ["OMP_NUM_THREADS"] = "1"

from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from tests.synthetic_report import Reported

torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
    # The longest first: one process has what shares the pipelines' base clone, the other the rest.
    # That one begins with the Ray cluster: Ray keeps to what its first use in a process found set.
    first = ("test_pipeline", "test_cluster")
    items.sort(key=lambda item: [not item.path.name.startswith(name) for name in first])


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> "Reported":
    """A whole study with its report; tests only read it, and are marked `in_one_process`."""
    from tests import synthetic_report  # drawing needs a second to be imported

    return synthetic_report.make(tmp_path_factory.mktemp("whole"))
