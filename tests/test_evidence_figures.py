"""Figures: what is drawn, marked and said in them."""

import re
from itertools import combinations
from math import log
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from netstab import paths
from netstab.evidence.figures import (
    curves,
    drawings,
    events,
    measured,
    question,
    rivals,
    tables,
    theme,
)
from netstab.evidence.figures.lines import Look, label_rows, line_styles
from netstab.evidence.figures.tree import SHAPES, lanes_of, shared_pasts
from netstab.evidence.figures.vega import to_svg
from netstab.evidence.page import render
from netstab.evidence.summary.curves import panels
from netstab.evidence.summary.relative import Point, locate
from netstab.study.experiments import Variant, cyclical, find_variant, schedule, variants
from netstab.study.plan import tree
from tests import synthetic
from tests.synthetic_report import Reported, in_one_process, legend


@in_one_process
def test_every_figure_has_a_text_alternative_with_its_numbers(whole: Reported) -> None:
    found = {name: spec["description"] for name, spec in whole.figures.items()}
    for name, about in found.items():
        assert re.search(r"\d", about), name
        assert not re.search(r"nan|None|inf\b", about), name
    assert "over 200 epochs. Experiment B" in found["expB-val_loss"]
    final = whole.results.summaries["expB-64"]["final_val_loss"]
    assert "Mean of the last 10 epochs: baseline 0." in found["expB-val_loss"]
    assert f", 64 {final:.4g}, 128 " in found["expB-val_loss"]
    assert "expC-64 leaves expA-64 at 90" in found["tree"]
    assert "outpost sharpness x" in found["question"]
    sharpness = whole.results.summaries["outpost"]["final_sharpness"]
    assert f"outpost {sharpness:.3g}" in found["expA-sharpness"]
    assert f"outpost {sharpness:.3g}, " in found["sharpness-end"]
    assert found["sharpness-end"].endswith("; stated error at most 0.5%.")
    assert "expE-head" in found["rivals"]


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


CYCLES = {"shapes": ["cosine", "triangular", "warm_restarts"]}


def test_shapes_are_marked_where_they_begin_restart_and_end() -> None:
    params = synthetic.small(expF=CYCLES, experiments=[])
    plans = {v.block: schedule(params, v) for v in cyclical(params)}
    assert {name: events.scheduled(plan) for name, plan in plans.items()} == {
        "cosine": {60: ["cosine"], 150: ["plateau"]},
        "triangular": {60: ["triangular"], 90: ["cycle"], 120: ["cycle"], 150: ["plateau"]},
        "warm_restarts": {
            60: ["warm restarts"],
            90: ["restart"],
            120: ["restart"],
            150: ["plateau"],
        },
    }
    (panel,) = panels(params)
    schedules = {line.variant: schedule(params, line.variant) for line in panel.lines}
    assert events.of_panel(params, schedules, panel) == {
        60: "interventions",
        90: "cycle, restart",
        120: "interventions",
        150: "plateau",
    }
    assert events.sentences(params, schedules, panel)[2:] == [
        "cosine: cosine at 60, plateau at 150",
        "triangular: triangular at 60, cycle at 90 and 120, plateau at 150",
        "warm_restarts: warm restarts at 60, restart at 90 and 120, plateau at 150",
    ]


def test_labels_of_events_that_would_overlap_stand_in_two_rows() -> None:
    def rows(*happens: tuple[int, str]) -> list[int]:
        return label_rows(Look(epochs=200, styles=(), events=happens))

    assert rows((60, "decay"), (90, "freeze"), (120, "decay"), (140, "freeze")) == [0, 0, 0, 1]
    cycles = ((60, "interventions"), (90, "cycle, restart"), (120, "interventions"), (150, "end"))
    assert rows(*cycles) == [0, 1, 0, 1]


def test_rates_that_follow_a_shape_are_drawn_and_steps_are_not() -> None:
    params = synthetic.small(
        seeds=[0], expF={"shapes": ["triangular"]}, experiments=["expB"], own={"nothing": {}}
    )
    results = synthetic.Study(params).results()
    numbers, drawn = tables.of_results(results), {}
    for panel in panels(params):
        drawn |= curves.curves(results, panel)
    assert [name for name in drawn if name.endswith("-rate")] == ["expF-rate"]
    filled = drawn["expF-rate"].filled(numbers)
    (triangular,) = (t for t in filled["datasets"]["tables"] if t["table"].startswith("expF"))
    assert [triangular["mean"][e] for e in (0, 60, 75, 90, 150)] == [0.1, 0.001, 0.1, 0.001, 0.001]
    said = "In the last epoch: baseline 0.1, outpost 0.001, triangular 0.001."
    assert drawn["expF-rate"].spec["description"].endswith(said)
    assert "<svg" in to_svg(filled)


def test_the_rate_of_a_shape_in_one_block_is_that_blocks() -> None:
    shape = {"shape": "linear", "to": 0.0, "until": 160}
    params = synthetic.small(own={"one": {"64": {"60": shape}}, "step": {"64": {"60": 0.01}}})
    one, step = (
        tables.highest_rates(schedule(params, find_variant(params, f"own-{name}")))
        for name in ("one", "step")
    )
    assert [one[epoch] for epoch in (0, 60, 110, 160, 199)] == pytest.approx([0.1, 0.1, 0.05, 0, 0])
    assert set(step) == {0.1}


def test_every_shape_has_a_symbol_in_the_tree_and_is_marked_on_its_own_lane() -> None:
    params = synthetic.small(
        expF=CYCLES,
        experiments=[],
        own={
            "line": {"network": {"100": {"shape": "linear", "to": 0.0}}},
            "factor": {"network": {"100": {"shape": "exponential", "to": 0.001}}},
        },
    )
    spec = shared_pasts(params).spec
    marks = [
        (row["lane"], row["epoch"], row["what"])
        for rows in spec["datasets"].values()
        for row in rows
        if "what" in row
    ]
    # A shape may begin in the last epoch that a run shares with the one that it leaves.
    assert {("expF-cosine", 60, "cosine"), ("own-line", 100, "linear")} <= set(marks)
    words = {what for _, _, what in marks}
    assert words <= set(SHAPES) and {"exponential", "warm restarts", "plateau"} <= words
    assert len(marks) == len(set(marks))


@in_one_process
def test_curves_of_a_shared_past_are_drawn_once(whole: Reported) -> None:
    found = whole.figures

    def common(name: str) -> dict[str, int]:
        (rows,) = (rows for rows in found[name]["datasets"].values() if "table" in rows[0])
        return {row["curve"]: row["common"] for row in rows}

    ends = dict.fromkeys(("64", "128", "256", "512"), 139)
    assert common("expD-val_loss") == {"baseline": 0, "outpost": 59, **ends}
    # A view has its own validation, and the baseline's training.
    assert common("expE-val_loss")["ema"] == 59
    assert common("expE-train_loss")["ema"] == 199
    # A state before epoch 140 is shared, and what happens from 130 to 140 as well.
    assert common("expD-sharpness")["64"] == 140
    assert common("expD-signals")["64"] == 130


def hovered(name: str) -> set[str | None]:
    """Where the rules of all epochs stand that a pointer can be near, with a line of this name."""
    own = {name: {"64": {"60": 0.01}}}
    params = synthetic.small(seeds=[0], experiments=[], own=own, train={"time_scale": 0.1})
    drawn = drawings.draw(synthetic.Study(params).results())
    spec = drawn.everything()["own-val_top1_pct"].filled(drawn.tables)
    (rule,) = (layer for layer in spec["layer"] if layer.get("name") == "hover")
    seen = {**rule, "name": "seen", "encoding": {**rule["encoding"], "opacity": {"value": 1}}}
    picture = ElementTree.fromstring(to_svg({**spec, "layer": [seen]}))
    groups = [e for e in picture.iter() if "mark-rule role-mark" in (e.get("class") or "")]
    return {line.get("transform") for group in groups for line in group}


def test_values_are_told_at_their_epoch_whatever_a_line_is_called() -> None:
    wanted = hovered("other")
    assert len(wanted) == 20
    assert hovered("epoch") == wanted


def test_no_two_lines_of_a_panel_look_alike() -> None:
    params = synthetic.parameters()
    for panel in panels(params):
        styles = line_styles(params, panel)
        assert len(set(styles.values())) == len(styles) == len(panel.lines)
        for block, colour in zip(params.blocks, theme.BLOCK_COLOURS, strict=False):
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


def test_signals_are_means_over_seeds_and_told_per_unit_of_path() -> None:
    study = synthetic.Study(synthetic.small(train={"time_scale": 0.1}))
    study.remeasure("baseline-0", forward_change=0.2, forward_cka=0.9, path=4.0)
    study.remeasure("baseline-1", forward_change=0.4, forward_cka=0.7, path=4.0)
    table = tables.of_results(study.results())["baseline/stability"]
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


def test_a_place_that_cannot_be_measured_is_named_and_has_no_empty_cell() -> None:
    study = synthetic.Study(synthetic.small(train={"time_scale": 0.1}))
    for run in study.runs:
        missing = study.stability[run]["block"] == "128"
        study.stability[run].loc[missing, ["backward_change", "backward_cka"]] = None
    drawn = drawings.draw(study.results())
    figure = drawn.everything()["expB-signals"]
    assert "not measured: out of 128" in figure.spec["title"]["subtitle"]
    shown = texts(ElementTree.fromstring(to_svg(figure.filled(drawn.tables))))
    assert "out of 64" in shown and "out of 128" not in shown


def field_rows(study: synthetic.Study, name: str, distance: str) -> list[dict[str, Any]]:
    table = tables.of_results(study.results())[f"{name}/field"]
    return [row for row in tables.rows(table) if row["distance"] == distance]


SIGNALS = ("forward_change", "forward_cka", "backward_change", "backward_cka")


@pytest.mark.parametrize(
    ("lacking", "signals", "functional"),
    [
        (("changed_pct",), True, False),
        (SIGNALS, False, True),
        (("forward_change", "backward_change"), True, True),
    ],
)
def test_a_column_of_stability_without_a_number_leaves_the_others_to_be_drawn(
    lacking: tuple[str, ...], signals: bool, functional: bool
) -> None:
    study = synthetic.Study(synthetic.small(seeds=[0], train={"time_scale": 0.1}))
    study.remeasure("expB-64-0", **dict.fromkeys(lacking, np.nan))
    figures = drawings.draw(study.results()).everything()
    others = {"baseline", "128", "256", "512"}
    for name, has in (("expB-signals", signals), ("expB-functional", functional)):
        spec = figures[name].spec
        assert legend(spec) == (others | {"64"} if has else others)
        assert not re.search(r"nan|None", spec["description"])
    told = figures["expB-functional"].spec["title"]["subtitle"]
    assert ("not measured: 64" in told) == (not functional)
    for run in study.runs:
        study.remeasure(run, **dict.fromkeys(lacking, np.nan))
    drawn = drawings.draw(study.results()).everything()
    assert ("expB-signals" in drawn, "expB-functional" in drawn) == (signals, functional)


def test_shifts_of_the_field_are_roots_of_mean_squares_over_seeds() -> None:
    study = synthetic.Study(synthetic.small(train={"time_scale": 0.1}))
    study.move("baseline-0", shift_squared=0.04, gradient_cosine=0.9, path=4.0)
    study.move("baseline-1", shift_squared=0.16, gradient_cosine=0.7, path=4.0)
    rows = field_rows(study, "baseline", "step")
    assert {row["block"] for row in rows} == {"64", "128", "256", "512"}
    assert {row["epoch"] for row in rows} == set(range(20))
    for row in rows:
        shift, path, cosine = (
            [row[f"{what}_{end}"] for end in tables.ENDS] for what in tables.SHIFTS
        )
        assert shift == pytest.approx([0.1**0.5, 0.2, 0.4], rel=1e-4)
        assert path == pytest.approx([end / 4 for end in shift], rel=1e-4)
        assert cosine == pytest.approx([0.2, 0.1, 0.3])


def test_a_negative_square_counts_in_the_mean_and_alone_is_no_shift() -> None:
    study = synthetic.Study(synthetic.small(train={"time_scale": 0.1}))
    squares = {"baseline": (-0.06, 0.10), "expB-64": (-0.10, 0.06)}
    for name, found in squares.items():
        for seed, square in enumerate(found):
            study.move(f"{name}-{seed}", shift_squared=square, path=1.0)
    ends = {
        name: [[row[f"shift_{end}"] for end in tables.ENDS] for row in rows]
        for name in squares
        for rows in (field_rows(study, name, "epoch"),)
    }
    assert ends["baseline"] == [pytest.approx([0.02**0.5, 0, 0.1**0.5], rel=1e-4)] * 80
    assert ends["expB-64"] == [pytest.approx([0, 0, 0.06**0.5], rel=1e-4)] * 80
    drawn = drawings.draw(study.results())
    picture = ElementTree.fromstring(to_svg(drawn.everything()["expB-field"].filled(drawn.tables)))
    marks = {
        kind: [e for g in picture.iter() if kind in (g.get("class") or "") for e in g]
        for kind in ("mark-line", "mark-symbol role-mark")
    }
    grey, blue = "#8A8A8A", "#0072B2"
    # A cell a block: the baseline's line, and of block 64 nothing but triangles from epoch 6 on.
    lines = [e.get("d") or "" for e in marks["mark-line"] if e.get("stroke") == grey]
    assert len(lines) == 4 and all(line.count("L") == 19 for line in lines)
    assert not any("L" in (e.get("d") or "") for e in marks["mark-line"] if e.get("stroke") == blue)
    spots = [e for e in marks["mark-symbol role-mark"] if e.get("fill") == blue]
    assert len(spots) == 4 * 15
    # The scale begins at what is drawn: no band reaches for zero.
    assert all("NaN" not in (e.get("d") or "") for e in picture.iter())
    axis = [float(text) for text in texts(picture) if re.fullmatch(r"0?\.?\d+", text)]
    assert min(value for value in axis if value) >= 0.01


def test_a_line_on_a_logarithmic_scale_breaks_where_there_is_no_number() -> None:
    study = synthetic.Study(synthetic.small(seeds=[0], train={"time_scale": 0.1}))
    table = study.field["baseline-0"]
    gap = table["epoch"].isin([9, 10]).to_numpy()
    study.move("baseline-0", shift_squared=np.where(gap, -0.01, 0.09))
    drawn = drawings.draw(study.results())
    picture = ElementTree.fromstring(to_svg(drawn.everything()["expB-field"].filled(drawn.tables)))
    lines = [
        e.get("d") or ""
        for g in picture.iter()
        if "mark-line" in (g.get("class") or "")
        for e in g
        if e.get("stroke") == "#8A8A8A"
    ]
    assert [(line.count("M"), line.count("L")) for line in lines] == [(2, 16)] * 4


def test_the_noise_of_a_batch_is_marked_where_shifts_are_told_in_it() -> None:
    study = synthetic.Study(synthetic.small(seeds=[0], train={"time_scale": 0.1}))
    drawn = drawings.draw(study.results())
    filled = drawn.everything()["expB-field"].filled(drawn.tables)

    def at_one(shift: str) -> int:
        params = [p | ({"value": shift} if p["name"] == "shift" else {}) for p in filled["params"]]
        picture = ElementTree.fromstring(to_svg({**filled, "params": params}))
        return sum(e.get("stroke-dasharray") == "6,3" for e in picture.iter())

    assert [at_one(shift) for shift in tables.SHIFTS] == [4, 0, 0]


def test_an_eigenvalue_that_did_not_converge_is_a_bound_and_no_point_of_a_line() -> None:
    study = synthetic.Study(synthetic.small(train={"time_scale": 0.1}))
    study.curve("expB-64-0", 9.0)
    study.curve("expB-64-1", None)
    results = study.results()
    table = tables.of_results(results)["expB-64/sharpness"]
    rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    plain = [r for r in rows if (r["kind"], r["trait"]) == ("plain", "eigenvalue")]
    assert plain
    assert all((row["converged"], row["mean"]) == (False, 8.0) for row in plain)
    drawn = drawings.draw(results)
    assert "64 at least 8" in drawn.everything()["expB-sharpness"].spec["description"]
    assert "expB-64 (seed 1): eigenvalue did not converge or is not positive" in drawn.left_out
    lines = [
        layer
        for layer in drawn.everything()["expB-sharpness"].spec["spec"]["layer"]
        if layer["mark"]["type"] in ("line", "area")
    ]
    assert len(lines) == 2
    assert all({"filter": "datum.converged"} in layer["transform"] for layer in lines)


def of_network(study: synthetic.Study, name: str) -> dict[str, dict[str, Any]]:
    """What is drawn of a run's sharpness at the end, by trait."""
    table = tables.of_results(study.results())[f"{name}/sharpness"]
    where = {"kind": "plain", "block": "network", "epoch": study.params.train.run_epochs}
    return {row["trait"]: row for row in tables.rows(table) if where.items() <= row.items()}


def test_traces_and_eigenvalues_are_drawn_with_their_errors_of_measurement() -> None:
    study = synthetic.Study(synthetic.small(seeds=[0], train={"time_scale": 0.1}))
    for run, trace in (("outpost-0", 100.0), ("baseline-0", 110.0)):
        for found in study.sharpness[run]["measurements"]:
            found |= {"eigenvalue": 10.0, "eigenvalue_error": 0.05, "trace": trace, "trace_se": 4.0}
    mine, other = of_network(study, "outpost"), of_network(study, "baseline")
    top = mine["eigenvalue"]
    assert [top[key] for key in ("low", "mean", "high", "error")] == [10, 10, 10.05, 0.05]
    # A difference of traces that is within their errors is no gap between their ranges.
    assert [mine["trace"][key] for key in ("low", "mean", "high", "error")] == [92, 100, 108, 8]
    assert [other["trace"][key] for key in ("low", "mean", "high", "error")] == [102, 110, 118, 8]
    drawn = drawings.draw(study.results()).everything()
    for name, layers in (
        ("expB-sharpness", drawn["expB-sharpness"].spec["spec"]["layer"]),
        ("sharpness-end", drawn["sharpness-end"].spec["layer"]),
    ):
        assert any(
            "errors of measurement" in line for line in drawn[name].spec["title"]["subtitle"]
        )
        told = [layer["encoding"].get("tooltip", []) for layer in layers]
        assert any({"error"} <= {each["field"] for each in tooltip} for tooltip in told)
    subtitle = drawn["question"].spec["title"]["subtitle"]
    assert subtitle[-1] == "eigenvalues: stated error at most 0.5%"


def test_errors_that_are_not_known_are_not_said_to_be_small() -> None:
    # Files of version 1 of the measures: no bound of eigenvalues, traces of two random vectors.
    study = synthetic.Study(synthetic.small(seeds=[0], train={"time_scale": 0.1}))
    for content in study.sharpness.values():
        for found in content["measurements"]:
            del found["eigenvalue_error"], found["adaptive_eigenvalue_error"]
            found |= {"trace": 10.0, "trace_se": 7.0}
    found = of_network(study, "outpost")
    assert found["eigenvalue"]["error"] is None
    assert [found["trace"][key] for key in ("low", "high", "error")] == [-4, 24, 14]
    drawn = drawings.draw(study.results()).everything()
    assert "off by" not in drawn["sharpness-end"].spec["description"]
    assert not any("off by" in line for line in drawn["question"].spec["title"]["subtitle"])
    (area,) = (
        layer
        for layer in drawn["expB-sharpness"].spec["spec"]["layer"]
        if layer["mark"]["type"] == "area"
    )
    # Zero has no place on a logarithmic scale: the range goes on below, and is not left out.
    assert {"calculate": measured.ON_LOG_SCALE["low"], "as": "low"} in area["transform"]
    assert not any("low" in str(step.get("filter")) for step in area["transform"])


def test_the_question_has_no_place_for_sharpness_of_another_protocol() -> None:
    study = synthetic.Study(synthetic.small(train={"time_scale": 0.1}))
    study.sharpness["expB-64-1"]["protocol"]["images"] *= 2
    drawn = drawings.draw(study.results())
    assert "expB-64 (seed 1): sharpness was measured with other images than the baseline's" in (
        drawn.left_out
    )


def test_the_question_places_variants_by_ratios_to_the_baseline_of_their_seed() -> None:
    study = synthetic.Study(synthetic.small(train={"time_scale": 0.1}))
    for seed, factor in enumerate((2.0, 8.0)):
        study.curve(f"baseline-{seed}", 10.0)
        study.curve(f"outpost-{seed}", 10.0 * factor)
        study.remeasure(f"baseline-{seed}", forward_change=0.4)
        study.remeasure(f"outpost-{seed}", forward_change=0.1)
        study.change(f"baseline-{seed}", val_top1_pct=80.0)
        study.change(f"outpost-{seed}", val_top1_pct=80.0 + factor)
    study.remeasure("expB-64-0", forward_change=0.0)
    points, left_out = locate(study.params, study.collection())
    mean, *seeds = [p.row() for p in points if p.variant.name == "outpost"]
    assert (mean["sharpness"], mean["drift"], mean["gain"]) == pytest.approx((4, 0.25, 5))
    assert [row["sharpness"] for row in seeds] == pytest.approx([2, 8])
    (why,) = (why for why, names in left_out.items() if "expB-64 (seed 0)" in names)
    assert "exactly still" in why


def boxes(points: list[Point], width: float, height: float) -> dict[str, list[float]]:
    """Left, top, right and bottom of each name, 6.6 pixels a letter, from its row."""
    (left, right), (bottom, top) = question.domains(points)
    found = {}
    for row in question.names(points, width, height):
        x = log(row["sharpness"] / left) / log(right / left) * width + row["dx"]
        y = log(top / row["drift"]) / log(top / bottom) * height + row["dy"]
        long = 6.6 * len(row["name"])
        start = x - {"left": 0, "center": long / 2, "right": long}[row["align"]]
        found[row["name"]] = [start, y - 6, start + long, y + 6]
    return found


@pytest.mark.parametrize("size", question.SIZES.values())
def test_names_in_the_question_cover_neither_points_nor_each_other(size: tuple[int, int]) -> None:
    random = np.random.default_rng(3)
    names = [variant for variant in variants(synthetic.parameters()) if variant.block]
    points = [Point(variant, None, *random.normal(0, 0.7, 2), gain=1.0) for variant in names]
    (left, right), (bottom, top) = question.domains(points)
    spots = [
        (
            (p.sharpness - log(left)) / log(right / left) * size[0],
            (log(top) - p.drift) / log(top / bottom) * size[1],
        )
        for p in points
    ]
    found = boxes(points, *size)
    # Most of 25 have room, not all of them.
    assert len(found) >= 15
    for one, other in combinations(found.values(), 2):
        apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert apart
    for box in found.values():
        assert box[0] >= 0 and box[2] <= size[0] + 0.1
        assert not any(box[0] < x < box[2] and box[1] < y < box[3] for x, y in spots)


def test_a_name_keeps_clear_of_seeds_where_it_can() -> None:
    who = Variant("outpost")
    mean = Point(who, None, -1.0, -1.0, 1.0)
    # To the right of the mean, where its name would stand first.
    seeds = [Point(who, seed, 0.05 * seed - 1, -1.0, 1.0) for seed in (1, 2)]
    (alone,) = question.names([mean], 640, 400)
    (beside,) = question.names([mean, *seeds], 640, 400)
    assert (alone["align"], alone["dy"]) == ("left", 0)
    assert (beside["align"], beside["dy"]) == ("center", -13)


def test_who_has_no_place_in_the_question_is_named_with_the_reason() -> None:
    study = synthetic.Study(
        synthetic.parameters(seeds=[0], train={"time_scale": 0.1}, ceiling={"seeds": []})
    )
    _, left_out = locate(study.params, study.collection())
    assert left_out == {
        "a view, measured as the baseline": ["expE-ema", "expE-bnrecal"],
        "some signals stand exactly still, so their ratio says nothing": [
            *("strict-128", "strict-256", "strict-512"),
        ],
    }


def test_barriers_are_drawn_for_each_end_and_what_lacks_is_named_on_the_page() -> None:
    study = synthetic.Study(synthetic.parameters(seeds=[0, 1]))
    for seed, top in enumerate((0.5, 0.7)):
        study.lines[f"expB-64-{seed}", "baseline"] = [0.1, 0.1 + top, 0.1]
    del study.lines["expB-64-0", "ema"], study.lines["expB-64-1", "ema"]
    results = study.results()
    figure = drawings.draw(results).summary["barriers"]
    rows = {(row["curve"], row["state"]): row for row in figure.spec["datasets"]["barriers"]}
    assert len(rows) == 24 * 3 + 1 - 1
    found = rows["expB-64", "baseline's end"]
    numbers = [found[key] for key in ("mean", "low", "high", "seeds")]
    assert numbers == pytest.approx([0.6, 0.5, 0.7, 2])
    assert ("expB-64", "averaged baseline's end") not in rows
    assert "expB-64 to baseline's end 0.6;" in figure.spec["description"]
    html = render.render(results)
    assert "Not measured: expB-64-0 to ema: the run&#39;s end is not in the store." in html
    assert 'href="#basins"' in html and 'id="basins"' in html
    assert results.summaries["expB-64"]["barrier_loss_to_baseline"] == pytest.approx(0.6)
    assert results.summaries["expB-64"]["barrier_loss_to_ema"] is None


def test_a_study_that_asks_for_no_barriers_has_none_of_it() -> None:
    measure = {**synthetic.parameters().measure.model_dump(mode="json")}
    measure["barriers"]["images"] = None
    results = synthetic.Study(synthetic.small(measure=measure)).results()
    drawn = drawings.draw(results)
    assert "barriers" not in drawn.summary
    assert "basins" not in render.render(results, drawn)
    assert not any("barrier" in name for name in results.summaries["outpost"])


def test_rivals_are_drawn_with_their_share_of_the_outposts_gain() -> None:
    study = synthetic.Study(
        synthetic.small(
            seeds=[0, 1, 2],
            expE={"head": {"freeze_epoch": 60}},
        )
    )
    for seed in range(3):
        study.change(f"baseline-{seed}", val_top1_pct=80.0)
        study.change(f"outpost-{seed}", val_top1_pct=90.0)
        study.change(f"expE-head-{seed}", val_top1_pct=87.0 + seed)
    figure = rivals.rivals(study.results())
    assert figure
    assert "expE-head 80% (" in figure.spec["description"]
    for seed in range(3):
        study.change(f"outpost-{seed}", val_top1_pct=79.0)
    assert rivals.rivals(study.results()) is None


@pytest.mark.parametrize(("gain", "edge"), [(9.0, "right"), (-9.0, "left"), (1.0, "")])
def test_a_rival_beyond_the_picture_stands_at_its_edge(gain: float, edge: str) -> None:
    rival = {"head": {"freeze_epoch": 60}}
    study = synthetic.Study(synthetic.small(seeds=[0], train={"time_scale": 0.1}, expE=rival))
    for name, top1 in (("baseline", 80.0), ("outpost", 81.0), ("expE-head", 80.0 + gain)):
        study.change(f"{name}-0", val_top1_pct=top1)
    figure = rivals.rivals(study.results())
    assert figure
    picture = ElementTree.fromstring(to_svg(figure.filled({})))
    marks = [e for g in picture.iter() if "mark-symbol" in (g.get("class") or "") for e in g]
    (mark,) = (e for e in marks if e.get("fill") == theme.GAIN_COLOUR)
    place = re.match(r"translate\(([\d.]+),", mark.get("transform") or "")
    assert place
    assert (float(place[1]) == 0) == (edge == "left")
    told = figure.spec["title"]["subtitle"][-1]
    assert ("triangles: means beyond" in told) == bool(edge)
    # A circle has arcs, a triangle none.
    assert ("A" in (mark.get("d") or "")) == (not edge)


def texts(root: ElementTree.Element) -> list[str]:
    return [
        "".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")
    ]


@in_one_process
def test_every_figure_of_the_page_is_an_svg_file(whole: Reported) -> None:
    drawn = whole.figures
    found = {path.name: path.read_text() for path in (whole.root / paths.FIGURES).iterdir()}
    assert set(found) == {f"{name}.svg" for name in drawn}
    for name, spec in drawn.items():
        text = found[f"{name}.svg"]
        root = ElementTree.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert {"width", "height", "viewBox"} <= set(root.keys())
        assert len(text) < 250_000, name
        assert 'fill="white"' in text, name
        assert not re.search(r'(href|src)="|url\(http|NaN', text), name
        # Its legend is whole, and so is its title.
        assert legend(spec) <= set(texts(root)), name
        title = spec["title"]["text"]
        assert isinstance(title, dict) or title in texts(root), name


@in_one_process
def test_svg_files_have_what_is_drawn_and_nothing_that_waits_for_a_pointer(whole: Reported) -> None:
    folder = whole.root / paths.FIGURES
    curves = ElementTree.parse(folder / "expC-val_loss.svg").getroot()
    paths_of = [e for e in curves.iter() if "mark-line" in (e.get("class") or "")]
    assert sum(len(list(group)) for group in paths_of) == 6
    assert {"decay", "freeze"} <= set(texts(curves))
    warning = "not the official CIFAR-10: the first tenth of C…"
    assert any(text.startswith(warning) for text in texts(curves))
    # References are told from blocks by dashes too.
    dashes = {e.get("stroke-dasharray") for group in paths_of for e in group}
    assert {"5,3", "9,3"} < dashes
    signals = texts(ElementTree.parse(folder / "expA-signals.svg").getroot())
    assert {"into 128", "last features", "out of 64", "out of 512"} < set(signals)
    assert not any("mark-symbol" in (e.get("class") or "") and len(e) > 50 for e in curves.iter())
    # Ticks keep their digits, paths do not.
    assert "0.02" in signals
    assert not re.search(r' d="[^"]*\.\d\d', (folder / "expC-val_loss.svg").read_text())


def test_a_long_name_stands_whole_in_the_legend() -> None:
    own = {"a_rather_long_name_of_an_intervention": {"64": {"60": 0.01}}}
    params = synthetic.small(seeds=[0], train={"time_scale": 0.1}, experiments=[], own=own)
    found = drawings.draw(synthetic.Study(params).results())
    (panel,) = panels(params)
    picture = ElementTree.fromstring(
        to_svg(found.curves[panel]["own-val_loss"].filled(found.tables))
    )
    assert "a_rather_long_name_of_an_intervention" in texts(picture)
