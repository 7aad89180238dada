"""Runs that were trained elsewhere are joined whole, to the bit, or not at all."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from netstab.data.dataset import Dataset
from netstab.errors import StoreError
from netstab.exchange import exporting
from netstab.exchange.importing import import_files
from netstab.params import check
from netstab.results.schema import measurement_fault
from netstab.store import finished
from netstab.store.housekeeping import entries, garbage, verify
from netstab.store.ledger import Ledger
from netstab.store.states import Store
from netstab.study.choice import choose
from netstab.study.experiments import Run, runs, variants
from netstab.sweep import ceiling
from netstab.sweep import run as sweep
from netstab.sweep.jobs import jobs
from netstab.training import state
from tests import pieces, small
from tests.pieces import DATA, content, export, ledger_on, study

# What a piece needs


def test_a_piece_trains_no_more_of_the_past_than_it_needs(tmp_path: Path) -> None:
    ledger = ledger_on(tmp_path)

    def epochs(names: str) -> list[tuple[str, int, int]]:
        found = jobs(ledger, choose(ledger.params, [names], [0]))
        return [(job.run.name, job.end - job.epochs, job.end) for job in found]

    assert epochs("outpost") == [("outpost-0", 0, 3), ("outpost-0", 3, 10)]
    assert epochs("expB-64,expB-512") == [
        ("expB-64-0", 0, 3),
        ("expB-64-0", 3, 10),
        ("expB-512-0", 3, 10),
    ]
    # A view is seen while the baseline is trained.
    assert epochs("expE-ema") == [
        ("baseline-0", 0, 3),
        ("baseline-0", 3, 10),
        ("expE-ema-0", 10, 10),
    ]
    pieces.fill(ledger, choose(ledger.params, ["expB-64"], [0]))
    assert epochs("expB") == [(f"expB-{block}-0", 3, 10) for block in ("128", "256", "512")]


def test_the_hash_of_a_state_is_of_its_content(tmp_path: Path) -> None:
    tensors = {"model.b": torch.arange(5), "model.a": torch.rand(3, 2), "momentum.a": torch.ones(2)}
    state.write(tensors, tmp_path / "one")
    state.write(dict(reversed(tensors.items())), tmp_path / "other")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


# There and back


def test_pieces_that_share_their_past_are_joined(made: Callable[..., Path], here: Ledger) -> None:
    parts = [made("reference,expE", (0, 1)), made("expA"), made("expB", host="there")]
    elsewhere = ledger_on(here.store.root.parent / "whole")
    pieces.fill(elsewhere, runs(here.params))
    outcome = import_files(here, parts)
    assert len(outcome.new) == len(outcome.runs) == 8 + 4 + 4
    assert not here.store.listing()
    for run in choose(here.params, [], [0]):
        record, whole = here.finished(run), elsewhere.finished(run)
        assert record is not None and whole is not None
        assert (record.history, record.inputs) == (whole.history, whole.inputs)
        assert record.sha256 == whole.sha256
        assert here.is_measured(run)
        for key, _ in pieces.measured(here, run):
            assert here.measurements.read(key) == elsewhere.measurements.read(key)


def test_the_same_file_again_changes_nothing(made: Callable[..., Path], here: Ledger) -> None:
    parts = [made("reference"), made("expB")]
    import_files(here, parts)
    before = content(here.store.root)
    again = import_files(here, parts)
    assert (again.new, again.measurements) == (set(), 0)
    assert content(here.store.root) == before
    assert export(here, "expB", parts[1].with_name("again.json.gz")).read_bytes() == (
        parts[1].read_bytes()
    ), "what was imported is exported as it was"


def test_what_is_trained_here_already_stays_as_it_is(
    made: Callable[..., Path], here: Ledger
) -> None:
    pieces.fill(here, choose(here.params, ["reference"], [0]))
    outcome = import_files(here, [made("reference,expA")])
    assert {run.run for run in outcome.runs if run.key in outcome.new} == {
        f"expA-{block}-0" for block in here.params.blocks
    }


# What a run without weights is good for


def test_an_imported_run_is_finished_and_nothing_goes_on_from_it(
    made: Callable[..., Path], here: Ledger
) -> None:
    import_files(here, [made("reference,expB,expE")])
    baseline = small.run(here.params, "baseline")
    assert here.resume(baseline).record is None
    assert jobs(here, choose(here.params, ["reference,expB,expE"], [0])) == []
    # expA finds no state at 3, so it trains the shared past once more.
    assert jobs(here, choose(here.params, ["expA-64"], [0]))[0].end == 3
    assert sum(work.epochs for work in here.outstanding()[0]) == 3 + 4 * 7
    longer = study(train={"epochs": 300})
    again = ledger_on(here.store.root, longer)
    assert again.finished(baseline) is None
    assert sum(work.epochs for work in again.outstanding()[0]) == again.tree.epochs


def test_an_imported_run_that_lacks_a_measurement_counts_as_to_be_trained(
    made: Callable[..., Path], here: Ledger
) -> None:
    import_files(here, [made("reference,expB,expE")])
    changed = copy.deepcopy(small.SHIPPED["measure"])
    changed["stability"]["images"] = 99
    other = ledger_on(here.store.root, study(measure=changed))
    assert sum(work.epochs for work in other.outstanding()[0]) == other.tree.epochs
    assert not any(exporting.ready(other, run) for run in choose(other.params, ["expB"], [0]))


def test_a_view_of_an_imported_run_trains_it_from_the_start(
    made: Callable[..., Path], here: Ledger
) -> None:
    import_files(here, [made("reference,expA,expB")])
    assert sum(work.epochs for work in here.outstanding()[0]) == 10


def test_the_store_is_looked_after_with_what_was_imported(
    made: Callable[..., Path], here: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    import_files(here, [made("reference")])
    found = entries(here)
    assert [(e.record.run, e.imported, e.wanted_for) for e in found] == [
        ("baseline-0", True, "baseline-0"),
        ("outpost-0", True, "outpost-0"),
    ]
    assert verify(here.store) == (2 + len(here.measurements.listing()), 0)
    assert garbage(here) == []
    moved = ledger_on(here.store.root, study(outpost={"decay_epochs": [60, 100]}))
    assert [path.stem for path in garbage(moved) if path.parent.name == "imported"] == [
        here.key(small.run(here.params, "outpost"), 10)
    ]
    path = here.imports.root / f"{found[0].record.key}.json"
    path.write_text(path.read_text().replace("2.5", "2.6", 1))
    assert verify(here.store)[1] == 1
    assert "import it again" in capsys.readouterr().err
    assert here.finished(small.run(here.params, "baseline")) is None


# The ceiling, which compares weights of two seeds


def compared(ledger: Ledger) -> dict[str, Any]:
    row = {"epoch": 10, "block": "64", "forward_cka": 0.5}
    for name, key in ledger.ceiling_keys().items():
        entry = pieces.entry({"measure": "ceiling"}) | {"rows": [{"variant": name, **row}]}
        ledger.measurements.write(key, ledger.ceiling_inputs(name), entry)
    rows = [{"variant": name, **row} for name in ("baseline", "outpost")]
    return {"seeds": [0, 1], "comparisons": rows}


def test_the_ceiling_goes_with_the_references_of_both_seeds(here: Ledger, tmp_path: Path) -> None:
    there = ledger_on(tmp_path / "there")
    pieces.fill(there, choose(there.params, ["reference"], [0, 1]))
    found = compared(there)
    import_files(here, [export(there, "reference", tmp_path / "one.json.gz", (0,))])
    assert finished.ceiling(here) is None
    import_files(here, [export(there, "reference", tmp_path / "both.json.gz", (0, 1))])
    assert finished.ceiling(here) == found
    assert garbage(here) == []


def test_the_ceiling_of_runs_without_weights_is_refused_with_the_ways_out(
    made: Callable[..., Path], here: Ledger
) -> None:
    import_files(here, [made("reference", (0, 1))])
    with pytest.raises(StoreError, match=r"baseline-0: was imported without its weights.*seeds: "):
        ceiling.compare_seeds(here, None)  # type: ignore[arg-type]
    assert not sweep.ceiling_is_missing(here, runs(here.params)), "no sweep can measure it"


# Barriers, which are between weights of two runs


def test_a_piece_brings_the_barriers_of_its_runs_and_others_are_named(
    here: Ledger, tmp_path: Path
) -> None:
    there = ledger_on(tmp_path / "there")
    chosen = choose(there.params, ["reference,expE-ema"], [0])
    pieces.fill(there, chosen)
    ready, _ = there.unmeasured_barriers()
    assert {(pair.run.name, pair.against) for pair in ready} == {
        ("baseline-0", "ema"),
        *(("outpost-0", against) for against in ("baseline", "branch", "ema")),
    }
    losses = [{"share": at / 2, "loss": float(at)} for at in range(3)]
    for pair in ready:
        found = pieces.entry({"measure": "barrier"}) | {"rows": losses}
        there.measurements.write(there.barrier_key(pair), there.barrier_inputs(pair), found)
    import_files(here, [export(there, "reference,expE-ema", tmp_path / "references.json.gz")])
    import_files(here, [export(pieces_of(tmp_path), "expA-64", tmp_path / "a.json.gz")])
    told = finished.barriers(here)
    assert [(row.run, row.against, row.barrier) for row in told.barriers] == [
        ("baseline-0", "ema", 0.0),
        *(("outpost-0", against, 0.0) for against in ("baseline", "branch", "ema")),
    ]
    why = {(row.run, row.against): row.why for row in told.missing}
    assert why["expA-64-0", "ema"] == "the run's end was imported without its weights"
    assert why["expA-128-0", "ema"] == "the run's end is not in the store"
    assert here.unmeasured_barriers()[0] == [] and len(why) == len(here.pairs) - 4
    assert garbage(here) == []
    # Rows of a file, as in a clone of committed results, stay where the keys are those of today.
    empty = ledger_on(tmp_path / "empty")
    assert finished.barriers(empty, told.barriers).barriers == told.barriers
    moved = ledger_on(tmp_path / "empty", study(outpost={"decay_epochs": [60, 100]}))
    assert [row.run for row in finished.barriers(moved, told.barriers).barriers] == ["baseline-0"]


def pieces_of(folder: Path) -> Ledger:
    elsewhere = ledger_on(folder / "elsewhere")
    pieces.fill(elsewhere, choose(elsewhere.params, ["expA-64"], [0]))
    return elsewhere


def test_a_barrier_of_another_kind_of_row_is_refused() -> None:
    told = pieces.entry({"measure": "barrier"})
    assert measurement_fault("barrier", told | {"rows": [{"share": 0.0}]})
    assert measurement_fault("barrier", told | {"rows": [{"share": 0.0, "loss": "1"}]})
    assert not measurement_fault("barrier", told | {"rows": [{"share": 0.0, "loss": None}]})


# Pasts of other bits


def test_pieces_of_other_bits_are_not_joined_and_both_are_named(
    made: Callable[..., Path], here: Ledger
) -> None:
    first, second = made("reference", host="alpha"), made("expB", host="beta", bits="other")
    with pytest.raises(StoreError) as refused:
        import_files(here, [first, second])
    said = str(refused.value)
    assert f"{second}: expB-64-0 is not joined: its state at epoch 3 " in said
    assert "Prozessor ü, torch 2.9, on alpha, 2026" in said
    assert "Prozessor ü, torch 2.9, on beta, 2026" in said
    assert "deterministic: true" in said
    assert content(here.store.root) == {}
    import_files(here, [first])
    kept = content(here.store.root)
    with pytest.raises(StoreError, match="other bits than the same state in the store"):
        import_files(here, [second])
    assert content(here.store.root) == kept
    import_files(here, [made("expB", (1,), host="beta", bits="other")])  # shares nothing


def test_a_piece_is_not_joined_to_a_store_that_trained_other_bits(
    made: Callable[..., Path], here: Ledger
) -> None:
    pieces.fill(here, choose(here.params, ["expA-64"], [0]), host="home", bits="home")
    kept = content(here.store.root)
    with pytest.raises(StoreError, match=r"in the store(\n.*)*expA-64-0, Prozessor ü.* on home"):
        import_files(here, [made("expB")])
    assert content(here.store.root) == kept


def test_runs_whose_shared_past_nothing_tells_of_are_not_joined(
    made: Callable[..., Path], here: Ledger, tmp_path: Path
) -> None:
    def forget(piece: dict[str, Any]) -> None:
        for run in piece["runs"]:
            run["way"] = [at for at in run["way"] if at["epoch"] == run["epoch"]]

    silent = pieces.change(made("expB"), tmp_path / "silent.json.gz", forget)
    with pytest.raises(StoreError, match="share their first 3 epochs, and have no state"):
        import_files(here, [made("reference"), silent])
    assert content(here.store.root) == {}


def test_a_run_without_any_state_of_its_past_is_not_exported(tmp_path: Path) -> None:
    ledger = ledger_on(tmp_path)
    chosen = choose(ledger.params, ["expB-64"], [0])
    pieces.fill(ledger, chosen)
    ledger.store.remove(ledger.key(chosen[0], 3))
    with pytest.raises(StoreError, match=r"expB-64-0: the states .* \(epochs 3\) are not in"):
        exporting.piece(ledger, chosen)


def test_training_says_where_it_comes_to_other_bits_than_imported_runs(
    made: Callable[..., Path], here: Ledger
) -> None:
    import_files(here, [made("reference")])
    run = small.run(here.params, "expB-64")
    pieces.put(here, run, 3, "home", "other")
    record = here.store.record(here.key(run, 3))
    assert record is not None and here.imports.contradicts(record)
    here.store.remove(record.key)
    pieces.put(here, run, 3, "home", "")
    same = here.store.record(here.key(run, 3))
    assert same is not None and not here.imports.contradicts(same)


# The pieces of the article-sized study


def test_the_pieces_of_the_documented_list_are_the_study_at_the_stated_cost(tmp_path: Path) -> None:
    params = check(small.content())
    ledger = Ledger(params, Dataset(DATA, 50_000, 3, 10), Store(tmp_path), 1, small.VERSIONS)
    text = (small.ROOT / "docs" / "PIECES.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"\| (\d+) \| (\d+) \| `netstab sweep --only (\S+)((?: --seed \d)+)` \|", text
    )
    assert len(rows) == 7
    found: list[Run] = []
    for count, epochs, names, seeds in rows:
        chosen = choose(params, [names], [int(seed) for seed in re.findall(r"\d", seeds)])
        assert len(chosen) == int(count), names
        assert sum(job.epochs for job in jobs(ledger, chosen)) == int(epochs), names
        found += chosen
    assert len(found) == len(set(found)), "no run is in two pieces"
    assert {run for run in found if run.seed == 0} == {Run(v, 0) for v in variants(params)}
