"""Measurements: taken on the way or by a replay, shared, kept, and never felt by training."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from netstab.data.dataset import Dataset
from netstab.data.manifest import read_manifest
from netstab.data.prepare import prepare
from netstab.measure import field, sharpness
from netstab.params import Params
from netstab.results.schema import Origin
from netstab.store import finished
from netstab.store.ledger import Ledger
from netstab.store.records import Record
from netstab.store.settings import versions
from netstab.store.states import Store
from netstab.study.experiments import Run
from netstab.study.measuring import epochs_of, sharpness_scopes
from netstab.training import observer as observer_module
from netstab.training import replay, state, trajectory
from netstab.training.trainer import Trainer
from tests import small
from tests.checkout import QUICK_SHARPNESS
from tests.pipeline_helpers import STUDY

SHARPNESS = {**QUICK_SHARPNESS, "images": 12}


def study(
    stability: dict[str, Any] | None = None, field: dict[str, Any] | None = None, **changes: Any
) -> Params:
    measure = {
        "stability": {"every_epochs": 40, "images": 12} | (stability or {}),
        "field": {"every_epochs": 80, "images": 4, "seed": 0} | (field or {}),
        "sharpness": SHARPNESS,
    }
    return small.params(experiments=["expB"], own={}, expE={}, measure=measure, **changes)


def train(ledger: Ledger, name: str, *, measured: bool = True) -> Record:
    context = small.context(ledger.params)
    observer = small.observing(ledger, context) if measured else None
    run = small.run(ledger.params, name)
    record = trajectory.train(ledger, run, context, small.silent, observer)
    if observer and not ledger.is_measured(run):
        replay.measure(ledger, run, context, observer(), small.silent)
    return record


def test_a_rehearsal_measures_the_whole_network_and_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = small.ledger(study(), tmp_path)
    context = small.context(ledger.params)
    context.built.engine.start(0)
    before = state.capture(context.built.engine)
    measured: list[Any] = []
    looked: list[str] = []
    measure, look = sharpness.measure, observer_module.signals

    def told(model: nn.Module, subset: Any, scopes: Any, *how: Any) -> Any:
        found = measure(model, subset, scopes, *how)
        measured.extend((scopes[row.scope], len(subset.labels), row.products) for row in found)
        return found

    def seen(*what: Any) -> Any:
        looked.append(f"{len(what[2])} images")
        return look(*what)

    monkeypatch.setattr(sharpness, "measure", told)
    monkeypatch.setattr(observer_module, "signals", seen)
    small.observing(ledger, context)().rehearse(context.built.engine.model)
    every = [name for name, _ in context.twin.named_parameters()]
    assert measured == [(every, SHARPNESS["images"], 2)]
    assert looked == ["12 images"] * 2
    assert not ledger.measurements.listing()
    assert state.equal(state.capture(context.built.engine), before)


def test_a_worker_can_rehearse_the_measures_of_a_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    params = small.params(**{**STUDY, "blocks": small.SHIPPED["blocks"], "own": {}})
    prepare(params, tmp_path)
    manifest = read_manifest(tmp_path)
    store = Store(tmp_path / "store")
    ledger = Ledger(params, Dataset.prepared(manifest), store, *versions())
    trainer = Trainer(ledger, manifest)
    looked: list[int] = []
    look = observer_module.signals
    monkeypatch.setattr(observer_module, "signals", lambda *a: looked.append(len(a[2])) or look(*a))
    trainer.rehearse_measures()
    assert looked == [params.measure.stability.images] * 2
    assert not ledger.measurements.listing() and not store.listing()


def lacking(ledger: Ledger, run: Run) -> list[int]:
    """Epochs over which a measurement is missing."""
    missing = (asked for asked in ledger.unmeasured(run) if asked.measure != "sharpness")
    return sorted({asked.epoch for asked in missing})


def entries(ledger: Ledger, run: Run) -> dict[tuple[Any, ...], Any]:
    """What was measured on a run: rows by when and what."""
    found = {asked[:3]: ledger.measurements.read(asked.key) for asked in ledger.asked(run)}
    return {name: entry["rows"] for name, entry in found.items() if entry is not None}


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("outpost", "fp32"),
        ("expB-128", "bf16"),
        pytest.param("baseline", "fp32", marks=pytest.mark.long),
        pytest.param("expB-128", "fp32", marks=pytest.mark.long),
    ],
)
def test_measuring_changes_no_bit_of_a_run(name: str, precision: str, tmp_path: Path) -> None:
    params = study({"every_epochs": 20}, train={"precision": precision})
    on, off = small.ledger(params, tmp_path / "on"), small.ledger(params, tmp_path / "off")
    seen, unseen = train(on, name), train(off, name, measured=False)
    run = small.run(params, name)
    assert on.is_measured(run)
    assert len(lacking(off, run)) == 10, "the other one was not measured at all"
    assert (seen.key, seen.history) == (unseen.key, unseen.history)
    assert state.equal(small.tensors(on, seen), small.tensors(off, unseen))


@pytest.mark.parametrize("name", [pytest.param("baseline", marks=pytest.mark.long), "expB-128"])
def test_a_replay_measures_what_would_have_been_measured_on_the_way(
    name: str, tmp_path: Path
) -> None:
    on_the_way = small.ledger(study(), tmp_path / "one")
    afterwards = small.ledger(study(), tmp_path / "two")
    train(on_the_way, name)
    train(afterwards, name, measured=False)
    kept = dict.fromkeys(afterwards.store.listing())
    train(afterwards, name)
    run = small.run(study(), name)
    assert entries(afterwards, run) == entries(on_the_way, run)
    assert dict.fromkeys(afterwards.store.listing()) == kept, "no state was made for it"


def test_other_settings_of_a_measure_measure_anew_and_leave_the_rest(tmp_path: Path) -> None:
    first = small.ledger(study(), tmp_path)
    record = train(first, "expB-64")
    run = small.run(study(), "expB-64")
    changed = small.ledger(study({"images": 16}), tmp_path)
    again = changed.asked(run, "stability")
    assert again and changed.unmeasured(run) == again, "and neither the field nor sharpness"
    assert changed.finished(run) == record
    oftener = small.ledger(study({"every_epochs": 20}), tmp_path)
    # 8 was the last one, with its floor; now 9 is.
    assert lacking(oftener, run) == [1, 3, 5, 7, 8, 9], "between what was measured already"


def test_a_field_that_is_measured_afterwards_takes_no_other_measurement(tmp_path: Path) -> None:
    never = study(field={"every_epochs": None})
    before = small.ledger(never, tmp_path)
    train(before, "baseline")
    run = small.run(never, "baseline")
    assert not before.asked(run, "field"), "null is never"
    after = small.ledger(study(), tmp_path)
    assert [(asked.measure, asked.epoch) for asked in after.unmeasured(run)] == [
        ("field", epoch) for epoch in (0, 4, 8)
    ]
    known = set(before.measurements.listing())
    train(after, "baseline")
    added = set(after.measurements.listing()) - known
    assert added == {asked.key for asked in after.asked(run, "field")}
    assert after.is_measured(run)


def test_another_seed_of_probe_images_measures_the_field_on_others(tmp_path: Path) -> None:
    found = []
    for seed in (0, 1):
        ledger = small.ledger(study(field={"seed": seed}), tmp_path)
        train(ledger, "baseline")
        run = small.run(study(), "baseline")
        key = ledger.asked(run, "field")[0].key
        entry = ledger.measurements.read(key)
        found.append(entry and [row["noise"] for row in entry["rows"]])
    assert found[0] != found[1]


def test_a_field_that_cannot_be_taken_is_named_once_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def untaken(*_: Any) -> Any:
        raise field.UntakenError("a module calls .item()")

    monkeypatch.setattr(field, "compare", untaken)
    ledger = small.ledger(study(), tmp_path)
    context, run = small.context(ledger.params), small.run(study(), "baseline")
    observer = small.observing(ledger, context)()
    trajectory.train(ledger, run, context, small.silent, lambda: observer)
    assert ledger.is_measured(run), "it is not tried again"
    assert capsys.readouterr().err == (
        "warning: the field is not measured: torch.func cannot take the network (a module calls "
        ".item())\n"
    ), "what is told as progress is overwritten"
    entry = ledger.measurements.read(ledger.asked(run, "field")[0].key)
    assert entry and {row["shift_squared"] for row in entry["rows"]} == {None}
    assert {row["block"] for row in entry["rows"]} == {"64", "128", "256", "512", "network"}


@pytest.fixture(scope="module")
def measured_baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the baseline and all that is measured on it; tests read it or copy it."""
    store = tmp_path_factory.mktemp("measured") / "store"
    train(small.ledger(study(), store), "baseline")
    return store


of_the_baseline = pytest.mark.xdist_group("measured baseline")
"""Of tests that use it."""


@of_the_baseline
def test_runs_share_what_was_measured_on_their_common_past(measured_baseline: Path) -> None:
    ledger = small.ledger(study(), measured_baseline)
    run = small.run(study(), "expB-64")
    # expB leaves the baseline at 3: what was measured at 0 and at 2 (over the epoch to 3) is there.
    assert lacking(ledger, run) == [4, 6, 8]


@of_the_baseline
def test_a_killed_measurement_goes_on_where_it_was(measured_baseline: Path, tmp_path: Path) -> None:
    ledger = small.ledger(study(), tmp_path)
    train(ledger, "baseline", measured=False)
    run, context = small.run(study(), "baseline"), small.context(study())

    class KilledError(Exception):
        pass

    said: list[str] = []

    def kill(words: str) -> None:
        said.append(words)
        if len(said) == 3:
            raise KilledError

    with pytest.raises(KilledError):
        replay.measure(ledger, run, context, small.observing(ledger, context)(), kill)
    assert lacking(ledger, run) == [4, 6, 8]
    train(ledger, "baseline")
    whole = small.ledger(study(), measured_baseline)
    assert entries(ledger, run) == entries(whole, run)


@of_the_baseline
@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "another's"])
def test_a_damaged_measurement_is_set_aside_and_taken_again(
    damage: str, measured_baseline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(measured_baseline, tmp_path / "store")
    ledger = small.ledger(study(), tmp_path / "store")
    run = small.run(study(), "baseline")
    sound = entries(ledger, run)
    key, other = (asked.key for asked in ledger.asked(run, "stability")[:2])
    path = ledger.measurements.root / f"{key}.json"
    text = path.read_text()
    path.write_text(
        {
            "cut": text[:100],
            "changed": text.replace("0.", "1.", 1),
            "empty": "",
            "another's": (ledger.measurements.root / f"{other}.json").read_text(),
        }[damage]
    )
    assert ledger.measurements.read(key) is None
    assert f"measurement {key[:12]} is set aside" in capsys.readouterr().err
    train(ledger, "baseline")
    assert entries(ledger, run) == sound


def test_the_files_of_a_run_have_every_measurement(tmp_path: Path) -> None:
    ledger = small.ledger(study(), tmp_path / "store")
    record = train(ledger, "expB-128")
    run = small.run(study(), "expB-128")
    data = Origin(name="small", official=False, content_sha256="small")
    finished.write(ledger, run, record, data, root=tmp_path)
    folder = tmp_path / "metrics/runs/expB-128-0"
    lines = (folder / "stability.csv").read_text().splitlines()
    rows = [dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:]]
    found = {(int(r["epoch"]), r["distance"], r["block"]) for r in rows}
    blocks = ("64", "128", "256", "512", "network")
    expected = {(e, d, b) for e in (0, 2, 4, 6, 8) for d in ("step", "epoch") for b in blocks}
    assert found == expected | {(e, "floor", b) for e in (0, 8) for b in blocks}
    floor = [r for r in rows if r["distance"] == "floor" and r["block"] != "network"]
    assert {(float(r["forward_change"]), float(r["backward_change"])) for r in floor} == {(0, 0)}
    frozen = [r for r in rows if int(r["epoch"]) >= 4 and r["block"] in ("64", "256", "512")]
    assert {float(r["path"]) for r in frozen} == {0.0}, "what is frozen goes no way"
    own = [r for r in rows if r["distance"] == "epoch" and r["block"] == "128"]
    assert all(float(r["path"]) > 0 for r in own)
    lines = (folder / "field.csv").read_text().splitlines()
    rows = [dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:]]
    found = {(int(r["epoch"]), r["distance"], r["block"]) for r in rows}
    expected = {(e, d, b) for e in (0, 4, 8) for d in ("step", "epoch") for b in blocks}
    assert found == expected | {(e, "floor", b) for e in (0, 8) for b in blocks}
    floor = [r for r in rows if r["distance"] == "floor"]
    assert {(float(r["gradient_cosine"]), float(r["shift_squared"])) for r in floor} == {(1, 0)}
    sharp = json.loads((folder / "sharpness.json").read_text())
    assert sharp["protocol"]["images"] == 12
    # At the freeze (3), a tenth of the run after it (4), at the end with every block.
    assert [(m["epoch"], m["block"]) for m in sharp["measurements"]] == [
        (3, "network"),
        (4, "network"),
        *((10, block) for block in ("network", *blocks[:-1])),
    ]


def test_measured_epochs_follow_the_time_scale_and_the_interventions() -> None:
    ledger = small.ledger(small.params(train={"time_scale": 1.0}, own={}, expE={}), Path("none"))
    expected: dict[str, list[int]] = {
        "baseline": [200],
        "outpost": [60, 70, 120, 130, 200],
        "expB-64": [60, 70, 200],
        "expC-64": [60, 70, 90, 100, 120, 130, 200],
        "expD-64": [60, 70, 120, 130, 140, 150, 200],
    }
    for name, epochs in expected.items():
        schedule = ledger.schedule(small.run(ledger.params, name))
        assert epochs_of(ledger.params, schedule, "stability") == list(range(0, 200, 10))
        scopes = sharpness_scopes(ledger.params, schedule)
        assert set(scopes) == {*epochs, *range(0, 200, 20)}, "as shipped, every twenty too"
        assert scopes[200] == ("network", *ledger.params.blocks)
        assert {what for at, what in scopes.items() if at < 200} == {("network",)}
        sparse = small.params(
            train={"time_scale": 1.0}, measure={"sharpness": {**SHARPNESS, "settle_epochs": 10}}
        )
        scopes = sharpness_scopes(sparse, schedule)
        assert list(scopes) == epochs
        assert [len(what) for what in scopes.values()] == [1] * (len(epochs) - 1) + [5]
