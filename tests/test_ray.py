"""What is decided about Ray without a Ray: where to train, what to hear, what to refuse."""

import sys
from contextlib import redirect_stderr
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from netstab.cluster.depot import Depot, mark
from netstab.errors import StoreError
from netstab.study.experiments import Run, Variant
from netstab.training.jobs import Job
from netstab.training.store import Record, Store

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra: cluster")

KEY = "a" * 64


def written(path: Path) -> None:
    path.write_bytes(b"tensors")


def later(path: Path) -> None:
    path.write_bytes(b"later")


def saved(store: Store, *, interim: bool = False) -> Record:
    return store.save(Record(KEY, "baseline-0", 1, {}, [{"epoch": 0}], [], interim), written)


class Handle:
    """A depot in this very process, called as Ray's actors are."""

    def __init__(self, depot: Depot) -> None:
        self.depot = depot

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.depot, name)
        return type("Method", (), {"remote": staticmethod(method)})


@pytest.fixture
def depot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Depot:
    from netstab.cluster import far

    monkeypatch.setattr(far, "asked", lambda answer: answer)
    mark(tmp_path / "here", "token")
    return Depot(tmp_path / "here", "token")


def test_what_a_far_worker_cannot_use_is_set_aside_where_the_command_runs(
    depot: Depot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from netstab.cluster.far import FarNotebook, FarStore

    store = FarStore(tmp_path / "copies", Handle(depot))
    record = saved(store)
    assert store.tensors_file(record) and depot.record(KEY) == record
    store.set_aside(KEY, "no reason")
    assert KEY not in store and not depot.keys() and store.tensors_file(record) is None
    assert (tmp_path / "here/damaged" / f"{KEY}.json").exists()

    notebook = FarNotebook(store, Handle(depot))
    notebook.write(KEY, {}, {"rows": [], "provenance": {}})
    assert KEY in notebook
    notebook.set_aside(KEY)
    assert KEY not in notebook and not depot.measured([KEY])
    said = capsys.readouterr().err
    assert said.count("is set aside in the command's store") == 2


def test_workers_of_a_far_node_leave_each_others_copies_alone(depot: Depot, tmp_path: Path) -> None:
    from netstab.cluster.far import FarStore

    one, other = (FarStore(tmp_path / "copies", Handle(depot)) for _ in range(2))
    interim = saved(one, interim=True)
    before = one.tensors_file(interim)
    done = other.save(Record(KEY, "baseline-0", 1, {}, [{"epoch": 0}], [], False), later)
    after = other.tensors_file(done)
    assert before and after and (before.read_bytes(), after.read_bytes()) == (b"tensors", b"later")
    assert one.tensors_file(done) == after and one.record(KEY) == done
    after.write_bytes(b"damaged")
    assert one.tensors_file(done) == after and after.read_bytes() == b"later", "is fetched anew"
    after.unlink()
    assert one.tensors_file(interim) == before, "a copy that is sound needs no depot"
    one.remove(KEY)
    assert KEY not in other and not list((tmp_path / "copies").glob("*.safetensors"))
    assert other.tensors_file(done) is None


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
    error: Exception, said: str, depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    from netstab.cluster import worker

    monkeypatch.setattr(worker, "_trainer", lambda *_: Given(error))
    monkeypatch.setattr(worker, "node_name", lambda: "here")
    outcome = worker.do(Any, Handle(depot), 0, Job(Run(Variant("baseline"), 0), 1, (), None), None)
    assert isinstance(outcome, worker.Fault) and said in str(outcome.why)
    assert "and more" not in str(outcome.why)
    after = worker.do(Any, Handle(depot), 1, Job(Run(Variant("baseline"), 0), 2, (), 0), outcome)
    assert after == worker.Fault(None)
