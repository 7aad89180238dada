"""`netstab sweep` in a real pipeline: the same bits, each epoch once, and no harm by kills."""

import json
import re
import shutil
import signal
import subprocess
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from tests.checkout import NETSTAB
from tests.pipeline_helpers import STUDY, Clone, wait_for

pytestmark = pytest.mark.xdist_group("sweeps")

LOOPBACK = {"127.0.0.1", "::ffff:127.0.0.1", "::1"}


@pytest.fixture
def clone(clone: Clone) -> Clone:
    clone.change(runtime={"workers": 2, "threads": 1})
    return clone


def emptied(clone: Clone) -> dict[str, str]:
    """Remove the store; what it held."""
    states = clone.states()
    shutil.rmtree(clone.root / ".netstab/store")
    return states


class Swept:
    """A sweep under way."""

    def __init__(self, clone: Clone, *options: str) -> None:
        self.said = clone.root.parent / "swept"
        self.said.unlink(missing_ok=True)
        command = (*NETSTAB, "sweep", *options)
        self.process = clone.start(*command, output=self.said, PYTHONPATH="src")

    def insist(self) -> None:
        """Ctrl-C, and once more where it waits for an epoch to end that a gate holds up."""
        self.process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            self.process.wait(1.5)
        self.process.send_signal(signal.SIGINT)


def epochs(clone: Clone) -> Counter[str]:
    """How often each epoch was trained, by the weights that it started from, and its settings."""
    return Counter(f"{row['start']} {row['settings']}" for row in clone.trained())


@pytest.mark.long
def test_dvc_trains_the_whole_study_in_its_first_stage_each_epoch_once_in_two_processes(
    clone: Clone,
) -> None:
    shutil.rmtree(clone.root / "metrics/runs/expB-64-0")  # not of the smaller study
    shutil.rmtree(clone.root / "metrics/runs/expB-512-0")
    expected, before = emptied(clone), clone.files("metrics/runs")
    shutil.rmtree(clone.root / "metrics/runs")
    clone.change(runtime={"sweep": True}, experiments=[])
    said = clone.dvc("repro").output
    assert said.count("epochs done in") == 1, "one stage trains for all"
    assert "Running stage 'report'" in said
    assert set(epochs(clone).values()) == {1}
    assert len({row["pid"] for row in clone.trained()}) == 2
    states = clone.states()
    assert states and states == {key: expected[key] for key in states}
    after = clone.files("metrics/runs")
    assert after.keys() == before.keys()
    for name, content in before.items():
        if not name.endswith(("provenance.json", "sharpness.json")):  # these have times
            assert after[name] == content, name


def barriers(clone: Clone) -> dict[Path, list[dict[str, float]]]:
    """Losses on each line that is stored, by the measurement's file."""
    files = (clone.root / ".netstab/store/measurements").glob("*.json")
    told = {path: json.loads(path.read_text()) for path in files}
    return {p: c["entry"]["rows"] for p, c in told.items() if c["inputs"]["measure"] == "barrier"}


@pytest.mark.long
def test_a_sweep_measures_barriers_of_stored_states_to_the_same_bits_in_any_number_of_processes(
    clone: Clone,
) -> None:
    clone.change(measure={"barriers": {"images": 8, "points": 3}})
    assert "measuring barriers between states of a seed (13)" in clone.netstab("sweep").text
    found = barriers(clone)
    assert len(found) == 13 and not clone.trained()
    assert "nothing to train" in clone.netstab("sweep").text
    assert clone.dvc("repro").stages == ["settings", "report"]
    told = json.loads(clone.read("metrics/barriers.json"))
    assert told["missing"] == [] and len(told["barriers"]) == 13
    for path in found:
        path.unlink()
    clone.change(runtime={"workers": 1})
    clone.netstab("sweep")
    assert barriers(clone) == found


@pytest.mark.long
def test_a_sweep_survives_the_loss_of_a_process_or_of_all_and_comes_to_the_same_bits(
    clone: Clone,
) -> None:
    expected = emptied(clone)
    # Baseline and outpost, which part at 3, side by side.
    clone.change(experiments=[], expE={}, own={})
    clone.close_gate(5)
    swept = Swept(clone)
    wait_for(lambda: any(row["epoch"] == 5 for row in clone.trained()), "the gate")
    psutil.Process(clone.trained()[-1]["pid"]).kill()
    assert swept.process.wait(60) == 1
    assert "a training process died" in swept.said.read_text()
    assert "runtime.workers=1" in swept.said.read_text()

    for how, code in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        swept, count = Swept(clone), len(clone.trained())
        wait_for(lambda count=count: len(clone.trained()) > count, "the gate again")  # type: ignore[misc]
        workers = psutil.Process(swept.process.pid).children(recursive=True)
        swept.insist() if how == signal.SIGINT else swept.process.kill()
        assert swept.process.wait(60) == code
        _, alive = psutil.wait_procs(workers, timeout=60)
        assert not alive, "workers outlive their parent"
        assert ("stopped; the same command goes on" in swept.said.read_text()) == (code == 130)

    clone.open_gates()
    assert "2 processes side by side, 1 CPU thread each" in clone.netstab("sweep").text
    states = clone.states()
    assert states and states == {key: expected[key] for key in states}
    assert "nothing to train" in clone.netstab("sweep").text


@pytest.mark.long
@pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra: cluster")
def test_a_sweep_by_ray_listens_on_loopback_alone_is_stopped_goes_on_and_dvc_collects_it(
    clone: Clone,
) -> None:
    expected = emptied(clone)
    # Several workers are the matter of `test_cluster`.
    clone.change(experiments=[], expE={"ema": STUDY["expE"]["ema"]}, runtime={"workers": 1})
    clone.change(measure={"barriers": {"images": 8, "points": 3}})
    clone.close_gate(5)
    swept = Swept(clone, "--ray")
    wait_for(lambda: any(row["epoch"] == 5 for row in clone.trained()), "the gate")
    parent = psutil.Process(swept.process.pid)
    processes = [parent, *parent.children(recursive=True)]
    assert {"gcs_server", "raylet"} <= {process.name() for process in processes}
    heard_at = [
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections(kind="inet")
        if connection.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)
    ]
    assert heard_at and set(heard_at) <= LOOPBACK
    (raylet,) = (process for process in processes if process.name() == "raylet")
    (own,) = set(re.findall(r"/[\w/]*/netstab-ray-\w+", " ".join(raylet.cmdline())))
    assert Path(own).stat().st_mode & 0o777 == 0o700
    swept.insist()
    assert swept.process.wait(60) == 130, swept.said.read_text()
    _, alive = psutil.wait_procs(processes, timeout=60)
    assert not alive, "Ray outlives its command"
    assert not Path(own).exists()
    assert "stopped; the same command goes on" in swept.said.read_text()

    clone.open_gates()
    clone.netstab("sweep", "--ray")
    states = clone.states()
    assert states and states == {key: expected[key] for key in states}
    assert len(barriers(clone)) == 4
    trained = len(clone.trained())
    shutil.rmtree(clone.root / "metrics/runs")
    clone.dvc("repro", "reference", "rival")
    assert len(clone.trained()) == trained, "dvc had to train"
    assert "Ray node" in clone.read("metrics/runs/baseline-0/provenance.json")
    assert not list(Path(clone.environment()["HOME"]).rglob("auth_token"))


@pytest.mark.long
def test_a_run_that_cannot_be_trained_is_named_and_the_others_are_trained(clone: Clone) -> None:
    # What follows on the fault in the same run is lost with it; the other run has nothing of it.
    clone.change(own={"bad": {"64": {"60": 1e30}}, "good": {"64": {"60": 0.05}}})
    refused = clone.netstab("sweep", code=1).text
    assert "own-bad-0: the training loss is not finite at epoch 3" in refused
    assert "lower train.learning_rate or the rate of the intervention" in refused
    assert {row["epoch"] for row in clone.trained()} >= set(range(3, 10)), "own-good is trained"
    assert clone.dvc("repro", "own@good-0").stages


def test_a_sweep_without_a_usable_parameter_file_says_what_is_wrong(clone: Clone) -> None:
    clone.change(runtime={"workers": 0})
    assert "runtime.workers" in clone.netstab("sweep", code=1).text
