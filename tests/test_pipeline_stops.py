"""Commands and stages that are asked to end, as by a batch scheduler, save first and say so."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from tests.pipeline_helpers import Clone, wait_for

pytestmark = pytest.mark.xdist_group("sweeps")

STAGE = ("-m", "netstab.stages.train", "outpost", "0")
NETSTAB = ("-c", "from netstab.cli import app; app()")
HEARD = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.fixture
def clone(clone: Clone) -> Clone:
    """A checkout without states, whose two runs part at epoch 3; it stops before epoch 5."""
    shutil.rmtree(clone.root / ".netstab/store")
    clone.change(experiments=[], expE={}, own={})
    clone.change(runtime={"workers": 2, "keep_every": 1000})
    clone.close_gate(5)
    return clone


def end(
    clone: Clone, command: tuple[str, ...], how: int, send: Callable[[int, int], None] = os.kill
) -> str:
    """Ask a command to end while it trains epoch 5; what it said."""
    said = clone.root.parent / "said"
    # Real processes, which hear signals.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    process = clone.start(sys.executable, *command, output=said, PYTHONPATH="src", PATH=path)
    try:
        wait_for(lambda: any(row["epoch"] == 5 for row in clone.trained()), "the gate")
        processes = psutil.Process(process.pid).children(recursive=True)
        send(process.pid, how)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)  # it trains the epoch to its end
        clone.open_gates()
        assert process.wait(60) == HEARD[signal.Signals(how)], said.read_text()
        _, alive = psutil.wait_procs(processes, timeout=60)
        assert not alive, "processes outlive their command"
    finally:
        clone.open_gates()
        process.kill()
    text = said.read_text()
    assert "leaked" not in text and "Traceback" not in text
    return text


def assert_saved_at_6(clone: Clone, said: str) -> None:
    assert said.rstrip().endswith("stopped; the same command goes on from what is stored")
    records = (clone.root / ".netstab/store/states").glob("*.json")
    interim = [
        told["epoch"] for told in map(json.loads, map(Path.read_text, records)) if told["interim"]
    ]
    assert interim and set(interim) <= {5, 6} and 6 in interim
    assert not list((clone.root / ".netstab/store/states").glob("*.part"))


@pytest.mark.long
def test_a_stage_that_is_ended_at_a_time_limit_has_saved_the_epoch_under_way(clone: Clone) -> None:
    said = end(clone, STAGE, signal.SIGTERM)
    assert "stopping once the epoch under way is saved; once more stops at once" in said
    assert_saved_at_6(clone, said)


@pytest.mark.long
@pytest.mark.parametrize(
    ("how", "send"),
    [(signal.SIGTERM, os.killpg), (signal.SIGHUP, os.killpg), (signal.SIGINT, os.kill)],
)
def test_a_sweep_that_is_ended_has_saved_the_epochs_under_way(
    how: int, send: Callable[[int, int], None], clone: Clone
) -> None:
    assert_saved_at_6(clone, end(clone, (*NETSTAB, "sweep"), how, send))


@pytest.mark.long
@pytest.mark.parametrize("how", HEARD)
def test_a_study_that_is_ended_has_saved_the_epochs_under_way(how: int, clone: Clone) -> None:
    # The demo, in the size of the checkout's own study.
    sized = [
        *("data.image_size=8", "model.width=2", "train.time_scale=0.05", "train.batch_size=512"),
        *("measure.stability.images=8", "measure.sharpness.images=8"),
    ]
    overrides = [word for one in sized for word in ("-S", one)]
    said = end(clone, (*NETSTAB, "study", "demo", *overrides), how)
    assert_saved_at_6(clone, said)
    assert not list((clone.root / ".dvc/tmp/exps/standalone").glob("tmp*"))


@pytest.mark.long
@pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra: cluster")
@pytest.mark.parametrize("how", HEARD)
def test_a_sweep_by_ray_that_is_ended_has_saved_the_epochs_under_way(
    how: int, clone: Clone
) -> None:
    assert_saved_at_6(clone, end(clone, (*NETSTAB, "sweep", "--ray"), how))
