"""The README's command lines do what it says beside them, in a fresh clone."""

import re
import shutil
from pathlib import Path

import pytest
from dvc.utils.serialize import dumps_yaml

from tests import small
from tests.pipeline_helpers import BLOCKS, STUDY, Clone

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("pipeline")]

WHO = {
    f"GIT_{role}_{what}": "a@example.org"
    for role in ("AUTHOR", "COMMITTER")
    for what in ("NAME", "EMAIL")
}
ARTICLE = {
    "model.width": 4,
    "train.time_scale": 0.1,
    "measure.stability.images": 32,
}
"""Of a study that is small itself, so that the demo can be smaller still."""
DEMO = {
    "model.width": STUDY["model"]["width"],
    "train.time_scale": STUDY["train"]["time_scale"],
    "measure.stability.images": STUDY["measure"]["stability"]["images"],
}


def command_lines(heading: str) -> list[str]:
    """The first indented block below a heading of README.md."""
    text = (small.ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    block = re.search(r"(?:^ {4}.+\n)+", section, re.MULTILINE)
    assert block
    return [line.strip() for line in block[0].splitlines()]


@pytest.fixture
def fresh(clone: Clone, tmp_path: Path) -> Clone:
    """A clone with two sizes of seconds, in which the demo has been run once."""
    clone.git("clone", "--quiet", ".", str(tmp_path / "fresh"))
    fresh = Clone(tmp_path / "fresh")
    (fresh.root / "sizes.yaml").write_text(dumps_yaml({"demo": DEMO, "article": ARTICLE}))
    fresh.change(
        model={"width": ARTICLE["model.width"]},
        train={"time_scale": ARTICLE["train.time_scale"]},
        measure={"stability": {"every_epochs": 100, "images": ARTICLE["measure.stability.images"]}},
    )
    # As the project ships: without a study's results.
    shutil.rmtree(fresh.root / "metrics")
    (fresh.root / "dvc.lock").unlink()
    fresh.commit("two sizes")
    fresh.netstab("study", "demo")
    assert fresh.trained(), "the study has trained"
    fresh.log.write_text("")
    return fresh


def test_the_daily_commands_collect_the_demo_then_train_expB_alone_and_list_what_changed(
    fresh: Clone,
) -> None:
    size, repro, commit, moved, diff = command_lines("Use it daily")

    def run(line: str) -> str:
        sources = str(fresh.root / "src")
        return fresh.run("sh", "-ec", line, PYTHONPATH=sources, **WHO).output

    assert "model.width: 4 -> 2\n" in run(size)
    said = run(repro)
    assert "Running stage 'report'" in said
    assert not fresh.trained(), "collected, not trained"
    run(commit)
    assert fresh.git("status", "--short") == ""
    ran = re.findall(r"^Running stage '(.+?)'", run(moved), re.MULTILINE)
    assert ran == [*(f"train@expB-{block}-0" for block in BLOCKS), "report"]
    trained = fresh.trained()
    assert trained and min(row["epoch"] for row in trained) >= 4, "from the baseline's states on"
    rows = [line.split() for line in run(diff).splitlines()[1:] if line.strip()]
    listed = {row[0] for row in rows}
    assert {f"metrics/variants/expB-{block}.json" for block in BLOCKS} <= listed
    assert listed <= {*(f"metrics/variants/expB-{b}.json" for b in BLOCKS), "metrics/claims.json"}
    # So small a network classifies as before; its loss changes.
    assert ["metrics/variants/expB-64.json", "final_val_loss_mnats"] in [row[:2] for row in rows]
