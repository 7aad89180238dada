"""A sweep by Ray on several real nodes of this machine: the same bits, also when one is lost."""

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from netstab.data.dataset import Dataset
from netstab.data.manifest import Manifest, read_manifest
from netstab.data.prepare import prepare
from netstab.errors import TrainingError
from netstab.params import Params
from netstab.store.ledger import Ledger
from netstab.store.records import Record
from netstab.store.settings import versions
from netstab.store.states import Store
from netstab.study.experiments import runs
from netstab.sweep.display import Display
from netstab.sweep.events import WorkerEvent
from netstab.sweep.jobs import jobs
from netstab.sweep.ray import start
from netstab.training.trainer import Trainer
from tests import small
from tests.pipeline_helpers import STUDY

pytestmark = [
    pytest.mark.long,
    pytest.mark.xdist_group("ray"),
    pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra: cluster"),
]

FEW_RUNS = {
    "seeds": [0],
    "experiments": [],
    "blocks": small.SHIPPED["blocks"],
    "expE": {"ema": STUDY["expE"]["ema"]},
    # Its first step leads nowhere.
    "own": {"bad": {"64": {"60": 1e30}}},
    # 20 epochs of 22 steps; the outpost leaves at 6, and so does the run that cannot be trained.
    "train": {**STUDY["train"], "time_scale": 0.1, "batch_size": 64},
    # Every epoch is saved, and nothing kept but branch points and ends.
    "runtime": {**STUDY["runtime"], "save_interval_s": 1e-6, "keep_every": 1000},
}


def study(**changes: Any) -> Params:
    return small.params(**{**STUDY, **FEW_RUNS, **changes})


def ledger(params: Params, manifest: Manifest, store: Path) -> Ledger:
    return Ledger(params, Dataset.prepared(manifest), Store(store), *versions())


def states(store: Path) -> dict[str, Record]:
    there = Store(store)
    return {key: record for key in there.listing() if (record := there.record(key))}


def bits(store: Path) -> dict[str, str]:
    return {key: record.sha256 for key, record in states(store).items()}


class Nodes:
    """Ray's nodes, of which all but the first train."""

    def __init__(self, store: Path) -> None:
        from ray.cluster_utils import Cluster

        # Where each of them finds the shared store; a command with another one is remote.
        self.shared = store
        self._of = {"env_vars": {"NETSTAB_STORE": str(store)}}
        quick = {"health_check_period_ms": 300, "health_check_failure_threshold": 3}
        self.cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "_system_config": quick, **self._of},
        )
        self.add()
        self.add()

    def add(self) -> None:
        """One more."""
        self.cluster.add_node(num_cpus=1, **self._of)

    def lose(self, name: str) -> None:
        """Kill a node as a power cut would; `name` is the end of what a worker calls it."""
        (node,) = (n for n in self.cluster.worker_nodes if name.endswith(n.node_id[:8]))
        self.cluster.remove_node(node, allow_graceful=False)


class Watcher(Display):
    """Keeps events, and does something at a job's first epoch behind a given one."""

    def __init__(self, of: Ledger) -> None:
        self.told = io.StringIO()
        super().__init__(of, Console(file=self.told, width=300))
        self.events: list[WorkerEvent] = []
        self.when: Any = None

    def update(self, event: WorkerEvent) -> None:
        super().update(event)
        self.events.append(event)
        if self.when:
            self.when(event)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkout, as far as data goes; the tests work in it."""
    root, before = tmp_path_factory.mktemp("cluster"), Path.cwd()
    prepare(study(), root)
    os.chdir(root)
    yield root
    os.chdir(before)


@pytest.fixture(scope="module")
def manifest(folder: Path) -> Manifest:
    return read_manifest(folder)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    # Ray reads some of these when it is imported, which is here.
    with environment(RAY_AUTH_TOKEN="5" * 64, **start.LOCAL, **start.ALWAYS):
        made = Nodes(tmp_path_factory.mktemp("store") / "shared")
        yield made
        made.cluster.shutdown()


@contextmanager
def environment(**changes: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in changes.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def plain(manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that was filled in this very process, run by run."""
    store = tmp_path_factory.mktemp("plain") / "store"
    of = ledger(study(), manifest, store)
    trainer = Trainer(of, manifest)
    for run in (run for run in runs(of.params) if run.variant.experiment != "own"):
        trainer.train(run, small.silent, small.silent)
    return store


def sweep(of: Ledger, manifest: Manifest, watcher: Watcher, address: str) -> None:
    from netstab.sweep.ray.pool import sweep as by_ray  # imports Ray

    by_ray(of, manifest, watcher, address=address)


@pytest.mark.parametrize("remote", [False, True], ids=["shared store", "no shared store"])
def test_a_job_whose_node_is_lost_goes_on_elsewhere_to_the_same_bits_and_faults_stay_alone(
    remote: bool, folder: Path, manifest: Manifest, nodes: Nodes, plain: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store" if remote else nodes.shared
    of = ledger(study(), manifest, store)
    todo = jobs(of)
    (number,) = (n for n, j in enumerate(todo) if (j.run.name, j.end) == ("baseline-0", 20))
    where: dict[int, str] = {}
    lost: list[str] = []

    def lose(event: WorkerEvent) -> None:
        if event.begins:
            where[event.job] = event.text.removeprefix("on ")
        # Of an epoch is told before its state is saved: the one before it is by then.
        elif event.job == number and not lost and event.epoch in range(7, 16):
            lost.append(where[number])
            nodes.lose(where[number])

    with pytest.raises(TrainingError) as refused:
        watcher = Watcher(of)
        watcher.when = lose
        sweep(of, manifest, watcher, address=nodes.cluster.address)
    nodes.add()
    assert str(refused.value).startswith("own-bad-0: the training loss is not finite at epoch 6")
    assert {left.run.name for left in jobs(of)} == {"own-bad-0"}, "others are not done, or measured"
    assert bits(store) == bits(plain)

    assert lost, "no node was lost in mid-segment"
    before, after = states(store)[of.key(todo[number].run, 20)].provenance[-2:]
    assert lost[0] == before["host"] != after["host"]
    assert 6 == before["from"] < before["to"] == after["from"] < after["to"] == 20
    begun = f"baseline-0: its node or process was lost; begun again on {after['host']}"
    assert begun in watcher.told.getvalue()
    told = [(event.job, event.epoch) for event in watcher.events if event.epoch is not None]
    assert len(told) - len(set(told)) <= 1, "more than the epoch under way was trained twice"
    assert not list((store / "drivers").iterdir()), "a mark stays behind"
    copies = Path(tempfile.gettempdir()).glob("netstab-*/*.safetensors")
    assert not list(copies), "copies stay behind"
