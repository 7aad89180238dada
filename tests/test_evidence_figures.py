"""Figures: what is drawn, marked and said in them."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from netstab import paths
from netstab.evidence import drawings, events, figures, figures_summary, palette, question, tables
from netstab.evidence.aggregate import Results, aggregate, panels
from netstab.evidence.figures import Figure
from netstab.evidence.lanes import lanes_of
from netstab.evidence.runs import collect
from netstab.params import Params
from netstab.study.experiments import Variant, find_variant, schedule, variants
from netstab.study.plan import tree
from tests import synthetic_runs as synthetic


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def study(root: Path, params: Params) -> Results:
    synthetic.write(root, params)
    return aggregate(params, collect(params))


def curves(root: Path, params: Params) -> dict[str, Figure]:
    """The article's figures by their ids."""
    results = study(root, params)
    return {
        name: figure
        for panel in panels(params)
        for name, figure in figures.of_panel(results, panel, None).items()
    }


def test_every_figure_has_a_text_alternative_with_its_numbers(root: Path) -> None:
    params = synthetic.parameters(seeds=[0], train={"time_scale": 0.1}, ceiling={"seeds": []})
    found = drawings.draw(study(root, params)).everything()
    assert {"question", "tree", "sharpness-end", "own-signals"} <= set(found)
    for name, figure in found.items():
        assert re.search(r"\d", figure.spec["description"]), name
    about = found["expB-val_loss"].spec["description"]
    assert "over 20 epochs. Experiment B" in about
    assert re.search(r"Mean of the last 1 epoch: baseline [\d.]+, 64 [\d.]+", about)
    assert "expC-64 leaves expA-64 at 9" in found["tree"].spec["description"]
    assert "outpost sharpness x" in found["question"].spec["description"]


def test_interventions_are_marked_from_the_schedules() -> None:
    params = synthetic.parameters()
    schedules = {
        line.variant: schedule(params, line.variant) for p in panels(params) for line in p.lines
    }
    marks = {p.experiment: events.of_panel(params, schedules, p) for p in panels(params)}
    assert marks == {
        "expA": {60: "decay", 120: "decay"},
        "expB": {60: "freeze"},
        "expC": {60: "decay", 90: "freeze", 120: "decay"},
        "expD": {60: "decay", 120: "decay", 140: "freeze"},
        "expE": {60: "interventions", 120: "decay, larger batch"},
        "own": {60: "decay", 120: "decay, raise"},
    }
    told = {p.experiment: events.sentences(params, schedules, p) for p in panels(params)}
    assert told["expC"] == [
        "baseline: nothing changes",
        "outpost: decay at 60 and 120",
        "64, 128, 256, 512: decay at 60 and 120, freeze at 90",
    ]
    assert "ema: averaging at 60" in told["expE"]


def test_a_thawed_block_is_an_unfreeze() -> None:
    params = synthetic.small(own={"thaw": {"64": {"60": "frozen", "120": 0.01}}})
    plan = schedule(params, find_variant(params, "own-thaw"))
    assert events.scheduled(plan) == {60: ["freeze"], 120: ["unfreeze"]}


def test_curves_of_a_shared_past_are_drawn_once(root: Path) -> None:
    found = curves(root, synthetic.parameters(seeds=[0], ceiling={"seeds": []}))

    def common(name: str) -> dict[str, int]:
        sources = found[name].sources["curves"]
        return {s.constants["curve"]: s.constants["common"] for s in sources}

    ends = dict.fromkeys(("64", "128", "256", "512"), 139)
    assert common("expD-val_loss") == {"baseline": 0, "outpost": 59, **ends}
    # A view has its own validation, and the baseline's training.
    assert common("expE-val_loss")["ema"] == 59
    assert common("expE-train_loss")["ema"] == 199


def test_no_two_lines_of_a_panel_look_alike(root: Path) -> None:
    params = synthetic.parameters()
    for panel in panels(params):
        styles = palette.line_styles(params, panel)
        assert len(set(styles.values())) == len(styles) == len(panel.lines)
        for block, colour in zip(params.blocks, palette.BLOCK_COLOURS, strict=False):
            own = [style for label, style in styles.items() if label.endswith(block)]
            assert all(found == colour for found, _ in own)
        dashed = [label for label, (_, dash) in styles.items() if dash != (1, 0)]
        assert {"baseline", "outpost"} & set(styles) <= set(dashed)


def test_lanes_leave_their_parents_without_crossing_others() -> None:
    params = synthetic.parameters()
    found = lanes_of(tree(params))
    place = {lane.variant: at for at, lane in enumerate(found)}
    assert len(found) == len(variants(params))
    for lane in found:
        if lane.parent:
            between = found[place[lane.parent] + 1 : place[lane.variant]]
            assert all(other.start >= lane.start for other in between)
    own = {lane.variant.name: lane.end - lane.start for lane in found if not lane.is_view}
    assert sum(own.values()) == tree(params).epochs
    assert own["expC-64"] == 110
    views = {lane.variant.name: lane.parent for lane in found if lane.is_view}
    assert views == dict.fromkeys(("expE-ema", "expE-bnrecal"), Variant("baseline"))


def remeasure(root: Path, run: str, **columns: float) -> None:
    path = root / paths.run_dir(run) / "stability.csv"
    table = pd.read_csv(path)
    for column, value in columns.items():
        table[column] = value
    table.to_csv(path, index=False)


def curve(root: Path, run: str, eigenvalue: float | None, *, bound: float = 7.0) -> None:
    """Give every eigenvalue of a run this value, or none but a lower bound."""
    path = root / paths.run_dir(run) / "sharpness.json"
    told = json.loads(path.read_text())
    for found in told["measurements"]:
        found |= {"eigenvalue": eigenvalue, "lower_bound": eigenvalue or bound}
    path.write_text(json.dumps(told))


def test_signals_are_means_over_seeds_and_told_per_unit_of_path(root: Path) -> None:
    params = synthetic.small(train={"time_scale": 0.1})
    synthetic.write(root, params)
    remeasure(root, "baseline-0", forward_change=0.2, forward_cka=0.9, path=4.0)
    remeasure(root, "baseline-1", forward_change=0.4, forward_cka=0.7, path=4.0)
    table = tables.of_results(aggregate(params, collect(params)))["baseline/stability"]
    rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    forward = [row for row in rows if not row["place"].startswith("out of")]
    assert {row["place"] for row in forward} == {
        "into 128",
        "into 256",
        "into 512",
        "last features",
    }
    assert {row["distance"] for row in rows} == {"step", "epoch"}
    for row in forward:
        found = [row[f"change_{x}"] for x in ("mean", "low", "high")]
        assert found == pytest.approx([0.3, 0.2, 0.4])
        assert row["cka_mean"] == pytest.approx(0.2)
        assert row["path_mean"] == pytest.approx(0.075)


def test_an_eigenvalue_that_did_not_converge_is_a_bound_and_no_point_of_a_line(root: Path) -> None:
    params = synthetic.small(train={"time_scale": 0.1})
    synthetic.write(root, params)
    curve(root, "expB-64-0", 9.0)
    curve(root, "expB-64-1", None)
    results = aggregate(params, collect(params))
    table = tables.of_results(results)["expB-64/sharpness"]
    rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    plain = [r for r in rows if (r["kind"], r["trait"]) == ("plain", "eigenvalue")]
    assert plain
    assert all((row["converged"], row["mean"]) == (False, 8.0) for row in plain)
    drawn = drawings.draw(results)
    assert "64 at least 8" in drawn.everything()["expB-sharpness"].spec["description"]
    assert "expB-64: eigenvalue did not converge" in drawn.left_out
    lines = [
        layer
        for layer in drawn.everything()["expB-sharpness"].spec["spec"]["layer"]
        if layer["mark"]["type"] in ("line", "area")
    ]
    assert len(lines) == 2
    assert all({"filter": "datum.converged"} in layer["transform"] for layer in lines)


def test_the_question_places_variants_by_ratios_to_the_baseline_of_their_seed(root: Path) -> None:
    params = synthetic.small(train={"time_scale": 0.1})
    synthetic.write(root, params)
    for seed, factor in enumerate((2.0, 8.0)):
        curve(root, f"baseline-{seed}", 10.0)
        curve(root, f"outpost-{seed}", 10.0 * factor)
        remeasure(root, f"baseline-{seed}", forward_change=0.4)
        remeasure(root, f"outpost-{seed}", forward_change=0.1)
        synthetic.change(root, f"baseline-{seed}", val_top1_pct=80.0)
        synthetic.change(root, f"outpost-{seed}", val_top1_pct=80.0 + factor)
    remeasure(root, "expB-64-0", forward_change=0.0)
    points, left_out = question.locate(aggregate(params, collect(params)))
    mean, *seeds = [p.row() for p in points if p.variant.name == "outpost"]
    assert (mean["sharpness"], mean["drift"], mean["gain"]) == pytest.approx((4, 0.25, 5))
    assert [row["sharpness"] for row in seeds] == pytest.approx([2, 8])
    (why,) = (why for why, names in left_out.items() if "expB-64" in names)
    assert "exactly still" in why


def test_names_in_the_question_cover_neither_points_nor_each_other(root: Path) -> None:
    params = synthetic.parameters(seeds=[0], train={"time_scale": 0.1}, ceiling={"seeds": []})
    points, left_out = question.locate(study(root, params))
    assert sorted(left_out) == [
        "a view, measured as the baseline",
        "some signals stand exactly still, so their ratio says nothing",
    ]
    wide, narrow = question.names(points, 640, 400), question.names(points, 270, 400)
    assert {"baseline", "outpost"} <= {row["name"] for row in narrow}
    assert len(narrow) <= len(wide) <= len(points)
    assert len({(row["dx"], row["dy"], row["sharpness"], row["drift"]) for row in wide}) == len(
        wide
    )


def test_rivals_are_drawn_with_their_share_of_the_outposts_gain(root: Path) -> None:
    params = synthetic.small(
        seeds=[0, 1, 2],
        expE={"ema": None, "bnrecal": None, "batch": None, "head": {"freeze_epoch": 60}},
    )
    synthetic.write(root, params)
    for seed in range(3):
        synthetic.change(root, f"baseline-{seed}", val_top1_pct=80.0)
        synthetic.change(root, f"outpost-{seed}", val_top1_pct=90.0)
        synthetic.change(root, f"expE-head-{seed}", val_top1_pct=87.0 + seed)
    figure = figures_summary.rivals(aggregate(params, collect(params)), None)
    assert figure
    assert "expE-head 80% (" in figure.spec["description"]
    for seed in range(3):
        synthetic.change(root, f"outpost-{seed}", val_top1_pct=79.0)
    assert figures_summary.rivals(aggregate(params, collect(params)), None) is None


def test_figures_are_svg_files_small_and_without_a_pointers_layers(root: Path) -> None:
    params = synthetic.small(seeds=[0, 1, 2])
    found = drawings.svgs(drawings.draw(study(root, params)))
    assert {"expB-val_loss.svg", "expB-signals.svg", "question.svg", "tree.svg"} <= set(found)
    for name, text in found.items():
        assert text.startswith("<svg"), name
        assert len(text) < 150_000, name
        assert 'fill="white"' in text, name
        assert not re.search(r'(href|src)="http', text), name
        ElementTree.fromstring(text)
    # Ticks keep their digits, paths do not.
    assert any(re.search(r">[^<>]*\.\d\d+</text>", text) for text in found.values())
    assert not re.search(r' d="[^"]*\.\d\d', found["expB-train_loss.svg"])
    lines = ElementTree.fromstring(found["expB-val_loss.svg"]).iter()
    assert sum("stroke-dasharray" in element.attrib for element in lines) >= 1
