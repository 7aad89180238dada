"""The page's figures as SVG files, for a README or a paper; and the figures of a page, together."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from netstab.evidence.figures import figures, figures_measures, figures_summary, tables
from netstab.evidence.figures.figures import Figure
from netstab.evidence.figures.tables import Table
from netstab.evidence.figures.vega import reused, to_svg
from netstab.evidence.page import texts
from netstab.evidence.summary.aggregate import Panel, Results, panels


@dataclass(frozen=True, slots=True)
class Drawn:
    """Every figure of a study, by id.

    Attributes:
        tables: the numbers that the figures are filled with.
        summary: `question`, `tree`, `rivals`, `sharpness-end`; those that there are numbers for.
        curves: of each panel: the article's figures.
        stability: of each panel: signals and predictions.
        sharpness: of each panel.
        left_out: who is not in `question`, and why.
    """

    tables: Mapping[str, Table]
    summary: dict[str, Figure] = field(default_factory=dict)
    curves: dict[Panel, dict[str, Figure]] = field(default_factory=dict)
    stability: dict[Panel, dict[str, Figure]] = field(default_factory=dict)
    sharpness: dict[Panel, dict[str, Figure]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def everything(self) -> dict[str, Figure]:
        """Every figure by its id."""
        by_panel = [*self.curves.values(), *self.stability.values(), *self.sharpness.values()]
        return self.summary | {name: f for found in by_panel for name, f in found.items()}


def draw(results: Results) -> Drawn:
    """Every figure that there are numbers for."""
    warning = texts.data_note(results.params, results.collection).warning
    numbers = tables.of_results(results)
    question, left_out = figures_summary.the_question(results, warning)
    summary = {
        "question": question,
        "tree": figures_summary.shared_pasts(results),
        "rivals": figures_summary.rivals(results, warning),
        **figures_measures.at_the_end(results, numbers, warning),
    }
    shown = panels(results.params)
    return Drawn(
        tables=numbers,
        summary={name: figure for name, figure in summary.items() if figure},
        curves={p: figures.of_panel(results, p, warning) for p in shown},
        stability={p: figures_measures.stability(results, p, numbers, warning) for p in shown},
        sharpness={p: figures_measures.sharpness(results, p, numbers, warning) for p in shown},
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
