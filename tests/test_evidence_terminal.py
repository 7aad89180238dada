"""What the report says on the terminal."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.utils.serialize import dumps_yaml
from rich.console import Console

from netstab import paths
from netstab.errors import NetstabError
from netstab.evidence.summary.summaries import to_file
from netstab.evidence.summary.terminal import read_summaries, summary_table
from netstab.files import write_folder
from netstab.params import Params, read
from netstab.study.experiments import variants
from tests import forks, synthetic
from tests.checkout import ROOT, content


def shown(width: int = 80) -> list[str]:
    console = Console(width=width, file=io.StringIO())
    with console.capture() as captured:
        console.print(summary_table(read_summaries()))
    return captured.get().splitlines()


def sum_up(study: synthetic.Study) -> None:
    """Write the variants' files of a report, and no more."""
    summaries = study.results().summaries
    write_folder(
        paths.VARIANTS, {f"{k}.json": json.dumps(to_file(s)) for k, s in summaries.items()}
    )


def test_table_shows_figures_with_their_spread_within_80_columns(root: Path) -> None:
    study = synthetic.Study(synthetic.small(train={"time_scale": 0.5}))
    study.change("outpost-0", val_top1_pct=94.0, val_loss=0.21)
    study.change("outpost-1", val_top1_pct=95.0, val_loss=0.22)
    sum_up(study)
    (row,) = (line for line in shown() if "outpost" in line)
    assert row.split()[:2] == ["outpost", "2"]
    assert "94.50 ± 0.71" in row
    assert "0.00 ± 0.00" in row
    assert "0.2150 ± 0.0071" in row


def test_names_of_the_shipped_study_are_whole_in_80_columns(root: Path) -> None:
    figures = {"val_top1_pct": 66.06, "val_loss": 1.0991, "train_loss": 0.6088}
    told = {f"final_{k}": v for k, v in figures.items()} | {"jitter_val_top1_pct": 4.36}
    spread = {f"{name}_sd": 0.1 * value for name, value in told.items()}
    names = [variant.name for variant in variants(synthetic.parameters())]
    text = json.dumps({"n_seeds": 5, **told, **spread})
    write_folder(paths.VARIANTS, {f"{name}.json": text for name in names})
    lines = shown()
    assert max(map(len, lines)) <= 80
    rows = {words[0]: line for line in lines[2:] if (words := line.split())}
    assert rows.keys() == set(names)
    assert "1.0991 ± 0.1099" in rows["own-warm_restart"]


def test_rows_are_in_the_order_of_the_study(root: Path) -> None:
    params = synthetic.parameters()
    # As a folder lists them: by name.
    summarised(sorted(variant.name for variant in variants(params)))
    assert list(read_summaries()) == [
        *("baseline", "outpost"),
        *(f"exp{x}-{block}" for x in "ABCD" for block in (64, 128, 256, 512)),
        *(f"strict-{block}" for block in (64, 128, 256, 512)),
        *(f"expE-{name}" for name in ("batch", "bnrecal", "ema", "head")),
        "own-warm_restart",
    ]


def test_experiments_are_set_apart(root: Path) -> None:
    summarised(["baseline", "outpost", "expA-64", "expA-128", "strict-64", "expE-ema"])
    rows = [line.split()[0] if line.strip() else "" for line in shown()]
    assert rows[-9:] == [
        *("baseline", "outpost", "", "expA-64", "expA-128", "", "strict-64", "", "expE-ema"),
    ]


def summarised(names: list[str]) -> None:
    write_folder(paths.VARIANTS, {f"{name}.json": json.dumps({"n_seeds": 1}) for name in names})


def test_variant_without_figures_has_dashes(root: Path) -> None:
    study = synthetic.Study(synthetic.small(seeds=[0], train={"time_scale": 0.1}))
    study.lose("expB-64-0")
    sum_up(study)
    (row,) = (line for line in shown() if "expB-64" in line)
    assert row.split() == ["expB-64", "0", *"\N{EN DASH}" * 4]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "[" * 100_000, "\x00", '{"epochs": {}}', '{"epochs": true}']
)
def test_damaged_figures_are_named_with_what_to_do(root: Path, text: str) -> None:
    paths.VARIANTS.mkdir(parents=True)
    (paths.VARIANTS / "baseline.json").write_text(text)
    with pytest.raises(NetstabError, match=r"baseline\.json: .*dvc repro report"):
        read_summaries()


def test_no_figures_are_refused_with_what_to_do(root: Path) -> None:
    with pytest.raises(NetstabError, match="dvc repro report"):
        read_summaries()


def stage(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [forks.folder() / "python", "-m", "netstab.stages.report"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "80"},
        capture_output=True,
        text=True,
    )


def small_params(root: Path) -> Params:
    """A `params.yaml` of a small study below `root`."""
    small = {"seeds": [0], "experiments": ["expB"], "own": {}, "expE": {}, "ceiling": {"seeds": []}}
    text = dumps_yaml(content(**small, train={"time_scale": 0.1}))
    (root / paths.PARAMS).write_text(text, encoding="utf-8")
    return read(root / paths.PARAMS)


def test_stage_prints_the_table_and_names_missing_runs_on_stderr(root: Path) -> None:
    study = synthetic.Study(small_params(root))
    study.lose("expB-64-0")
    study.write(root)
    done = stage(root)
    assert done.returncode == 0
    assert "expB-64" in done.stdout
    assert "metrics/report.html" in done.stdout
    assert done.stderr == (
        "warning: expB-64-0: metrics/runs/expB-64-0/provenance.json is missing; "
        "run: dvc repro train@expB-64-0\n"
    )


@pytest.mark.long
def test_stage_whose_files_are_written_does_not_fail_of_the_logs_encoding(root: Path) -> None:
    study = synthetic.Study(small_params(root))
    study.lose("expB-64-0")  # has dashes in the table, which latin-1 lacks
    study.write(root)
    done = subprocess.run(
        [sys.executable, "-m", "netstab.stages.report"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        encoding="latin-1",
    )
    assert done.returncode == 0, done.stderr
    (row,) = (line for line in done.stdout.splitlines() if "expB-64" in line)
    assert row.replace("|", " ").split() == ["expB-64", "0", "-", "-", "-", "-"]
    assert (root / paths.REPORT).is_file()


def test_stage_without_any_run_fails_in_one_line(root: Path) -> None:
    small_params(root)
    done = stage(root)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("metrics/runs: holds none of the 6 runs")
    assert done.stderr.count("\n") == 1
    assert not paths.METRICS.exists()
