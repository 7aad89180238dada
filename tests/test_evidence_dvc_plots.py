"""`dvc plots` draws the article's curves with the templates in `.dvc/plots/`."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import vl_convert
from dvc import analytics
from ruamel.yaml import YAML

from netstab import paths
from netstab.evidence import report
from netstab.evidence.figures import dvc_plots
from netstab.results.schema import MEASURES
from tests import forks, synthetic
from tests.checkout import ROOT

PLOTS = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text()).get("plots", [])


def test_templates_in_git_are_those_that_the_code_makes() -> None:
    for name, scale in dvc_plots.SCALES.items():
        kept = json.loads((ROOT / dvc_plots.TEMPLATES / f"{name}.json").read_text())
        assert kept == dvc_plots.template(scale), (
            "run: python -m netstab.evidence.figures.dvc_plots"
        )


def test_pipeline_plots_every_measure_with_a_template_that_exists() -> None:
    drawn = {}
    for entry in PLOTS:
        for plot in entry.values():
            (measure,) = plot["y"].values()
            drawn[measure] = plot["template"]
            assert set(plot["y"]) == {paths.CURVES.as_posix()}
    assert set(drawn) == set(MEASURES)
    assert all((drawn[m] == "loss") == m.endswith("loss") for m in MEASURES)


def drawn(template: str, losses: list[float | None]) -> str:
    """An SVG of one curve; None stands for an epoch without a row."""
    rows = [
        {"experiment": "expB", "curve": "64", "rev": "workspace", "epoch": at, "train_loss": loss}
        for at, loss in enumerate(losses)
        if loss is not None
    ]
    text = json.dumps(dvc_plots.template(dvc_plots.SCALES[template]))
    text = text.replace(json.dumps(dvc_plots.DATA), json.dumps(rows))
    for anchor, said in (("Y", "train_loss"), ("X", "epoch"), ("X_LABEL", "epoch"), ("TITLE", "t")):
        text = text.replace(f"<DVC_METRIC_{anchor}>", said)
    svg: str = vl_convert.vegalite_to_svg(json.loads(text))
    return svg


def test_a_loss_of_zero_is_left_out_of_the_logarithmic_axis_and_that_is_said() -> None:
    with_zero = drawn("loss", [2.0, 1.0, 0.0, 0.5, 0.0])
    assert with_zero == drawn("loss", [2.0, 1.0, None, 0.5, None])
    assert with_zero != drawn("loss", [2.0, 1.0, 0.7, 0.5, 0.4])
    assert "a loss of 0 is left out: it has no place on this axis" in with_zero
    accuracy = drawn("accuracy", [2.0, 1.0, 0.0])
    assert accuracy != drawn("accuracy", [2.0, 1.0, None])
    assert "left out" not in accuracy


def test_dvc_sends_no_analytics_from_a_folder_without_settings(root: Path) -> None:
    assert not analytics.is_enabled()


def dvc() -> list[str]:
    return [str(forks.folder() / "python"), "-m", "dvc"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DVC project with two revisions of curves: the second has another seed."""
    root = tmp_path_factory.mktemp("project")

    def run(*command: str) -> None:
        subprocess.run(command, cwd=root, check=True, capture_output=True)

    run("git", "init", "-q")
    run("git", "config", "user.email", "test@localhost")
    run("git", "config", "user.name", "test")
    run(*dvc(), "init", "-q")
    for name in dvc_plots.SCALES:
        (root / ".dvc/plots").mkdir(exist_ok=True)
        shutil.copy(ROOT / dvc_plots.TEMPLATES / f"{name}.json", root / ".dvc/plots")
    YAML().dump({"plots": PLOTS}, root / "dvc.yaml")
    for seed in (0, 1):
        params = synthetic.small(seeds=[seed], train={"time_scale": 0.1})
        synthetic.Study(params).write(root)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(root)
            report.make(params)
        if seed == 0:
            run("git", "add", "-A")
            run("git", "commit", "-q", "-m", "first")
    return root


of_the_project = pytest.mark.xdist_group("dvc plots")
"""Of tests that use it."""


@of_the_project
def test_dvc_plots_diff_has_both_revisions_and_every_curve(project: Path) -> None:
    done = subprocess.run(
        [*dvc(), "plots", "diff", "HEAD", "-o", "drawn"],
        cwd=project,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "index.html" in done.stdout
    page = (project / "drawn" / "index.html").read_text()
    specs: list[dict[str, Any]] = [
        json.loads(found) for found in re.findall(r"var spec = (\{.*\});", page)
    ]
    assert len(specs) == len(MEASURES)
    assert "<DVC_METRIC" not in page
    for spec in specs:
        rows = spec["data"]["values"]
        assert {row["rev"] for row in rows} == {"workspace", "HEAD"}
        assert {row["curve"] for row in rows} == {"baseline", "64", "128", "256", "512"}
        assert len(rows) == 2 * 5 * 20


@of_the_project
def test_offline_page_needs_no_network(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    dvc_plots.main(offline=True)
    template = str(dvc_plots.OFFLINE_PAGE.relative_to(".dvc"))
    subprocess.run([*dvc(), "config", "--local", "plots.html_template", template], check=True)
    subprocess.run([*dvc(), "plots", "show", "-o", "offline"], check=True, capture_output=True)
    page = Path("offline/index.html").read_text()
    assert page.count("var spec = ") == len(MEASURES)
    assert not re.search(r"<(script|link)[^>]+(src|href)=", page)
