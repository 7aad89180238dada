"""The report of a whole synthetic study: as much as a page ever has to hold."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from netstab import paths
from netstab.evidence import report
from netstab.evidence.results import Results
from netstab.params import Params
from tests import synthetic

CUT = {"name": "the first tenth of CIFAR-10", "official": False, "content_sha256": "e1" * 32}
PANELS = ("expA", "expB", "expC", "expD", "expE", "own")

in_one_process = pytest.mark.xdist_group("report")
"""Of tests that use the fixture `whole`: it takes some twenty seconds to make."""


@dataclass(frozen=True, slots=True)
class Reported:
    """A study whose report has been made.

    Attributes:
        root: of the project.
        params: of the study.
        results: that everything was made of.
    """

    root: Path
    params: Params
    results: Results

    @property
    def page(self) -> Path:
        """The page."""
        return self.root / paths.REPORT

    @property
    def figures(self) -> dict[str, Any]:
        """Specs of the page's figures by name."""
        figures: dict[str, Any] = embedded(self.page.read_text(encoding="utf-8"))["figures"]
        return figures


def parameters() -> Params:
    """The shipped study, measured in all its blocks every ten epochs."""
    shipped = synthetic.parameters().measure.model_dump(mode="json")
    often: dict[str, dict[str, object]] = {
        "stability": {"every_epochs": 10},
        "sharpness": {"every_epochs": 10, "blocks": "always"},
    }
    return synthetic.parameters(measure={name: {**shipped[name], **often[name]} for name in often})


def make(root: Path) -> Reported:
    """Write the runs of three seeds below `root`, and report on them."""
    params = parameters()
    synthetic.Study(params, CUT).write(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        return Reported(root, params, report.make(params))


def embedded(html: str) -> dict[str, Any]:
    """What a page's script draws from: tables of numbers, and the figures' specs, by name."""
    found = re.search(r'<script type="application/json" id="study">(.*?)</script>', html, re.DOTALL)
    assert found
    content: dict[str, Any] = json.loads(found[1])
    return {**content, "tables": {table["table"]: table for table in content["tables"]}}


def legend(spec: Any) -> set[str]:
    """Labels of a figure's legends."""
    if not isinstance(spec, dict):
        return set().union(*map(legend, spec)) if isinstance(spec, list) else set()
    own = spec["scale"]["domain"] if spec.get("legend") and spec["type"] == "nominal" else ()
    return {*own, *legend(list(spec.values()))}
