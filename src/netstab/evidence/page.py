"""The report: one HTML page that holds all it needs and loads nothing."""

import json
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import netstab
from netstab.evidence import charts, facts, figures, palette, texts
from netstab.evidence.aggregate import Band, Panel, Results, panels
from netstab.evidence.runs import MEASURES, stage_name

TITLE = "What does learning-rate decay do?"


def render(results: Results) -> str:
    """The page as HTML; every text that comes from data or parameters is escaped."""
    params, collection = results.params, results.collection
    data = texts.data_note(params, collection)
    drawn = {panel: figures.of_panel(results, panel, data.warning) for panel in panels(params)}
    study = {
        "config": palette.CONFIG,
        "curves": {variant.name: _numbers(bands) for variant, bands in results.bands.items()},
        "figures": {name: chart for panel in drawn.values() for name, chart in panel.items()},
    }
    environment = Environment(
        loader=PackageLoader("netstab.evidence", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
    )
    return environment.get_template("page.html").render(
        title=TITLE,
        version=netstab.__version__,
        data=data,
        sizes=texts.size_differences(params),
        faults=collection.faults,
        expected=len(collection.expected),
        absent=[v.name for v in collection.schedules if v not in results.bands],
        disagreements=collection.disagreements(),
        facts=facts.facts(results, data),
        table=facts.results_table(results),
        experiments=[_experiment(results, *pair) for pair in drawn.items()],
        sharing=facts.sharing(collection),
        runs=facts.run_rows(collection),
        finished=facts.last_finished(collection),
        settings=facts.settings(params),
        example=stage_name(max(collection.expected, key=lambda run: run.variant.block is not None)),
        css=_asset("page.css"),
        js=_asset("page.js"),
        vega=Markup(charts.vega_bundle()),
        study=_json_for_html(study),
    )


def _asset(name: str) -> Markup:
    return Markup((files(__package__) / "templates" / name).read_text(encoding="utf-8"))


def _experiment(results: Results, panel: Panel, drawn: Mapping[str, Any]) -> dict[str, Any]:
    schedules = results.collection.schedules
    changes = list(texts.panel_events(schedules, panel))
    # A few epochs before the first change, so that its jump is in view.
    margin = max(1, results.params.train.at_scale(5))
    return {
        "name": panel.experiment,
        "title": texts.EXPERIMENT_TITLES[panel.experiment],
        "idea": texts.EXPERIMENT_IDEAS[panel.experiment],
        "interventions": texts.interventions(schedules, panel),
        "absent": [line.label for line in panel.lines if line.variant not in results.bands],
        "start": max(0, changes[0] - margin) if changes else 0,
        "figures": [
            {"id": name, "description": chart["spec"]["description"]}
            for name, chart in drawn.items()
        ],
    }


def _numbers(bands: Mapping[str, Band]) -> dict[str, dict[str, list[float]]]:
    return {
        measure: {
            "mean": _rounded(bands[measure].mean),
            "low": _rounded(bands[measure].low),
            "high": _rounded(bands[measure].high),
        }
        for measure in MEASURES
    }


def _rounded(values: Iterable[float]) -> list[float]:
    return [float(f"{value:.5g}") for value in values]


def _json_for_html(content: object) -> Markup:
    """JSON that no HTML parser mistakes for markup."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
