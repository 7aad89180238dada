"""Figures of variants: windows, means, spread, curves, files."""

import itertools
import json
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dvc.commands.metrics import DEFAULT_PRECISION
from dvc.compare import metrics_table

from netstab import files, paths
from netstab.evidence import report
from netstab.evidence.summary.curves import bands, curves, panels
from netstab.evidence.summary.summaries import from_file, to_file
from netstab.evidence.summary.windows import final_window, jitter_window
from netstab.params import Params
from netstab.results.schema import MEASURES
from netstab.study.barriers import AGAINST
from netstab.study.experiments import find_variant, schedule
from tests import synthetic
from tests.synthetic_measures import curvature
from tests.synthetic_report import PANELS, Reported, in_one_process

TINY: dict[str, Any] = {"seeds": [0], "train": {"time_scale": 0.1}}


def table_of_curves(study: synthetic.Study) -> pd.DataFrame:
    return curves(study.params, bands(study.collection()))


def window(params: Params, name: str) -> int | None:
    return jitter_window(params, schedule(params, find_variant(params, name)))


def test_final_and_jitter_follow_their_definitions() -> None:
    study = synthetic.Study(synthetic.small())
    summary = study.results().summaries["expB-64"]
    for measure in MEASURES:
        seeds = [study.histories[f"expB-64-{seed}"][measure].tolist() for seed in (0, 1)]
        finals = [mean(curve[190:]) for curve in seeds]
        jitters = []
        for curve in seeds:
            last = curve[150:]
            jitters.append(stdev(b - a for a, b in itertools.pairwise(last)) / sqrt(2))
        assert summary[f"final_{measure}"] == pytest.approx(mean(finals), rel=1e-5)
        assert summary[f"final_{measure}_sd"] == pytest.approx(stdev(finals), rel=1e-5)
        assert summary[f"jitter_{measure}"] == pytest.approx(mean(jitters), rel=1e-5)
        assert summary[f"jitter_{measure}_sd"] == pytest.approx(stdev(jitters), rel=1e-5)


def test_jitter_of_independent_noise_is_its_deviation_and_of_a_trend_nothing() -> None:
    study = synthetic.Study(synthetic.small(seeds=[0], report={"jitter_epochs": 100}))
    noise = np.random.default_rng(7).normal(80.0, 2.5, 200)
    study.change("baseline-0", val_top1_pct=noise, val_loss=np.linspace(3, 1, 200))
    summary = study.results().summaries["baseline"]
    assert summary["jitter_val_top1_pct"] == pytest.approx(2.5, rel=0.15)
    assert summary["jitter_val_loss"] == pytest.approx(0, abs=1e-12)


def test_spread_is_over_seeds_and_none_for_one_seed() -> None:
    study = synthetic.Study(synthetic.small())
    study.change("baseline-0", val_top1_pct=90.0)
    study.change("baseline-1", val_top1_pct=92.0)
    summary = study.results().summaries["baseline"]
    assert summary["n_seeds"] == 2
    assert summary["final_val_top1_pct"] == 91
    assert summary["final_val_top1_pct_sd"] == pytest.approx(sqrt(2), rel=1e-5)

    alone = synthetic.Study(synthetic.small(seeds=[0]))
    alone.change("baseline-0", val_top1_pct=90.0)
    summary = alone.results().summaries["baseline"]
    assert summary["n_seeds"] == 1
    assert summary["final_val_top1_pct"] == 90
    assert summary["final_val_top1_pct_sd"] is None


def test_windows_are_those_of_the_parameters_at_scale() -> None:
    article = synthetic.small()
    assert final_window(article) == 10
    assert window(article, "baseline") == 50
    mini = synthetic.small(train={"time_scale": 0.3})
    assert final_window(mini) == 3
    assert window(mini, "baseline") == 15
    tiny = synthetic.small(train={"time_scale": 0.02, "epochs": 200}, experiments=[])
    assert final_window(tiny) == 1


@pytest.mark.parametrize(
    ("freeze_epoch", "expected"), [(60, 50), (140, 50), (141, 49), (187, 3), (188, None)]
)
def test_jitter_window_keeps_clear_of_the_variants_own_last_intervention(
    freeze_epoch: int, expected: int | None
) -> None:
    params = synthetic.small(expB={"freeze_epoch": freeze_epoch})
    assert window(params, "expB-64") == expected
    assert window(params, "baseline") == 50


def test_variant_without_a_jitter_window_has_no_jitter_but_the_same_keys() -> None:
    study = synthetic.Study(synthetic.small(expB={"freeze_epoch": 195}))
    summaries = study.results().summaries
    late, baseline = summaries["expB-64"], summaries["baseline"]
    assert late["jitter_window_epochs"] is None
    assert late["jitter_val_loss"] is None
    assert late["final_val_loss"] is not None
    assert late.keys() == baseline.keys()


@in_one_process
def test_a_file_a_variant_all_flat_with_the_same_keys(whole: Reported) -> None:
    folder = whole.root / paths.VARIANTS
    written = {path.stem: json.loads(path.read_text()) for path in folder.iterdir()}
    assert len(written) == 27
    assert {"baseline", "outpost", "expA-64", "strict-512", "expE-ema", "own-warm_restart"} < (
        written.keys()
    )
    keys = list(written["baseline"])
    assert keys[:3] == ["n_seeds", "epochs", "jitter_window_epochs"]
    measured = (
        *("final_forward_drift_ppm", "final_backward_drift_ppm", "final_field_shift_ppm"),
        *("final_sharpness", "final_trace", "final_adaptive_sharpness"),
    )
    assert from_file(written["baseline"]) == whole.results.summaries["baseline"]
    measures = [f"{name}_mnats" if name.endswith("loss") else name for name in MEASURES]
    told = [f"{kind}_{measure}" for kind in ("final", "jitter") for measure in measures]
    errors = {f"{key}_error" for key in measured[3:]}
    spread = {f"{key}{end}" for key in (*told, *measured) for end in ("", "_sd")}
    heights = [f"barrier_loss_mnats_to_{against}" for against in AGAINST]
    barriers = {f"{name}{end}" for name in heights for end in ("", "_sd")}
    assert {*keys[3:]} == spread | errors | barriers
    for name, summary in written.items():
        assert list(summary) == keys
        assert all(value is None or isinstance(value, int | float) for value in summary.values())
        # A view is the baseline seen otherwise: nothing of it is measured.
        is_view = name in ("expE-ema", "expE-bnrecal")
        assert all((summary[key] is None) == is_view for key in (*measured, heights[2])), name
        # The baseline's end is not joined with itself.
        alone = is_view or name == "baseline"
        assert all((summary[key] is None) == alone for key in heights[:2]), name


def test_drift_and_sharpness_at_the_end_are_means_over_seeds_of_what_was_measured() -> None:
    study = synthetic.Study(synthetic.small())
    for seed, (change, top) in enumerate(((0.2, 12.0), (0.4, 16.0))):
        run = f"expB-64-{seed}"
        # Only the epochs of the jitter window count, the last 50.
        late = study.stability[run]["epoch"] >= 150
        study.remeasure(
            run,
            forward_change=np.where(late, change, 7.0),
            backward_change=np.where(late, 0.4, 7.0),
        )
        for found in study.sharpness[run]["measurements"]:
            at_the_end = (found["epoch"], found["block"]) == (200, "network")
            found |= curvature(200, "network", top) if at_the_end else {"eigenvalue": 99.0}
    summary = study.results().summaries["expB-64"]
    assert summary["final_forward_drift"] == pytest.approx(0.3)
    assert summary["final_forward_drift_sd"] == pytest.approx(0.2 / sqrt(2), rel=1e-5)
    assert summary["final_backward_drift"] == pytest.approx(0.4)
    assert summary["final_backward_drift_sd"] == pytest.approx(0)
    assert summary["final_sharpness"] == 14
    assert summary["final_sharpness_sd"] == pytest.approx(sqrt(8), rel=1e-5)
    assert summary["final_adaptive_sharpness"] == 42
    assert summary["final_sharpness_error"] == pytest.approx(0.005 * 14)
    assert summary["final_adaptive_sharpness_error"] == pytest.approx(0.01 * 14)
    assert summary["final_trace"] == 22 * 14
    # Of two traces with errors of 1.1 * 12 and 1.1 * 16; their mean's is smaller.
    assert summary["final_trace_error"] == pytest.approx(11)
    # Beside each other, as `dvc metrics diff` has them.
    keys = list(summary)
    at = keys.index("final_trace")
    assert keys[at : at + 3] == ["final_trace", "final_trace_sd", "final_trace_error"]


def test_the_fields_shift_at_the_end_is_the_root_of_a_mean_square_in_each_seed() -> None:
    study = synthetic.Study(synthetic.small())
    for seed, squares in enumerate(((-0.02, 0.10), (0.05, 0.13))):
        table = study.field[f"expB-64-{seed}"]
        # Only the epochs of the jitter window count, 150 to 190, and of them the whole network.
        ends = {150: squares[0], 160: squares[1]}
        late = table["epoch"].map(ends).fillna(sum(squares) / 2).to_numpy()
        kept = (table["epoch"] >= 150) & (table["block"] == "network")
        study.move(f"expB-64-{seed}", shift_squared=np.where(kept, late, 7.0))
    summary = study.results().summaries["expB-64"]
    assert summary["final_field_shift"] == pytest.approx((0.2 + 0.3) / 2)
    assert summary["final_field_shift_sd"] == pytest.approx(0.1 / sqrt(2), rel=1e-5)
    assert to_file(summary)["final_field_shift_ppm"] == pytest.approx(250_000)
    # Less than the images can tell in one seed: the others are no random sample.
    study.move("expB-64-1", shift_squared=-0.01)
    summary = study.results().summaries["expB-64"]
    assert summary["final_field_shift"] is summary["final_field_shift_sd"] is None


@pytest.mark.parametrize("seeds", [(0, 1), (1,)])
def test_an_eigenvalue_that_did_not_converge_is_no_figure(seeds: tuple[int, ...]) -> None:
    study = synthetic.Study(synthetic.small())
    for seed in seeds:
        study.curve(f"expB-64-{seed}", None)
    summary = study.results().summaries["expB-64"]
    # The mean of the others is none either: which seeds those are need not be by chance.
    assert summary["final_sharpness"] is summary["final_sharpness_sd"] is None
    assert summary["final_sharpness_error"] is None
    assert summary["final_trace"] is not None
    assert summary["final_trace_sd"] is not None
    assert summary["final_adaptive_sharpness"] is not None


def test_figures_are_rounded_to_six_digits() -> None:
    study = synthetic.Study(synthetic.small(seeds=[0]))
    study.change("baseline-0", val_loss=1 / 3)
    assert study.results().summaries["baseline"]["final_val_loss"] == 0.333333


def test_small_figures_keep_three_digits_in_dvc_metrics_show() -> None:
    study = synthetic.Study(synthetic.small())
    noise = np.random.default_rng(5).normal(1.0, 1e-3, 400)
    for seed in (0, 1):
        losses = 0.02 * noise[200 * seed :][:200]
        study.change(f"expB-64-{seed}", train_loss=losses, val_loss=losses)
        change = 2e-6 * noise[seed]
        study.remeasure(f"expB-64-{seed}", forward_change=change, backward_change=change)
    summary = study.results().summaries["expB-64"]
    small = {k: v for k, v in summary.items() if isinstance(v, float) and 0 < v < 1e-5}
    assert {"jitter_val_loss_sd", "final_val_loss_sd", "final_forward_drift"} <= small.keys()

    metrics = {"": {"data": {"expB-64.json": {"data": to_file(summary)}}}}
    table = metrics_table(metrics, precision=DEFAULT_PRECISION, round_digits=True)
    shown = dict(zip(table.keys(), next(iter(table)), strict=True))
    known = {name: text for name, text in shown.items() if name != "Path" and text != "None"}
    read = from_file({name: float(text) for name, text in known.items()})
    for name, value in small.items():
        assert read[name] == pytest.approx(value, rel=0.005), name


def test_files_of_what_is_no_longer_asked_for_are_removed(root: Path) -> None:
    study = synthetic.Study(synthetic.small(**TINY))
    study.write(root)
    report.make(study.params)
    assert (paths.VARIANTS / "expB-64.json").exists()
    assert (paths.FIGURES / "expB-val_loss.svg").exists()
    report.make(synthetic.small(**TINY, experiments=[]))
    assert names(paths.VARIANTS) == ["baseline.json", "outpost.json"]
    assert not any(name.startswith("expB") for name in names(paths.FIGURES))
    assert names(paths.METRICS) == [
        *("barriers.json", "ceiling.json", "claims.csv", "claims.json", "curves.csv"),
        *("figures", "report.html", "runs", "variants"),
    ]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_folder_is_whole_after_a_crash_at_any_step(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = root / "variants"
    files.write_folder(folder, {"old.json": "old"})
    renames = 0
    rename = Path.rename

    class Crash(BaseException):
        pass

    def crash_at(step: int) -> None:
        def counted(path: Path, target: Path) -> Path:
            nonlocal renames
            renames += 1
            if renames == step:
                raise Crash
            return rename(path, target)

        monkeypatch.setattr(Path, "rename", counted)

    for step in (1, 2, 1):
        renames = 0
        crash_at(step)
        with pytest.raises(Crash):
            files.write_folder(folder, {"new.json": "new"})
        monkeypatch.setattr(Path, "rename", rename)
        left = folder if folder.exists() else folder.with_name(".variants.old")
        assert [path.name for path in left.iterdir()] == ["old.json"]
    files.write_folder(folder, {"new.json": "new"})
    assert [path.name for path in root.iterdir()] == ["variants"]
    assert [path.name for path in folder.iterdir()] == ["new.json"]


def test_panels_draw_each_experiment_with_the_articles_references() -> None:
    drawn = {p.experiment: [line.label for line in p.lines] for p in panels(synthetic.parameters())}
    blocks = ["64", "128", "256", "512"]
    assert drawn == {
        "expA": ["outpost", *blocks],
        "expB": ["baseline", *blocks],
        "expC": ["baseline", "outpost", *blocks],
        "expD": ["baseline", "outpost", *blocks],
        "expE": [
            *("baseline", "outpost"),
            *(f"strict-{block}" for block in blocks),
            *("ema", "bnrecal", "batch", "head"),
        ],
        "own": ["baseline", "outpost", "warm_restart"],
    }


def test_own_intervention_with_a_references_name_keeps_curves_apart() -> None:
    params = synthetic.small(experiments=[], own={"outpost": {"64": {"60": 0.01}}})
    (panel,) = panels(params)
    assert [line.label for line in panel.lines] == ["baseline", "outpost", "own-outpost"]


def test_curves_are_means_over_seeds_in_long_form() -> None:
    study = synthetic.Study(synthetic.small())
    table = table_of_curves(study)
    assert list(table) == ["experiment", "curve", "epoch", *MEASURES]
    assert table["curve"].drop_duplicates().tolist() == ["baseline", "64", "128", "256", "512"]
    assert len(table) == 5 * 200
    seeds = [study.histories[f"expB-128-{seed}"]["val_loss"] for seed in (0, 1)]
    drawn = table[(table["experiment"] == "expB") & (table["curve"] == "128")]["val_loss"]
    np.testing.assert_allclose(drawn, (seeds[0] + seeds[1]) / 2, rtol=1e-12)


@in_one_process
def test_curves_are_written_with_every_panel_and_six_digits(whole: Reported) -> None:
    written = pd.read_csv(whole.root / paths.CURVES, dtype={"curve": str})
    made = curves(whole.params, whole.results.bands)
    assert written["experiment"].drop_duplicates().tolist() == list(PANELS)
    assert len(written) == 200 * (5 + 5 + 6 + 6 + 10 + 3)
    for measure in MEASURES:
        np.testing.assert_allclose(written[measure], made[measure], rtol=1e-5)


def test_curves_without_any_experiment_have_their_header(root: Path) -> None:
    study = synthetic.Study(synthetic.small(experiments=[], **TINY))
    assert table_of_curves(study).empty
    study.write(root)
    report.make(study.params)
    assert paths.CURVES.read_text().startswith("experiment,curve,epoch,train_loss")
