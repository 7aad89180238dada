"""Files of measurements: read as they are, and refused by name where they are damaged."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from netstab import paths
from netstab.evidence.figures.tables import of_results
from netstab.evidence.results import Results
from netstab.evidence.summary.drift import log_drift, places, shifts
from netstab.params import Params, check
from netstab.results.read import read_ceiling
from netstab.results.runs import collect
from netstab.results.schema import STABILITY_COLUMNS, STABILITY_MEASURES
from netstab.study.experiments import Run, Variant
from tests import small, synthetic, synthetic_measures

PARAMS = synthetic.small(train={"time_scale": 0.3})
RUN = Run(Variant("expB", "64"), 1)
FOLDER = paths.run_dir(RUN.name)


@pytest.fixture
def root(root: Path) -> Path:
    synthetic.Study(PARAMS).write(root)
    return root


def test_measurements_are_read_as_written(root: Path) -> None:
    found = collect(PARAMS)
    assert not found.faults
    table = found.stability[RUN]
    written = synthetic_measures.stability(PARAMS, RUN)
    assert list(table) == list(STABILITY_COLUMNS)
    pd.testing.assert_frame_equal(
        table, written.astype(dict.fromkeys(STABILITY_MEASURES, "float64"))
    )
    told = found.sharpness[RUN]
    last = told.at(60)
    assert last is not None
    assert last.model_dump() in synthetic_measures.sharpness(PARAMS, RUN)["measurements"]
    assert told.at(60, "64") != last
    assert told.at(59) is None
    assert told.protocol["batch_norm"] == "eval"


@pytest.mark.parametrize("name", ["NA", "None", "null", "nan", "NULL", "NaN", "true", "inf", "1e3"])
def test_a_block_may_be_called_what_a_reader_of_csv_takes_for_missing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = {name: ["stem", "layer1"], "rest": ["layer2", "layer3", "layer4", "head"]}
    own = {name: {name: {"60": 0.01}}} if name[0].isalpha() else {}
    content = small.content(seeds=[0], experiments=["expB"], own=own, train={"time_scale": 0.3})
    params = check({**content, "blocks": blocks})
    synthetic.Study(params).write(tmp_path)
    found = collect(params)
    assert not found.faults
    run = Run(Variant("expB", name), 0)
    assert set(found.stability[run]["block"]) == {name, "rest", "network"}
    tables = of_results(Results.of(params, found))
    assert f"into {name}" not in tables[f"expB-{name}/stability"]["place"]  # the image
    assert f"out of {name}" in tables[f"expB-{name}/stability"]["place"]
    assert not own or f"own-{name}/stability" in tables


def test_ceiling_is_a_table_of_both_references(root: Path) -> None:
    table = collect(PARAMS).ceiling
    assert set(table["variant"]) == {"baseline", "outpost"}
    (network,) = table[(table["variant"] == "outpost") & (table["block"] == "network")].to_dict(
        "records"
    )
    assert network["changed_pct"] == 30.1
    assert np.isnan(network["backward_cka"])


def test_views_have_measured_nothing_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    params = synthetic.parameters(seeds=[0], experiments=[], own={}, train={"time_scale": 0.3})
    synthetic.Study(params).write(tmp_path)
    found = collect(params)
    assert not found.faults
    ema = Run(Variant("expE", "ema"), 0)
    assert found.stability[ema].empty
    assert found.sharpness[ema].measurements == ()
    summaries = Results.of(params, found).summaries
    assert summaries["expE-ema"]["final_forward_drift"] is None
    assert summaries["expE-ema"].keys() == summaries["baseline"].keys()


Harm = Callable[[], Any]


def edit_stability(**columns: Any) -> Harm:
    def harm() -> None:
        table = pd.read_csv(FOLDER / "stability.csv", dtype={"block": str})
        table.assign(**columns).to_csv(FOLDER / "stability.csv", index=False)

    return harm


def lose_a_row() -> None:
    path = FOLDER / "stability.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def say_a_row_twice() -> None:
    path = FOLDER / "stability.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines, lines[-1]]))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda: (FOLDER / "stability.csv").unlink(), "is missing"),
        (lambda: (FOLDER / "stability.csv").write_text(""), "is damaged"),
        (lambda: (FOLDER / "stability.csv").write_bytes(b"\xff\xfe\x00"), "is damaged"),
        (lambda: (FOLDER / "stability.csv").write_text("epoch,block\n"), "no column distance"),
        (edit_stability(epoch=60), "epochs are not within 0 to 59"),
        (edit_stability(distance="mile"), "distance is none of step, epoch, floor"),
        (edit_stability(block="1024"), "has not each of 64, 128, 256, 512, network once"),
        (edit_stability(block=None), "a row names no block"),
        (edit_stability(path=np.inf), "path holds what is no finite number"),
        (edit_stability(forward_change="low"), "forward_change holds what is no finite number"),
        (lose_a_row, "epoch 57, distance floor has not each of"),
        (say_a_row_twice, "epoch 57, distance floor has not each of"),
    ],
)
def test_damaged_stability_is_named_and_the_history_still_counts(
    root: Path, harm: Harm, said: str
) -> None:
    harm()
    found = collect(PARAMS)
    (fault,) = map(str, found.faults)
    assert fault.startswith(f"expB-64-1: {FOLDER}/stability.csv is ")
    assert said in fault
    assert fault.endswith("; run: dvc repro train@expB-64-1")
    assert RUN in found.histories
    assert RUN in found.sharpness
    assert RUN not in found.stability


def edit_sharpness(**fields: Any) -> Harm:
    def harm() -> None:
        path = FOLDER / "sharpness.json"
        content = json.loads(path.read_text())
        content["measurements"][0] |= fields
        path.write_text(json.dumps(content))

    return harm


def measure_twice() -> None:
    path = FOLDER / "sharpness.json"
    content = json.loads(path.read_text())
    content["measurements"].append(content["measurements"][0])
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda: (FOLDER / "sharpness.json").unlink(), "is missing"),
        (lambda: (FOLDER / "sharpness.json").write_text("{"), "is damaged"),
        (lambda: (FOLDER / "sharpness.json").write_text('{"protocol": {}}'), "measurements"),
        (edit_sharpness(trace=float("nan")), "trace"),
        (edit_sharpness(trace="high"), "trace"),
        (edit_sharpness(epoch=61), "is stale: epoch 61 is past the end"),
        (edit_sharpness(block="1024"), "is stale: 1024 is no block"),
        (measure_twice, "is there twice"),
    ],
)
def test_damaged_sharpness_is_named_and_the_history_still_counts(
    root: Path, harm: Harm, said: str
) -> None:
    harm()
    found = collect(PARAMS)
    (fault,) = map(str, found.faults)
    assert fault.startswith(f"expB-64-1: {FOLDER}/sharpness.json is ")
    assert said in fault
    assert RUN in found.histories
    assert RUN in found.stability
    assert RUN not in found.sharpness


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is damaged"),
        ('{"seeds": [0, 1]}', "is damaged"),
        ('{"seeds": [3, 4], "comparisons": []}', "is stale: it compares the seeds [3, 4]"),
    ],
)
def test_a_ceiling_that_cannot_be_used_is_named_with_the_remedy(
    root: Path, text: str, said: str
) -> None:
    paths.CEILING.write_text(text)
    found = collect(PARAMS)
    (line,) = found.disagreements()
    assert line.startswith("metrics/ceiling.json ")
    assert said in line
    assert line.endswith("Run: dvc repro ceiling")
    assert found.ceiling.empty
    assert len(found.histories) == len(found.expected)


def test_a_missing_ceiling_is_named_only_if_it_is_asked_for(root: Path) -> None:
    paths.CEILING.unlink()
    assert collect(PARAMS).disagreements() == [
        "metrics/ceiling.json is missing. Run: dvc repro ceiling"
    ]
    alone = PARAMS.model_copy(update={"ceiling": PARAMS.ceiling.model_copy(update={"seeds": ()})})
    assert collect(alone).disagreements() == []
    assert read_ceiling(paths.CEILING, ()).empty


def drifting(params: Params, **columns: Any) -> pd.DataFrame:
    table = synthetic_measures.stability(params, Run(Variant("baseline"), 0))
    return table.assign(**columns).astype(dict.fromkeys(STABILITY_MEASURES, "float64"))


def test_drift_is_the_geometric_mean_over_places_and_the_epochs_of_the_window() -> None:
    table = drifting(PARAMS, forward_change=9.0)
    distant = table["distance"] == "epoch"
    measured = sorted(set(table.loc[distant & (table["epoch"] >= 30), "epoch"]))
    assert measured[0] == 30 and len(measured) > 2
    # The window begins with the epoch that it is named after: there it is 0.25, and 0.5 later.
    table.loc[distant & (table["epoch"] >= 30), "forward_change"] = 0.5
    table.loc[distant & (table["epoch"] == 30), "forward_change"] = 0.25
    table.loc[distant & (table["epoch"] >= 30) & (table["block"] == "256"), "forward_change"] = 2.0
    table.loc[distant & (table["block"] == "64"), "forward_change"] = 0.0  # the image itself
    told = shifts(table, PARAMS)
    where = places(PARAMS, "forward")
    assert where == ("128", "256", "512", "network")
    half = (np.log(0.25) + (len(measured) - 1) * np.log(0.5)) / len(measured)
    assert log_drift(told, "forward", where, 30) == pytest.approx((3 * half + np.log(2)) / 4)
    assert places(PARAMS, "backward") == ("64", "128", "256", "512")


def test_drift_per_path_divides_by_the_networks_way_in_the_same_epoch() -> None:
    table = drifting(PARAMS, backward_change=0.5, path=7.0)
    network = (table["distance"] == "epoch") & (table["block"] == "network")
    table.loc[network, "path"] = 0.25
    told = shifts(table, PARAMS)
    where = places(PARAMS, "backward")
    assert log_drift(told, "backward", where, 0, per_path=True) == pytest.approx(np.log(2))


def test_drift_that_was_not_measured_is_no_number() -> None:
    with pytest.raises(LookupError, match="no forward change in the window"):
        log_drift(shifts(drifting(PARAMS), PARAMS), "forward", ("512",), 58)
    told = shifts(drifting(PARAMS, forward_change=np.nan), PARAMS)
    with pytest.raises(LookupError):
        log_drift(told, "forward", ("512",), 0)


def test_files_of_before_state_no_error_of_eigenvalues_and_are_read_all_the_same(
    root: Path,
) -> None:
    for path in root.glob("metrics/runs/*/sharpness.json"):
        content = json.loads(path.read_text())
        for found in content["measurements"]:
            del found["eigenvalue_error"], found["adaptive_eigenvalue_error"]
        path.write_text(json.dumps(content))
    found = collect(PARAMS)
    assert not found.faults
    (told, *_) = found.sharpness.values()
    assert told.measurements[0].eigenvalue_error is None
    summary = Results.of(PARAMS, found).summaries["outpost"]
    assert summary["final_sharpness"] is not None
    assert not [key for key in summary if key.endswith("_error")]
