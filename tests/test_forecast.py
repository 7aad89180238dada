"""How long a sweep by Ray would take: from what the store tells of epochs and measurements."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from netstab.params import Model
from netstab.store.ledger import Ledger
from netstab.store.records import Record
from netstab.study.cost import state_bytes
from netstab.study.experiments import Run, runs
from netstab.sweep import estimate, forecast
from netstab.sweep.jobs import jobs
from netstab.training import trajectory
from tests import pieces, small

pytestmark = pytest.mark.xdist_group("forecast")  # what is trained once is trained in one process


def rewrite(ledger: Ledger, name: str, seconds: float) -> Record:
    """Let every epoch of a stored run have taken so many seconds."""
    run = small.run(ledger.params, name)
    record = ledger.store.record(ledger.key(run, 10))
    assert record
    rows = [{**row, "seconds": seconds * (row["to"] - row["from"])} for row in record.provenance]
    path = ledger.store.tensors_file(record)
    assert path
    write = pieces.holding(path.read_bytes())
    ledger.store.remove(record.key)  # of two records the first stays
    return ledger.store.save(replace(record, provenance=rows), write)


def seconds(ledger: Ledger) -> dict[tuple[str, int], float]:
    todo = jobs(ledger)
    known = forecast.pace(ledger, gpu=False, threads=1)
    found = forecast.tasks(ledger, todo, known, gpu=False, threads=1)
    return {(job.run.name, job.end): task.seconds for job, task in zip(todo, found, strict=True)}


def measure(ledger: Ledger, chosen: list[Run], each: float) -> None:
    """Let everything be measured on some runs, each in so many seconds."""
    told = {"device": "a CPU", "device_type": "cpu", "torch": "2", "threads": 1, "seconds": each}
    entry = {"rows": [], "protocol": {}, "provenance": told}
    for run in chosen:
        for key, inputs in pieces.measured(ledger, run):
            ledger.measurements.write(key, inputs, entry)


STUDY = small.params(seeds=[0, 1], experiments=["expB"], own={}, expE={})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the baseline of seed 0; tests work on copies."""
    made = small.ledger(STUDY, tmp_path_factory.mktemp("forecast") / "store")
    trajectory.train(made, small.run(STUDY, "baseline"), small.context(STUDY), small.silent)
    return made.store.root


@pytest.fixture
def ledger(trained: Path, tmp_path: Path) -> Ledger:
    """Seed 0 has the baseline; of seed 1 nothing is there."""
    shutil.copytree(trained, tmp_path / "store")
    return small.ledger(STUDY, tmp_path / "store")


def test_records_and_measurements_that_tell_less_are_passed_over(ledger: Ledger) -> None:
    run = small.run(ledger.params, "baseline")
    key = ledger.asked(run, "stability")[0].key
    ledger.measurements.write(key, {}, {"rows": []})
    told = [{**pieces.provenance(10, "here")[0], "flop": 0.0}]
    record = ledger.store.record(ledger.key(run, 10))
    assert record
    for found in ledger.store.listing():
        ledger.store.remove(found)
    ledger.store.save(replace(record, provenance=told), pieces.holding(b""))
    assert forecast.pace(ledger, gpu=False, threads=1).epochs == {}
    assert seconds(ledger)["baseline-1", 3] > 0


def test_an_epoch_of_a_known_kind_takes_what_it_took_with_another_seed(ledger: Ledger) -> None:
    rewrite(ledger, "baseline", 5.0)
    for key in ledger.store.listing() - {ledger.key(small.run(ledger.params, "baseline"), 10)}:
        ledger.store.remove(key)  # the states on its way tell of the same epochs
    measure(ledger, runs(ledger.params), 1.0)
    found = seconds(ledger)
    assert found["baseline-1", 3] == pytest.approx(3 * 5.0)
    # Of an unknown kind, as where all but a block is frozen: by its operations.
    frozen = next(job for job in jobs(ledger) if job.run.name == "expB-512-1")
    whole = next(job for job in jobs(ledger) if job.run.name == "baseline-1")
    share = ledger.costs.flop(list(frozen.work)) / ledger.costs.flop(list(whole.work))
    assert found["expB-512-1", 10] == pytest.approx(3 * 5.0 * share)


def test_without_a_measurement_it_is_an_order_of_magnitude(tmp_path: Path) -> None:
    of = small.ledger(small.params(own={}, expE={}), tmp_path)
    known = forecast.pace(of, gpu=False, threads=1)
    assert not known.flop
    (first, *_), todo = forecast.tasks(of, jobs(of), known, gpu=False, threads=1), jobs(of)
    guess, measured = estimate.seconds(of, list(todo[0].work), gpu=False, threads=1)
    assert not measured and first.seconds == pytest.approx(guess)


def test_another_number_of_threads_or_another_device_tells_nothing(ledger: Ledger) -> None:
    assert forecast.pace(ledger, gpu=False, threads=1).flop
    assert not forecast.pace(ledger, gpu=False, threads=2).flop
    assert not forecast.pace(ledger, gpu=True, threads=1).flop


def test_every_state_that_stays_is_written_once(ledger: Ledger) -> None:
    todo = [job for job in jobs(ledger) if job.run.seed == 1]
    known = forecast.pace(ledger, gpu=False, threads=1)
    every = forecast.tasks(ledger, jobs(ledger), known, gpu=False, threads=1)
    written = sum(t.written for t, j in zip(every, jobs(ledger), strict=True) if j.run.seed == 1)
    size = sum(known.states) / len(known.states)
    wanted = {key for key, name in ledger.kept().items() if "-1 at" in name}
    assert todo and written == pytest.approx(size * len(wanted))


def test_a_measurement_costs_what_such_ones_took_and_is_taken_once(ledger: Ledger) -> None:
    every = runs(ledger.params)
    measure(ledger, every, 0.0)
    bare = seconds(ledger)
    for run in every:
        if run.seed == 1:
            for key, _ in pieces.measured(ledger, run):
                ledger.measurements.remove(key)
    measure(ledger, [run for run in every if run.seed == 0], 100.0)
    taken = sum(seconds(ledger)[at] - bare[at] for at in bare if at[0].endswith("-1"))
    of_seed = [run for run in every if run.seed == 1]
    wanted = {key for run in of_seed for key, _ in pieces.measured(ledger, run)}
    assert taken == pytest.approx(100.0 * len(wanted))


def test_a_state_is_weights_and_momentum(ledger: Ledger) -> None:
    record = ledger.store.record(ledger.key(small.run(ledger.params, "baseline"), 10))
    assert record
    # Batch norm and the file's header are left out; at this width they count.
    assert state_bytes(Model(width=2), small.SIZE, 3, small.CLASSES) == pytest.approx(
        record.size, rel=0.35
    )
    assert state_bytes(Model(width=64), 32, 3, 10) == pytest.approx(8 * 11.17e6, rel=0.01)
