"""What a trainer's stage writes, and when it rather writes nothing."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import dumps_yaml

from netstab import paths
from netstab.data.prepare import prepare
from netstab.params import check
from netstab.results.read import FailedRunError, read_ceiling
from netstab.results.schema import HISTORY, PROVENANCE, RUN_FILES, SHARPNESS
from netstab.stages import ceiling, train
from netstab.stages import run as stage
from netstab.store import ahead
from netstab.store.ledger import open_ledger
from netstab.store.measurements import Measurements
from netstab.store.states import Store
from netstab.study.experiments import Run, Variant
from tests import pieces, small
from tests.checkout import TINY, files_in, python

STUDY: dict[str, Any] = {**TINY, "train": {**TINY["train"], "time_scale": 0.015}}


def ask_for(**changes: Any) -> None:
    paths.PARAMS.write_text(dumps_yaml(small.content(**{**STUDY, **changes})))


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setenv("NETSTAB_STORE", str(tmp_path / "store"))
    ask_for()
    (tmp_path / "dvc.yaml").touch()
    prepare(check(small.content(**STUDY)))
    return tmp_path


def test_a_trainer_writes_nothing_that_nobody_asks_for_any_more(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train = stage._train

    def outlives_its_dvc(*arguments: Any) -> Any:
        record = train(*arguments)
        ask_for(outpost={"decay_factor": 0.5})
        return record

    monkeypatch.setattr(stage, "_train", outlives_its_dvc)
    with pytest.raises(SystemExit):
        stage.main("outpost", 0)
    said = capsys.readouterr().err
    assert "outpost-0: params.yaml or the images have changed while it was trained" in said
    assert not (checkout / "metrics").exists()
    monkeypatch.undo()
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("NETSTAB_STORE", str(checkout / "store"))
    ask_for()
    monkeypatch.setattr(stage, "_train", lambda *_: pytest.fail("it is in the store"))
    stage.main("outpost", 0)
    assert (checkout / "metrics/runs/outpost-0/history.csv").exists()


def test_a_run_that_cannot_be_trained_leaves_files_that_say_so(checkout: Path) -> None:
    ask_for(train={**STUDY["train"], "learning_rate": 1e30})
    stage.main("baseline", 0)
    folder = paths.run_dir("baseline-0")
    told = json.loads((folder / PROVENANCE).read_text())
    assert told["failure"].startswith("the training loss is not finite at epoch 0, step ")
    assert (told["epochs"], told["segments"], told["measurements"]) == (0, [], [])
    assert len((folder / HISTORY).read_text().splitlines()) == 1
    assert json.loads((folder / SHARPNESS).read_text()) == {"protocol": {}, "measurements": []}


def test_a_reference_that_cannot_be_trained_leaves_two_seeds_uncompared(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask_for(
        seeds=[0, 1], ceiling={"seeds": [0, 1]}, train={**STUDY["train"], "learning_rate": 1e30}
    )
    ceiling.main()
    assert "baseline-0: the training loss is not finite at epoch 0" in capsys.readouterr().err
    with pytest.raises(FailedRunError, match="baseline-0: the training loss is not finite"):
        read_ceiling(paths.CEILING, (0, 1))


def test_a_damaged_measurement_is_taken_again_by_the_stage_that_finds_it(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.main("outpost", 0)
    measurements = Measurements(Store(checkout / "store"))
    pages = [(key, measurements.read_with_inputs(key)) for key in measurements.listing()]
    one_of_each = {page[0]["measure"]: (key, *page) for key, page in pages if page is not None}
    assert one_of_each.keys() == {"stability", "field", "sharpness"}
    for key, inputs, before in one_of_each.values():
        # Cut; and whole, with a hash that fits, but not what it should be.
        measurements.write(key, inputs, {**before, "rows": "none"})
        for damage in (None, "{"):
            if damage:
                (measurements.root / f"{key}.json").write_text(damage)
            stage.main("outpost", 0)
            assert f"measurement {key[:12]} is set aside" in capsys.readouterr().err
            again = measurements.read(key)
            assert again is not None and again["rows"] == before["rows"]


# Runs that are collected ahead, by a stage for those that come after it


@pytest.fixture
def collected(checkout: Path) -> Path:
    """A checkout whose store has both seeds of the baseline; the stage of the first has ended."""
    ask_for(seeds=[0, 1])
    ledger = open_ledger(checkout, Store(checkout / "store"))
    pieces.fill(ledger, [Run(Variant("baseline"), seed) for seed in (0, 1)])
    train.main("baseline", 0)
    return checkout


def files() -> dict[str, bytes]:
    return files_in(paths.run_dir("baseline-1"))


@pytest.fixture
def whole_ways(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The runs whose stages did not find their files collected."""
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr(stage, "main", lambda *run: asked.append(run))
    return asked


def test_the_next_stage_of_an_experiment_moves_its_files_and_checks_nothing_anew(
    collected: Path,
) -> None:
    assert not paths.run_dir("baseline-1").exists(), "only its own stage writes it"
    done = python("-X", "importtime", "-m", "netstab.stages.train", "baseline", "1")
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "netstab.store.ahead" in imported and not {"pydantic", "ruamel.yaml"} & imported
    moved = files()
    assert moved.keys() == set(RUN_FILES)
    shutil.rmtree(paths.run_dir("baseline-1"))
    stage.main("baseline", 1)
    assert files() == moved


def test_a_run_that_is_collected_ahead_is_taken_once(
    collected: Path, whole_ways: list[tuple[str, int]]
) -> None:
    train.main("baseline", 1)
    assert not whole_ways
    train.main("baseline", 1)
    assert whole_ways == [("baseline", 1)], "so that a damaged store is noticed"


def change_code(checkout: Path) -> None:
    source = paths.NUMERICS.parents[1] / "write.py"
    source.write_text(source.read_text() + "\n")


@pytest.mark.parametrize(
    "change",
    [
        lambda _: ask_for(seeds=[0, 1], baseline={"changes": {"60": 0.2}}),
        lambda _: ask_for(seeds=[0, 1], measure={"stability": {"images": 7}}),
        lambda root: (root / paths.MANIFEST).write_text((root / paths.MANIFEST).read_text() + " "),
        lambda root: shutil.rmtree(root / "store"),
        change_code,
    ],
    ids=["parameters", "measures", "images", "store", "code"],
)
def test_a_run_collected_ahead_is_not_taken_where_what_it_was_made_from_has_changed(
    change: Callable[[Path], object],
    checkout: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    package = checkout / "package" / "training"
    package.mkdir(parents=True)
    shutil.copy(paths.NUMERICS, package)
    (package.parent / "write.py").touch()
    monkeypatch.setattr(paths, "NUMERICS", package / paths.NUMERICS.name)
    request.getfixturevalue("collected")
    whole_ways = request.getfixturevalue("whole_ways")
    change(checkout)
    train.main("baseline", 1)
    assert whole_ways == [("baseline", 1)]
    assert not paths.run_dir("baseline-1").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-1],
        lambda text: text.replace('"state"', '"rtate"'),
        lambda text: "[]",
        lambda text: "7",
        lambda text: '{"state": null}',
        lambda text: "[" * 100_000,
    ],
    ids=["cut", "another name", "a list", "a number", "no path", "nested without end"],
)
def test_a_run_collected_ahead_is_collected_anew_where_what_it_was_made_from_is_damaged(
    damage: Callable[[str], str], collected: Path, whole_ways: list[tuple[str, int]]
) -> None:
    made_from = ahead.FOLDER / "baseline-1" / ahead.MADE_FROM
    made_from.write_text(damage(made_from.read_text()))
    train.main("baseline", 1)
    assert whole_ways == [("baseline", 1)]
    assert not made_from.parent.exists() and not paths.run_dir("baseline-1").exists()
