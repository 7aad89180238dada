"""All figures of a study: for its page, and as SVG files for a README or a paper."""

import dataclasses
from collections.abc import Mapping

from netstab.evidence.figures import (
    barriers,
    curves,
    field,
    question,
    rivals,
    sharpness,
    stability,
    tables,
    tree,
)
from netstab.evidence.figures.figure import Figure
from netstab.evidence.figures.tables import Table
from netstab.evidence.figures.vega import reused, to_svg
from netstab.evidence.results import Results
from netstab.evidence.summary.curves import Panel, panels


@dataclasses.dataclass(frozen=True, slots=True)
class Drawn:
    """Every figure of a study, by id.

    Attributes:
        tables: the numbers that the figures are filled with.
        summary: `question`, `tree`, `rivals`, `sharpness-end`, `barriers`; those that there are
            numbers for.
        curves: of each panel: the article's figures.
        measured: `stability`, `field` and `sharpness`: of each panel.
        left_out: variants that are not in `question`, and why.
    """

    tables: Mapping[str, Table]
    summary: dict[str, Figure] = dataclasses.field(default_factory=dict)
    curves: dict[Panel, dict[str, Figure]] = dataclasses.field(default_factory=dict)
    measured: dict[str, dict[Panel, dict[str, Figure]]] = dataclasses.field(default_factory=dict)
    left_out: list[str] = dataclasses.field(default_factory=list)

    def everything(self) -> dict[str, Figure]:
        """Every figure by its id."""
        by_panel = (self.curves, *self.measured.values())
        figures = (found for kind in by_panel for found in kind.values())
        return self.summary | {name: figure for found in figures for name, figure in found.items()}


def draw(results: Results) -> Drawn:
    """Every figure that there are numbers for."""
    numbers = tables.of_results(results)
    asked, left_out = question.question(results)
    summary = {
        "question": asked,
        "tree": tree.shared_pasts(results.params),
        "rivals": rivals.rivals(results),
        **sharpness.at_the_end(results, numbers),
        "barriers": barriers.barriers(results),
    }
    shown = panels(results.params)
    return Drawn(
        tables=numbers,
        summary={name: figure for name, figure in summary.items() if figure},
        curves={panel: curves.curves(results, panel) for panel in shown},
        measured={
            figures.__name__: {panel: figures(results, panel, numbers) for panel in shown}
            for figures in (stability.stability, field.field, sharpness.sharpness)
        },
        left_out=left_out,
    )


def svgs(drawn: Drawn, before: Mapping[str, str]) -> dict[str, str]:
    """Every figure as the text of an SVG file, by file name: `expB-val_loss.svg`.

    Args:
        drawn: the figures.
        before: files of an earlier report; those that show the same are taken over, undrawn.
    """
    found = {}
    for name, figure in drawn.everything().items():
        spec = figure.filled(drawn.tables)
        file = f"{name}.svg"
        found[file] = reused(before.get(file, ""), spec) or to_svg(spec)
    return found
