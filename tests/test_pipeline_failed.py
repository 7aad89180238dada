"""A run that cannot be trained costs the study that run alone."""

import json

import pytest

from tests.pipeline_helpers import Clone

pytestmark = pytest.mark.xdist_group("pipeline")

HOT = {"hot": {"64": {"60": 1e30}}}
WHY = "the training loss is not finite at epoch 3, step "
"""The rate rises at 60 of 200, which is epoch 3 of 10."""


@pytest.mark.long
def test_the_report_of_the_others_is_made_and_names_a_run_whose_loss_is_not_finite(
    clone: Clone,
) -> None:
    clone.change(own=HOT)
    stopped = clone.dvc("repro", code=255)
    assert stopped.stages == ["own@hot-0", "report"]
    assert f"own-hot-0: {WHY}" in stopped.text and "Traceback" not in stopped.output
    assert "1 of 8 runs could not be trained: own-hot-0" in stopped.text
    assert "exited with 1" in stopped.text
    assert f"<strong>own-hot-0</strong>: {WHY}" in clone.read("metrics/report.html")
    assert "could not be trained" in clone.read("metrics/report.html")
    assert json.loads(clone.read("metrics/variants/own-hot.json"))["n_seeds"] == 0
    assert json.loads(clone.read("metrics/variants/outpost.json"))["n_seeds"] == 1
    history = clone.read("metrics/runs/own-hot-0/history.csv").splitlines()
    assert len(history) == 1 + 3, "the epochs before are there"

    trained = len(clone.trained())
    again = clone.dvc("repro", code=255)
    assert again.stages == ["report"] and len(clone.trained()) == trained
    assert f"own-hot-0: {WHY}" in again.text

    # Another setting of the same run is not what could not be trained.
    clone.change(own={"hot": {"64": {"60": 0.05}}})
    assert (
        "metrics/runs/own-hot-0/provenance.json is stale"
        in clone.python("-m", "netstab.stages.report").text
    )
    assert clone.dvc("repro").stages == ["own@hot-0", "report"]
    assert "failure" not in clone.read("metrics/runs/own-hot-0/provenance.json")
    assert json.loads(clone.read("metrics/variants/own-hot.json"))["n_seeds"] == 1


@pytest.mark.long
def test_a_stage_that_sweeps_trains_the_others_and_leaves_what_cannot_be_to_its_own(
    clone: Clone,
) -> None:
    clone.change(own={**HOT, "warm": {"64": {"60": 0.05}}}, runtime={"sweep": True, "workers": 1})
    stopped = clone.dvc("repro", code=255)
    assert stopped.stages == ["own@hot-0", "own@warm-0", "report"]
    assert "1 of 9 runs could not be trained: own-hot-0" in stopped.text
    assert json.loads(clone.read("metrics/variants/own-warm.json"))["n_seeds"] == 1
