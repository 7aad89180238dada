"""Figures: what is drawn, marked and said in them."""

import re
from pathlib import Path
from typing import Any

import pytest

from netstab.evidence import figures, texts
from netstab.evidence.aggregate import aggregate, panels
from netstab.evidence.runs import collect
from netstab.params import Params
from netstab.study.experiments import find_variant, schedule
from tests import synthetic_runs as synthetic


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def drawn(root: Path, params: Params) -> dict[str, Any]:
    """Every figure by its id."""
    synthetic.write(root, params)
    results = aggregate(params, collect(params))
    return {
        name: figure
        for panel in panels(params)
        for name, figure in figures.of_panel(results, panel, None).items()
    }


def test_every_figure_has_a_text_alternative_with_its_final_figures(root: Path) -> None:
    params = synthetic.small(seeds=[0], train={"time_scale": 0.1})
    for name, figure in drawn(root, params).items():
        description = figure["spec"]["description"]
        assert "over 20 epochs. Experiment B" in description
        assert re.search(r"Mean of the last 1 epoch: baseline [\d.]+, 64 [\d.]+", description), name


def test_interventions_are_marked_from_the_schedules() -> None:
    params = synthetic.parameters()
    schedules = {
        line.variant: schedule(params, line.variant) for p in panels(params) for line in p.lines
    }
    marks = {p.experiment: texts.panel_events(schedules, p) for p in panels(params)}
    assert marks == {
        "expA": {60: "decay", 120: "decay"},
        "expB": {60: "freeze"},
        "expC": {60: "decay", 90: "freeze", 120: "decay"},
        "expD": {60: "decay", 120: "decay", 140: "freeze"},
        "own": {60: "decay", 120: "decay, raise"},
    }
    told = {p.experiment: texts.interventions(schedules, p) for p in panels(params)}
    assert told["expC"] == [
        "baseline: nothing changes",
        "outpost: decay at 60 and 120",
        "64, 128, 256, 512: decay at 60 and 120, freeze at 90",
    ]


def test_a_thawed_block_is_an_unfreeze() -> None:
    params = synthetic.small(own={"thaw": {"64": {"60": "frozen", "120": 0.01}}})
    plan = schedule(params, find_variant(params, "own-thaw"))
    assert texts.events(plan) == {60: ["freeze"], 120: ["unfreeze"]}


def test_curves_of_a_shared_past_are_drawn_once(root: Path) -> None:
    lines = drawn(root, synthetic.parameters(seeds=[0]))["expD-val_loss"]["lines"]
    assert {line["label"]: line["common"] for line in lines} == {
        "baseline": 0,
        "outpost": 60,
        "64": 140,
        "128": 140,
        "256": 140,
        "512": 140,
    }


def test_blocks_keep_their_colours_and_references_are_dashed(root: Path) -> None:
    params = synthetic.parameters(seeds=[0])
    seen: dict[str, set[str]] = {}
    for figure in drawn(root, params).values():
        for layer in figure["spec"]["layer"]:
            if layer["mark"]["type"] == "line":
                scale = layer["encoding"]["color"]["scale"]
                dashes = layer["encoding"]["strokeDash"]["scale"]["range"]
                for label, colour, dash in zip(
                    scale["domain"], scale["range"], dashes, strict=True
                ):
                    seen.setdefault(label, set()).add(colour)
                    assert (dash == [1, 0]) == (label not in {"baseline", "outpost"})
    assert all(len(colours) == 1 for colours in seen.values())
    assert len({seen[block].copy().pop() for block in params.blocks}) == 4
