"""What is decided about Ray without a Ray: where to train, what is reported, what is refused."""

import os
import sys
import time
from contextlib import ExitStack, nullcontext, redirect_stderr
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from netstab.errors import NetstabError, StoreError
from netstab.store.ledger import Ledger
from netstab.store.records import Record
from netstab.store.states import Store
from netstab.study.experiments import Run, Variant
from netstab.sweep import estimate
from netstab.sweep.jobs import Job
from netstab.sweep.ray.store_server import StoreServer
from netstab.sweep.refusals import refuse_share
from tests import pieces, small
from tests.checkout import python
from tests.pieces import mark

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra: cluster")

KEY = "a" * 64


def saved(store: Store, **changes: Any) -> Record:
    return store.save(pieces.record(**changes), pieces.holding(b"tensors"))


class Handle:
    """A server in this very process, called as Ray's actors are."""

    def __init__(self, server: StoreServer) -> None:
        self.server = server

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.server, name)
        return type("Method", (), {"remote": staticmethod(method)})


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoreServer:
    from netstab.sweep.ray import remote_store

    monkeypatch.setattr(remote_store, "asked", lambda answer: answer)
    mark(tmp_path / "here", "token")
    return StoreServer(tmp_path / "here", "token")


def test_what_a_remote_worker_cannot_use_is_set_aside_where_the_command_runs(
    server: StoreServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from netstab.sweep.ray.remote_store import RemoteMeasurements, RemoteStore

    store = RemoteStore(tmp_path / "copies", Handle(server))
    record = saved(store)
    assert store.tensors_file(record) and server.record(KEY) == record
    store.set_aside(KEY, "no reason")
    assert KEY not in store and not server.keys() and store.tensors_file(record) is None
    assert (tmp_path / "here/damaged" / f"{KEY}.json").exists()

    measurements = RemoteMeasurements(store, Handle(server))
    measurements.write(KEY, {}, {"rows": [], "provenance": {}})
    assert KEY in measurements
    measurements.set_aside(KEY)
    assert KEY not in measurements and not server.measured([KEY])
    said = capsys.readouterr().err
    assert said.count("is set aside in the command's store") == 2


def test_a_remote_node_estimates_from_what_the_store_has_measured(
    server: StoreServer, tmp_path: Path
) -> None:
    from netstab.sweep.ray.remote_store import RemoteStore

    here = small.ledger(small.params(), tmp_path / "here")
    there = Ledger(here.params, here.dataset, RemoteStore(tmp_path / "copies", Handle(server)), 1)
    work = [part for of_seed in here.outstanding().values() for part in of_seed]
    pieces.fill(here, [Run(Variant("baseline"), 0)])
    found = estimate.seconds(there, work, gpu=False, threads=1)
    assert found == estimate.seconds(here, work, gpu=False, threads=1) and found[1], "a guess"


def test_workers_of_a_remote_node_leave_each_others_copies_alone(
    server: StoreServer, tmp_path: Path
) -> None:
    from netstab.sweep.ray.remote_store import RemoteStore

    one, other = (RemoteStore(tmp_path / "copies", Handle(server)) for _ in range(2))
    interim = saved(one, interim=True)
    before = one.tensors_file(interim)
    done = other.save(pieces.record(), pieces.holding(b"later"))
    after = other.tensors_file(done)
    assert before and after and (before.read_bytes(), after.read_bytes()) == (b"tensors", b"later")
    assert one.tensors_file(done) == after and one.record(KEY) == done
    after.write_bytes(b"damaged")
    assert one.tensors_file(done) == after and after.read_bytes() == b"later", "is fetched anew"
    after.unlink()
    assert one.tensors_file(interim) == before, "a copy that is sound needs no server"
    one.remove(KEY)
    assert KEY not in other and not list((tmp_path / "copies").glob("*.safetensors"))
    assert other.tensors_file(done) is None


def test_a_remote_node_keeps_the_last_copies_and_those_that_may_be_read(
    server: StoreServer, tmp_path: Path
) -> None:
    from netstab.sweep.ray.remote_store import KEPT, READ_S, RemoteStore

    store = RemoteStore(tmp_path / "copies", Handle(server))
    records, copies = [], tmp_path / "copies"
    for number in range(KEPT + 3):
        records.append(saved(store, key=f"{number:064d}"))
    assert len(list(copies.glob("*.safetensors"))) == KEPT + 3, "somebody may be reading these"
    for number, copy in enumerate(sorted(copies.glob("*.safetensors"))):
        then = time.time() - READ_S - 100 + number
        os.utime(copy, (then, then))
    assert store.tensors_file(records[0])  # in use, and so young again
    store.save(replace(records[0], key=KEY), pieces.holding(b"tensors"))
    left = {path.name[:64] for path in copies.glob("*.safetensors")}
    assert left == {KEY, *(records[number].key for number in (0, KEPT + 1, KEPT + 2))}
    assert store.tensors_file(records[1]), "what was dropped is fetched again"


def test_copies_of_a_killed_command_go_when_the_next_one_comes_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from netstab.sweep.ray import worker

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    names = {"left": "0" * 32, "young": "1" * 32, "other": "fuzz-" + "2" * 27}
    made = {what: tmp_path / f"netstab-{name}" for what, name in names.items()}
    for what, folder in made.items():
        folder.mkdir()
        (folder / "copy").touch()
        if what != "young":
            os.utime(folder, (time.time() - 2 * worker.ABANDONED_S,) * 2)
    worker.collect_copies()
    left = {what for what, folder in made.items() if folder.exists()}
    assert left == {"young", "other"}


def test_what_a_worker_says_on_standard_error_is_told_line_by_line(tmp_path: Path) -> None:
    from netstab.sweep.output import LineWriter

    told: list[str] = []
    with redirect_stderr(LineWriter(told.append)):
        print("warning:", "one line", file=sys.stderr)
        print("\nhalf", end="", file=sys.stderr)
        assert told == ["warning: one line"]
        print(" a line", file=sys.stderr)
        Store(tmp_path).set_aside("a" * 64, "no reason")
    assert told[:2] == ["warning: one line", "half a line"]
    assert told[2].startswith(f"warning: state {'a' * 12} is set aside")


class Given:
    """A cluster's trainer that fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def train(self, *_: Any) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("CUDA out of memory\nand more"), "CUDA out of memory (too little memory?"),
        (MemoryError(), "MemoryError (too little memory?"),
        (OSError(28, "No space left on device"), "No space left on device (on here)"),
        (StoreError("the store is full"), "the store is full"),
    ],
)
def test_a_job_that_fails_says_why_and_leaves_others_alone(
    error: Exception, said: str, server: StoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from netstab.sweep.ray import worker

    monkeypatch.setattr(worker, "_trainer", lambda *_: nullcontext(Given(error)))
    monkeypatch.setattr(worker, "node_name", lambda: "here")
    monkeypatch.setattr(worker, "asked", lambda answer: answer)
    outcome = worker.train(
        Any, Handle(server), 0, Job(Run(Variant("baseline"), 0), 1, (), None), None
    )
    assert isinstance(outcome, worker.Fault) and said in str(outcome.why)
    assert "and more" not in str(outcome.why)
    after = worker.train(
        Any, Handle(server), 1, Job(Run(Variant("baseline"), 0), 2, (), 0), outcome
    )
    assert after == worker.Fault(None)


def test_a_worker_whose_command_is_asked_to_end_ends_its_job_and_begins_no_other(
    server: StoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from netstab.sweep.ray import worker

    begun = []

    def train(*_: Any) -> None:
        begun.append(True)
        server.stop()
        for _ in range(6000):
            time.sleep(0.01)

    monkeypatch.setattr(worker, "_trainer", lambda *_: nullcontext(SimpleNamespace(train=train)))
    monkeypatch.setattr(worker, "node_name", lambda: "here")
    monkeypatch.setattr(worker, "asked", lambda answer: answer)
    monkeypatch.setattr(worker, "LISTEN_S", 0.01)
    job = Job(Run(Variant("baseline"), 0), 1, (), None)
    for _ in range(2):
        assert worker.train(Any, Handle(server), 0, job, None) == worker.Fault(None)
    assert len(begun) == 1


@pytest.mark.parametrize("writable", [True, False])
def test_a_local_ray_does_without_shared_memory_that_cannot_be_written(
    writable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    from netstab.sweep.ray import start

    def refuse(**_: object) -> None:
        raise OSError(30, "Read-only file system")

    asked: dict[str, Any] = {}
    monkeypatch.setattr(ray, "init", lambda **given: asked.update(given))
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    if not writable:
        monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with start.connected(None, 1, 0):
        place = asked["_plasma_directory"]
        assert place is None if writable else Path(place).is_dir()


@pytest.mark.parametrize(
    ("share", "given", "visible", "device"),
    [
        (0.0, [], None, "cpu"),
        (1.0, ["0"], None, "cuda:0"),
        (1.0, ["3"], None, "cuda:3"),
        (0.5, ["3"], "", "cuda:3"),
        (1.0, ["5"], "4,5", "cuda:1"),
        (1.0, ["5"], "5", "cuda:0"),  # where Ray shows a task its own alone after all
        (1.0, ["GPU-b"], "GPU-a, GPU-b", "cuda:1"),
        (2.0, ["2", "3"], None, "cuda:2"),
        (1.0, [], None, "cuda"),
        (1.0, ["MIG-x"], None, "cuda"),
    ],
)
def test_a_task_trains_on_the_gpu_that_ray_gave_it(
    share: float, given: list[str], visible: str | None, device: str
) -> None:
    from netstab.sweep.ray.worker import device_of

    assert device_of(share, given, visible) == device


def test_every_gpu_has_a_worker_before_any_has_a_second() -> None:
    from netstab.sweep.ray import places

    def take(held: ExitStack, before: str | None = None) -> str:
        return held.enter_context(places.taken("a" * 32, 2, 0.5, before))

    with ExitStack() as first, ExitStack() as others:
        assert take(first) == "cuda:0"
        assert [take(others) for _ in range(3)] == ["cuda:1", "cuda:0", "cuda:1"]
        first.close()
        assert take(others, "cuda:1") == "cuda:0", "a place of its own before the GPU of before"
    with ExitStack() as held:
        assert [take(held, "cuda:1") for _ in range(2)] == ["cuda:1", "cuda:0"]


@pytest.mark.long
def test_workers_with_a_share_of_a_gpu_spread_over_the_gpus_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from netstab.sweep.ray import start

    for name, value in {**start.LOCAL, **start.ALWAYS, "RAY_AUTH_TOKEN": "6" * 64}.items():
        monkeypatch.setenv(name, value)
    code = (
        "import ray, sys, time\n"
        "from pathlib import Path\n"
        "from netstab.sweep.ray import places, start\n"
        "ray.init(address='local', num_cpus=4, num_gpus=2, include_dashboard=False,\n"
        "    object_store_memory=2**27, **start.SILENT)\n"
        "def work(number, many, folder):\n"
        "    with places.taken('b' * 32, 2, 0.5, None) as device:\n"
        "        Path(folder, str(number)).touch()\n"
        "        while len(list(Path(folder).iterdir())) < many: time.sleep(0.05)\n"
        "        return device\n"
        "for many in (2, 4):\n"
        "    folder = Path(sys.argv[1], str(many))\n"
        "    folder.mkdir()\n"
        "    task = ray.remote(work).options(num_cpus=1, num_gpus=0.5)\n"
        "    found = [task.remote(n, many, str(folder)) for n in range(many)]\n"
        "    print(*sorted(ray.get(found, timeout=300)))\n"
    )
    done = python("-c", code, str(tmp_path), CUDA_VISIBLE_DEVICES="0,1")
    assert done.stdout.splitlines() == ["cuda:0 cuda:1", "cuda:0 cuda:0 cuda:1 cuda:1"]


@pytest.mark.parametrize("gpus", [1.5, -1, 0.001, float("nan"), float("inf")])
def test_what_is_no_share_of_a_gpu_is_refused(gpus: float) -> None:
    with pytest.raises(NetstabError, match="a whole number of GPUs, or a share of one"):
        refuse_share(gpus)


def test_a_share_that_ray_can_hand_out_is_not_refused() -> None:
    for gpus in (None, 0.0, 0.01, 0.5, 1.0, 8.0):
        refuse_share(gpus)


@pytest.mark.parametrize(
    ("device", "gpus", "there", "address", "outcome"),
    [
        ("auto", None, 0, None, 0.0),
        ("auto", None, 2, None, 1.0),
        ("auto", 0.5, 2, None, 0.5),
        ("auto", 0.0, 2, None, 0.0),
        ("cpu", None, 2, None, 0.0),
        ("auto", 1.0, 0, "auto", 1.0),  # a cluster may grow
        ("auto", 1.0, 0, None, "Ray finds 0 GPUs on this machine"),
        ("cpu", 1.0, 2, "auto", "says device: cpu"),
        ("cuda", 0.0, 2, "auto", "--gpus-per-worker 0, but params.yaml says device: cuda"),
        ("cuda:1", None, 0, "auto", "Ray has no GPU, but params.yaml says device: cuda:1"),
    ],
)
def test_workers_have_the_gpus_that_are_asked_for_or_the_command_says_why_not(
    device: str,
    gpus: float | None,
    there: int,
    address: str | None,
    outcome: float | str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from netstab.sweep.ray import resources

    monkeypatch.setattr(resources, "alive", lambda: [{"Resources": {"CPU": 4.0, "GPU": there}}])
    params = small.params(runtime={"device": device})
    if isinstance(outcome, str):
        with pytest.raises(NetstabError, match=outcome):
            resources.share_of(params, gpus, address)
        return
    assert resources.share_of(params, gpus, address) == outcome
    assert resources.params_of(params, 3, gpus).runtime.device == ("cpu" if gpus == 0 else device)


@pytest.mark.parametrize(
    ("share", "workers"), [(0.0, 8), (0.1, 8), (0.3, 6), (0.6, 2), (1.0, 2), (2.0, 1), (4.0, 0)]
)
def test_a_node_has_room_for_as_many_workers_as_ray_puts_on_it(share: float, workers: int) -> None:
    from netstab.sweep.ray.resources import room

    assert room({"CPU": 16.0, "GPU": 2.0}, share, 2) == workers
