"""No epoch is trained twice, and nothing that happens to the store costs more than epochs."""

import errno
import json
import os
import random
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from netstab import paths
from netstab.errors import StoreError
from netstab.locks import is_locked, shared_with_children
from netstab.params import Params
from netstab.results.schema import Row
from netstab.store.housekeeping import entries, garbage, remove, verify
from netstab.store.ledger import Ledger
from netstab.store.records import Record
from netstab.store.states import Store
from netstab.study.experiments import Run, runs
from netstab.study.plan import Work, kept_epochs
from netstab.sweep import estimate
from netstab.training import state, trajectory
from netstab.training.context import EngineContext
from tests import forks, pieces, small


def study(**changes: Any) -> Params:
    """Baseline and outpost: one branch at 3, ends at 10, nothing kept in between."""
    changes["runtime"] = {"keep_every": 1000, **changes.get("runtime", {})}
    return small.params(**{"experiments": [], "own": {}, "expE": {}, **changes})


def files(store: Store) -> set[str]:
    return {path.name for path in store.states.glob("*")}


def tensors_of(store: Store, key: str) -> Path:
    """The file with a state's tensors."""
    (path,) = store.states.glob(f"{key}*.safetensors")
    return path


def put(ledger: Ledger, name: str, epoch: int, **changes: Any) -> str:
    """A made-up state under the key that the ledger looks for."""
    run = small.run(ledger.params, name)
    inputs = ledger.inputs(run, epoch)
    record = pieces.record(ledger.key(run, epoch), epoch, run=run.name, inputs=inputs, **changes)
    return ledger.store.save(record, pieces.holding(b"state")).key


def train(ledger: Ledger, name: str) -> tuple[Record, list[int]]:
    """Train a run; its record, and the epochs that it took."""
    trained: list[int] = []

    def epoch_done(run: Run, row: Row, seconds: float) -> None:
        trained.append(int(row["epoch"]))

    context = small.context(ledger.params)
    run = small.run(ledger.params, name)
    return trajectory.train(ledger, run, context, epoch_done), trained


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with baseline and outpost; copied, never changed."""
    root = tmp_path_factory.mktemp("complete")
    ledger = small.ledger(study(), root)
    assert train(ledger, "baseline")[1] == list(range(10))
    assert train(ledger, "outpost")[1] == list(range(3, 10))
    return root


@pytest.fixture
def ledger(complete: Path, tmp_path: Path) -> Ledger:
    """A ledger on a copy of the complete store."""
    return small.ledger(study(), Path(shutil.copytree(complete, tmp_path / "store")))


# Written and read


def test_a_state_reads_back_as_it_was_saved(tmp_path: Path) -> None:
    store = Store(tmp_path / "new" / "folder")
    tensors = {"model.a": torch.tensor([1.0, float("nan"), -0.0]), "model.b": torch.arange(5)}
    saved = store.save(pieces.record(), lambda path: state.write(tensors, path))
    assert saved == replace(pieces.record(), sha256=saved.sha256, size=saved.size)
    found = Store(store.root).record("a" * 64)
    assert found == saved
    assert found is not None
    path = store.tensors_file(found)
    assert path is not None
    assert path.stat().st_size == found.size
    assert state.equal(state.read(path), tensors)
    assert store.listing() == {"a" * 64}
    assert "a" * 64 in store
    assert files(store) == {
        f"{'a' * 64}.json",
        f"{'a' * 64}-{found.sha256[:16]}.safetensors",
    }


def test_a_store_that_is_not_there_is_empty(tmp_path: Path) -> None:
    store = Store(tmp_path / "none")
    assert store.listing() == set()
    assert store.record("a" * 64) is None
    assert "a" * 64 not in store
    assert verify(store) == (0, 0)
    assert not store.root.exists()


def test_a_state_saved_again_replaces_the_one_before(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(pieces.record(interim=True), pieces.holding(b"before"))
    saved = store.save(pieces.record(), pieces.holding(b"after"))
    assert store.record("a" * 64) == saved
    assert verify(store) == (1, 0)


def test_what_is_no_safetensors_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    path.write_bytes(b"no tensors")
    with pytest.raises(StoreError, match=r"state\.safetensors: is no readable state"):
        state.read(path)


# Damaged


def flip(path: Path, position: int, bit: int = 0) -> None:
    damaged = bytearray(path.read_bytes())
    damaged[position] ^= 1 << bit
    path.write_bytes(damaged)


def cut(path: Path, share: float) -> None:
    text = path.read_bytes()
    path.write_bytes(text[: int(len(text) * share)])


Damage = Callable[[Path, Path], object]
DAMAGES: dict[str, Damage] = {
    "record empty": lambda record, tensors: cut(record, 0),
    "record cut at a tenth": lambda record, tensors: cut(record, 0.1),
    "record cut at the half": lambda record, tensors: cut(record, 0.5),
    "record cut before its last byte": lambda record, tensors: cut(record, 0.99999),
    "record with a bit flipped": lambda record, tensors: flip(record, 40),
    "record is a list": lambda record, tensors: record.write_text("[]"),
    "record is a number": lambda record, tensors: record.write_text("17"),
    "record is of zeros": lambda record, tensors: record.write_bytes(bytes(500)),
    "record without a field": lambda record, tensors: record.write_text(
        record.read_text().replace('"epoch"', '"epochs"', 1)
    ),
    "tensors empty": lambda record, tensors: cut(tensors, 0),
    "tensors cut at the half": lambda record, tensors: cut(tensors, 0.5),
    "tensors with a bit flipped in front": lambda record, tensors: flip(tensors, 3),
    "tensors with a bit flipped in the middle": lambda record, tensors: flip(tensors, 3000, 7),
    "tensors with a bit flipped at the end": lambda record, tensors: flip(tensors, -1),
    "tensors missing": lambda record, tensors: tensors.unlink(),
    "tensors with a byte more": lambda record, tensors: tensors.write_bytes(
        tensors.read_bytes() + b"0"
    ),
    "another state's record": lambda record, tensors: other(record),
    "another state's tensors": lambda record, tensors: other(tensors),
    "another state's record and tensors": lambda record, tensors: (other(record), other(tensors)),
}


def other(path: Path) -> None:
    another = next(p for p in sorted(path.parent.glob(f"*{path.suffix}")) if p != path)
    shutil.copy(another, path)


def damage(ledger: Ledger, key: str, kind: str) -> None:
    states = ledger.store.states
    DAMAGES[kind](states / f"{key}.json", tensors_of(ledger.store, key))


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_state_is_found_when_read_and_set_aside(
    kind: str, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    store, key = ledger.store, ledger.key(small.run(ledger.params, "outpost"), 3)
    damage(ledger, key, kind)
    record = store.record(key)
    assert (record is None) == ("record" in kind)
    if record is not None:
        assert store.tensors_file(record) is None
    said = capsys.readouterr().err
    assert said.startswith(f"warning: state {key[:12]} is set aside in {store.damaged}: its ")
    assert said.count("\n") == 1
    assert key not in store.listing()
    assert not [name for name in files(store) if name.startswith(key)]
    assert {path.name[:64] for path in store.damaged.iterdir()} == {key}
    assert verify(store) == (2, 0)


@pytest.mark.parametrize(
    "kind",
    [
        "record cut at the half",
        "tensors with a bit flipped in the middle",
        "tensors missing",
        "another state's record and tensors",
    ],
)
def test_a_damaged_state_is_trained_again_to_the_same_bits(kind: str, ledger: Ledger) -> None:
    store, run = ledger.store, small.run(ledger.params, "outpost")
    branch, end = ledger.key(run, 3), ledger.finished(run)
    sound = store.record(branch)
    assert sound is not None
    assert end is not None
    store.remove(end.key)
    damage(ledger, branch, kind)
    again, trained = train(ledger, "outpost")
    # The branch point anew, then on to the end; the same bits, whoever trains them.
    assert trained == list(range(10))
    renewed = store.record(branch)
    assert renewed is not None
    assert (renewed.sha256, renewed.history) == (sound.sha256, sound.history)
    assert (again.sha256, again.history) == (end.sha256, end.history)
    assert verify(store) == (3, 0)


def test_no_flipped_bit_of_a_record_goes_unnoticed(tmp_path: Path) -> None:
    store, draw = Store(tmp_path), random.Random(5)
    saved = store.save(pieces.record(), pieces.holding(b"state"))
    path = tmp_path / "states" / f"{'a' * 64}.json"
    text = path.read_bytes()
    for _ in range(300):
        path.write_bytes(text)
        flip(path, draw.randrange(len(text)), draw.randrange(8))
        # What reads back at all is what was saved (1e-5 may become 1E-5).
        assert store.record("a" * 64) in (None, saved)


def test_a_damaged_end_is_trained_again_from_the_branch(ledger: Ledger) -> None:
    end = ledger.finished(small.run(ledger.params, "outpost"))
    assert end is not None
    cut(ledger.store.states / f"{end.key}.json", 0.7)
    again, trained = train(ledger, "outpost")
    assert trained == list(range(3, 10))
    assert (again.sha256, again.history) == (end.sha256, end.history)


def test_verify_checks_every_byte_and_sets_the_damaged_aside(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ledger.store
    assert verify(store) == (3, 0)
    baseline, outpost = (small.run(ledger.params, name) for name in ("baseline", "outpost"))
    flip(tensors_of(store, ledger.key(baseline, 10)), -1)
    cut(store.states / f"{ledger.key(outpost, 10)}.json", 0.5)
    assert verify(store) == (1, 2)
    assert capsys.readouterr().err.count("warning: state") == 2
    assert verify(store) == (1, 0)
    assert ledger.finished(baseline) is ledger.finished(outpost) is None


def test_a_complete_run_is_taken_from_its_record_alone(ledger: Ledger) -> None:
    run = small.run(ledger.params, "outpost")

    def build() -> Any:
        raise AssertionError("nothing has to be built")

    record = trajectory.train(ledger, run, EngineContext(build), small.silent)
    assert record == ledger.finished(run)
    assert [row["epoch"] for row in record.history] == list(range(10))


# Not written


def full_disk(path: Path) -> None:
    path.write_bytes(b"the first half")
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    store = Store(tmp_path)
    before = store.save(pieces.record(), pieces.holding(b"state"))
    for key in ("b" * 64, "a" * 64):
        with pytest.raises(StoreError, match=r"No space left.*netstab store gc.*NETSTAB_STORE"):
            store.save(pieces.record(key), full_disk)
    assert files(store) == {path.name for path in store.files(before)}
    assert store.record("a" * 64) == before
    assert verify(store) == (1, 0)


def test_a_disk_that_fills_before_the_record_leaves_no_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, synced = Store(tmp_path), []

    def fsync(number: int) -> None:
        synced.append(number)
        if len(synced) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StoreError, match="it goes on from the last saved state"):
        store.save(pieces.record(), pieces.holding(b"state"))
    assert store.listing() == set()
    assert not [name for name in files(store) if name.endswith(".part")]
    monkeypatch.undo()
    assert store.save(pieces.record(), pieces.holding(b"state")) == store.record("a" * 64)


def test_a_run_goes_on_after_a_full_disk(
    tmp_path: Path, complete: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, saves = small.ledger(study(), tmp_path), []
    write = state.write

    def fills_up(tensors: state.Tensors, path: Path) -> None:
        saves.append(path)
        full_disk(path) if len(saves) == 2 else write(tensors, path)

    monkeypatch.setattr(state, "write", fills_up)
    with pytest.raises(StoreError, match="free some room"):
        train(ledger, "baseline")
    assert len(ledger.store.listing()) == 1
    assert len(files(ledger.store)) == 2
    record, trained = train(ledger, "baseline")
    assert trained == list(range(3, 10))
    whole = small.ledger(study(), complete).finished(small.run(study(), "baseline"))
    assert whole is not None
    assert (record.sha256, record.history) == (whole.sha256, whole.history)


def test_a_file_size_limit_of_the_system_is_reported_likewise(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(pieces.record(), pieces.holding(bytes(1000)))
    code = f"""
import resource
from pathlib import Path
from netstab.errors import StoreError
from netstab.store.records import Record
from netstab.store.states import Store
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    record = Record("{"b" * 64}", "baseline-0", 3, {{}}, [], [], False)
    Store(Path({str(tmp_path)!r})).save(record, lambda path: path.write_bytes(bytes(10**6)))
except StoreError as error:
    print(error)
"""
    said = child(code).communicate(timeout=60)[0]
    assert "File too large" in said
    assert "free some room" in said
    assert store.listing() == {"a" * 64}
    assert len(files(store)) == 2
    assert verify(store) == (1, 0)


@pytest.mark.parametrize("place", ["below a file", "in /proc"])
def test_a_store_that_cannot_be_written_is_named_with_a_remedy(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    root = tmp_path / "file" / "store" if place == "below a file" else Path("/proc/netstab")
    store = Store(root)
    for use in (
        lambda: store.save(pieces.record(), pieces.holding(b"state")),
        lambda: store.lock("a" * 64).__enter__(),
        lambda: train(small.ledger(study(), root), "baseline"),
    ):
        with pytest.raises(StoreError, match=r"cannot be (written|read)") as refused:
            use()
        assert str(root) in str(refused.value)
    assert (tmp_path / "file").read_text() == "no folder"


def test_a_store_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "states").write_text("no folder")
    store = Store(tmp_path)
    for use in (store.listing, lambda: store.record("a" * 64), lambda: store.remove("a" * 64)):
        with pytest.raises(StoreError, match=r"cannot be (read|written)"):
            use()


# Several processes


def child(code: str, *arguments: str, python: str = sys.executable) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [python, "-c", code, *arguments],
        cwd=small.ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(small.ROOT / "src"), "."])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def children(*processes: subprocess.Popen[str]) -> Iterator[list[subprocess.Popen[str]]]:
    """End them, and those that the list gets, whatever happens; and close their pipes."""
    started = list(processes)
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


TRAIN = """
import sys
from pathlib import Path
from netstab.training import trajectory
from tests.test_store import small, study
params = study()
ledger = small.ledger(params, Path(sys.argv[1]))

def epoch_done(run, row, seconds):
    print("trained", row["epoch"], flush=True)

run = small.run(params, "baseline")
record = trajectory.train(ledger, run, small.context(params), epoch_done)
print("record", record.sha256, sum(p["to"] - p["from"] for p in record.provenance))
"""


def test_two_processes_on_one_run_train_each_epoch_once(tmp_path: Path, complete: Path) -> None:
    ledger = small.ledger(study(), tmp_path)
    run = small.run(ledger.params, "baseline")
    python = str(forks.folder() / "python")
    with children() as both:
        with ledger.store.lock(ledger.key(run, 1)):
            both.extend(child(TRAIN, str(tmp_path), python=python) for _ in range(2))
            # Both have seen an empty store and stand at the first segment before either trains.
            for process in both:
                assert process.stderr is not None
                assert "another process trains this segment" in process.stderr.readline()
        results = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], results
    said = [stdout.splitlines() for stdout, _ in results]
    trained = [line for lines in said for line in lines if line.startswith("trained")]
    assert sorted(trained) == [f"trained {epoch}" for epoch in range(10)]
    whole = small.ledger(study(), complete).finished(run)
    assert whole is not None
    assert said[0][-1] == said[1][-1] == f"record {whole.sha256} 10"


def test_a_run_that_another_process_finished_meanwhile_has_nothing_ahead(ledger: Ledger) -> None:
    resume = ledger.resume(small.run(ledger.params, "outpost"))
    assert (resume.kept, resume.epoch, resume.end) == (10, 10, 10)


# Interim states


def test_a_run_under_way_keeps_its_latest_state_and_no_other(tmp_path: Path) -> None:
    ledger = small.ledger(study(runtime={"save_interval_s": 1e-9}), tmp_path)
    run, seen = small.run(ledger.params, "baseline"), []

    def epoch_done(run: Run, row: Row, seconds: float) -> None:
        records = [entry.record for entry in entries(ledger)]
        seen.append([r.epoch if not r.interim else f"{r.epoch} interim" for r in records])

    trajectory.train(ledger, run, small.context(ledger.params), epoch_done)
    assert seen == [
        [],
        ["1 interim"],
        ["2 interim"],
        [3],
        *([3, f"{epoch} interim"] for epoch in range(4, 10)),
    ]
    assert [(e.record.epoch, e.record.interim) for e in entries(ledger)] == [
        (3, False),
        (10, False),
    ]


def test_an_interim_state_at_the_end_of_a_now_shorter_run_becomes_its_end(
    tmp_path: Path, complete: Path
) -> None:
    whole = small.ledger(study(), complete)
    run = small.run(whole.params, "baseline")
    long = small.ledger(study(runtime={"save_interval_s": 1e-9}, train={"epochs": 300}), tmp_path)

    class Killed(Exception):
        pass

    def epoch_done(run: Run, row: Row, seconds: float) -> None:
        if row["epoch"] == 10:
            raise Killed

    with pytest.raises(Killed):
        trajectory.train(long, run, small.context(long.params), epoch_done)
    short = small.ledger(study(), tmp_path)
    record, trained = train(short, "baseline")
    assert trained == []
    expected = whole.finished(run)
    assert expected is not None
    assert (record.sha256, record.interim) == (expected.sha256, False)


# Kept and collected


def test_wanted_states_are_those_that_runs_keep_each_once(tmp_path: Path) -> None:
    ledger = small.ledger(
        small.params(experiments=["expB"], own={}, expE={}, seeds=[0, 1]), tmp_path
    )
    names = {
        *(f"baseline-{{}} at {epoch}" for epoch in (2, 3, 4, 6, 8, 10)),
        *(f"outpost-{{}} at {epoch}" for epoch in (4, 6, 8, 10)),
        *(f"expB-{block}-{{}} at 10" for block in (64, 128, 256, 512)),
    }
    wanted = ledger.kept()
    assert set(wanted.values()) == {name.format(seed) for name in names for seed in (0, 1)}
    assert len(wanted) == 2 * len(names)
    run = small.run(ledger.params, "expB-64", seed=1)
    assert wanted[ledger.key(run, 3)] == "baseline-1 at 3"


def test_gc_keeps_what_the_plan_wants_and_drops_the_rest(tmp_path: Path) -> None:
    ledger = small.ledger(small.params(seeds=[0]), tmp_path)
    for run in runs(ledger.params):
        for epoch in kept_epochs(ledger.params, ledger.tree, run.variant):
            put(ledger, run.variant.name, epoch)
    wanted = ledger.store.listing()
    assert wanted == set(ledger.kept())
    assert garbage(ledger) == []
    elsewhere = small.ledger(small.params(expB={"freeze_epoch": 140}), tmp_path)
    moved = put(elsewhere, "expB-64", 10)
    abandoned = put(elsewhere, "expB-128", 9, interim=True)
    under_way = put(ledger, "expB-128", 9, interim=True)
    newer = small.ledger(small.params(), tmp_path, numerics=2)
    outdated = put(newer, "baseline", 3)
    found = garbage(ledger)
    assert {path.name[:64] for path in found} == {moved, outdated, abandoned}
    assert len(found) == 6
    remove(found)
    assert ledger.store.listing() == wanted | {under_way}
    assert len(files(ledger.store)) == 2 * len(wanted) + 2
    # To the other plan nothing is lost but what it alone wanted.
    assert {p.name[:64] for p in garbage(elsewhere)} == {
        under_way,
        *(ledger.key(small.run(ledger.params, f"expB-{b}"), 10) for b in (64, 128, 256, 512)),
    }


def test_gc_waits_for_whoever_trains_perhaps_by_other_parameters(tmp_path: Path) -> None:
    ledger = small.ledger(small.params(), tmp_path)
    with (
        small.ledger(small.params(), tmp_path).store.lock("a" * 64),
        pytest.raises(StoreError, match="a process is training and needs its states; wait"),
    ):
        garbage(ledger)
    assert garbage(ledger) == []


def test_gc_clears_what_killed_processes_left_but_not_what_is_being_written(
    ledger: Ledger,
) -> None:
    store = ledger.store
    hours_ago = time.time() - 2 * 3600
    stale, fresh = (store.states / f".{c * 64}.1234.part" for c in "ab")
    stale_tensors, fresh_tensors = (store.states / f"{c * 64}.safetensors" for c in "cd")
    for path in (stale, fresh, stale_tensors, fresh_tensors):
        path.write_bytes(b"half")
    for path in (stale, stale_tensors, *store.states.glob("*.json")):
        os.utime(path, (hours_ago, hours_ago))
    store.set_aside(ledger.key(small.run(ledger.params, "outpost"), 10), "a test wants it so")
    assert store.listing() < set(ledger.kept())
    found = garbage(ledger)
    assert {path.name for path in found if path.parent == store.states} == {
        stale.name,
        stale_tensors.name,
    }
    assert len([path for path in found if path.parent == store.damaged]) == 2
    remove(found)
    assert fresh.exists()
    assert fresh_tensors.exists()
    assert garbage(ledger) == []
    assert verify(store) == (2, 0)


def test_gc_that_cannot_remove_says_so(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"folder: cannot be removed"):
        remove([tmp_path / "folder"])


def test_states_are_listed_with_what_they_are_wanted_for(ledger: Ledger) -> None:
    other_study = small.ledger(study(train={"momentum": 0.5}), ledger.store.root)
    put(other_study, "outpost", 10)
    put(other_study, "outpost", 5, interim=True)
    put(ledger, "outpost", 4, interim=True)
    listed = [(e.record.run, e.record.epoch, e.wanted_for) for e in entries(ledger)]
    assert listed[:3] == [
        ("baseline-0", 3, "baseline-0 at 3"),
        ("baseline-0", 10, "baseline-0 at 10"),
        ("outpost-0", 4, "a run under way"),
    ]
    assert ("outpost-0", 5, None) in listed
    assert {row[2] for row in listed[3:]} == {None, "outpost-0 at 10"}


# Estimates


def test_time_is_estimated_from_what_the_store_has_of_this_setting(tmp_path: Path) -> None:
    ledger = small.ledger(study(), tmp_path)
    run = small.run(ledger.params, "baseline")
    work = [Work(run.variant, ledger.schedule(run).phases[0], 7)]
    rough, measured = estimate.seconds(ledger, work, gpu=False, threads=1)
    assert (rough > 0, measured) == (True, False)
    flop = ledger.costs.flop(work)
    rows = [{**pieces.provenance(3, "here")[0], "seconds": 30.0, "flop": flop}]
    put(ledger, "baseline", 3, provenance=rows)
    assert estimate.seconds(ledger, work, gpu=False, threads=1) == (pytest.approx(30.0), True)
    # Neither another device nor another network was measured.
    assert estimate.seconds(ledger, work, gpu=True, threads=1)[1] is False
    wider = small.ledger(study(model={"width": 4}), tmp_path)
    assert estimate.seconds(wider, work, gpu=False, threads=1)[1] is False
    # Another seed of the same study is the same work.
    other_seed = small.ledger(study(seeds=[8]), tmp_path)
    assert estimate.seconds(other_seed, work, gpu=False, threads=1) == (pytest.approx(30.0), True)


def test_what_is_outstanding_follows_the_store(ledger: Ledger) -> None:
    assert ledger.outstanding() == {0: []}
    end = ledger.finished(small.run(ledger.params, "outpost"))
    assert end is not None
    ledger.store.remove(end.key)
    assert sum(work.epochs for work in ledger.outstanding()[0]) == 7
    assert sum(w.epochs for w in small.ledger(study(), Path("/nowhere")).outstanding()[0]) == 17


def test_a_record_names_device_and_stretch_of_every_epoch(ledger: Ledger) -> None:
    end = ledger.finished(small.run(ledger.params, "outpost"))
    assert end is not None
    rows = end.provenance
    assert [(row["from"], row["to"], row["trained_for"]) for row in rows] == [
        (0, 3, "baseline-0"),
        (3, 10, "outpost-0"),
    ]
    for row in rows:
        assert row["seconds"] > 0
        assert row["torch"] == torch.__version__
        assert {"device", "device_type", "threads", "host", "flop", "finished_at"} <= set(row)
    text = (ledger.store.states / f"{end.key}.json").read_text()
    assert json.loads(text)["inputs"]["schedule"][0]["epochs"] == 3


def test_a_relative_store_belongs_to_the_main_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "main"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETSTAB_STORE", "states")
    assert paths.store_root() == tmp_path / "main" / "states"
    monkeypatch.setenv("NETSTAB_STORE", str(tmp_path / "shared"))
    assert paths.store_root() == tmp_path / "shared"
    monkeypatch.delenv("NETSTAB_STORE")
    assert paths.store_root() == tmp_path / "main" / ".netstab" / "store"


# Several hosts, and what they leave


def test_of_two_that_store_a_state_the_first_stays_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path)
    first = store.save(pieces.record(), pieces.holding(b"state"))
    assert store.save(pieces.record(run="outpost-0"), pieces.holding(b"other bits")) == first
    assert "stored by another process meanwhile, with other bits" in capsys.readouterr().err
    assert files(store) == {path.name for path in store.files(first)}
    assert store.record("a" * 64) == first
    assert verify(store) == (1, 0)


def test_two_hosts_that_store_a_state_at_once_never_mix_record_and_tensors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one comes to its end between our look at the record and our own record."""
    store, link = Store(tmp_path), os.link
    monkeypatch.setattr(os, "getpid", lambda: 1)

    def late(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "link", link)
        Store(tmp_path).save(pieces.record(run="elsewhere-0"), pieces.holding(b"other bits"))
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    stored = store.save(pieces.record(), pieces.holding(b"state"))
    assert stored.run == "elsewhere-0"
    assert store.record("a" * 64) == stored
    path = store.tensors_file(stored)
    assert path is not None and path.read_bytes() == b"other bits"


def test_a_run_goes_on_from_the_state_that_another_host_stored_first(
    tmp_path: Path, complete: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = small.ledger(study(), tmp_path)
    save, seen = Store.save, []

    def elsewhere_first(store: Store, record: Record, write: Callable[[Path], None]) -> Record:
        def other_bits(path: Path) -> None:
            write(path)
            tensors = state.read(path)
            name = next(name for name in tensors if name.endswith("bias"))
            tensors[name] = tensors[name] + 1
            state.write(tensors, path)

        if not seen:
            seen.append(record.key)
            history = [{**row, "val_loss": 77.0} for row in record.history]
            save(store, replace(record, history=history), other_bits)
        return save(store, record, write)

    monkeypatch.setattr(Store, "save", elsewhere_first)
    end, trained = train(ledger, "baseline")
    assert trained == list(range(10))
    branch = ledger.store.record(seen[0])
    assert branch is not None and branch.epoch == 3
    assert end.history[:3] == branch.history
    assert end.history[0]["val_loss"] == 77.0
    here = small.ledger(study(), complete).finished(small.run(study(), "baseline"))
    assert here is not None and here.sha256 != end.sha256, "it went on from bits of its own"


def test_what_is_replaced_while_it_is_read_is_not_set_aside(tmp_path: Path) -> None:
    store = Store(tmp_path)
    before = store.save(pieces.record(interim=True), pieces.holding(b"before"))
    store.save(pieces.record(), pieces.holding(b"after"))
    for path in store.states.glob(f"*{before.sha256[:16]}*"):
        path.unlink()
    assert store.tensors_file(before) is None
    assert not store.damaged.exists()
    assert verify(store) == (1, 0)


def test_gc_collects_what_killed_processes_left_wherever_and_whatever_the_clock(
    ledger: Ledger,
) -> None:
    folders = [ledger.store.states, ledger.measurements.root, ledger.imports.root]
    left = [folder / f".{'a' * 64}.1-0a1b2c3d.part" for folder in folders]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    assert garbage(ledger) == []
    for shift in (-2 * 3600, 20 * 365 * 86400):
        for path in left:
            os.utime(path, (time.time() + shift,) * 2)
        assert set(garbage(ledger)) == set(left)


def test_a_file_system_without_locks_is_done_without_and_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", none)
    store = Store(tmp_path)
    for key in "ab":
        with store.lock(key * 64):
            store.save(pieces.record(key * 64), pieces.holding(b"state"))
    assert capsys.readouterr().err.count("this file system has no locks") == 1
    assert verify(store) == (2, 0)
    with pytest.raises(StoreError, match=r"within the last hour.*an hour after"):
        store.in_use()
    for path in store.states.iterdir():
        os.utime(path, (time.time() - 7200,) * 2)
    assert not store.in_use()


def test_whether_a_process_trains_is_not_guessed_where_a_lock_cannot_be_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    with store.lock("a" * 64):
        pass

    def refused(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("fcntl.flock", refused)
    with pytest.raises(StoreError, match="cannot find out whether a process is training"):
        store.in_use()


def test_a_file_system_that_brings_no_folder_to_the_disk_stores_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync, answer = os.fsync, errno.EINVAL

    def of_files_alone(number: int) -> None:
        if stat.S_ISDIR(os.fstat(number).st_mode):
            raise OSError(answer, os.strerror(answer))
        fsync(number)

    monkeypatch.setattr(os, "fsync", of_files_alone)
    store = Store(tmp_path)
    store.save(pieces.record(), pieces.holding(b"state"))
    assert verify(store) == (1, 0)
    answer = errno.EIO
    with pytest.raises(StoreError, match="cannot be written"):
        store.save(pieces.record("b" * 64), pieces.holding(b"state"))


@pytest.mark.parametrize(
    "unreadable",
    [
        {"run": "own-" + "n" * 210},
        {"provenance": pieces.provenance(3, "a\u00a0b")},
        {"history": [row | {"new": 1} for row in pieces.history("a" * 64, 3)]},
        {"history": [row | {"val_loss": float("inf")} for row in pieces.history("a" * 64, 3)]},
    ],
)
def test_what_could_not_be_read_again_is_refused_and_not_trained_without_end(
    unreadable: dict[str, Any], tmp_path: Path
) -> None:
    store = Store(tmp_path)
    with pytest.raises(StoreError, match="is not stored, for it could not be read again"):
        store.save(pieces.record(**unreadable), pieces.holding(b"state"))
    assert files(store) == set()


def test_what_a_killed_process_had_started_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "turns" / "dvc.lock"
    with shared_with_children(path) as number:
        started = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=(number,))
    with children(started):
        assert is_locked(path)
    assert not is_locked(path)
