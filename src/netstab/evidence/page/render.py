"""The report: one HTML page that holds all it needs and loads nothing."""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

import netstab
from netstab.evidence import texts
from netstab.evidence.figures import (
    curves,
    drawings,
    events,
    field,
    sharpness,
    stability,
    theme,
    vega,
)
from netstab.evidence.figures.drawings import Drawn
from netstab.evidence.figures.figure import Figure, table_rows
from netstab.evidence.figures.lines import usable
from netstab.evidence.figures.measured import not_measured
from netstab.evidence.page import citation, claims_table, facts, findings
from netstab.evidence.results import Results
from netstab.evidence.summary.curves import Panel
from netstab.results.runs import Collection, Fault
from netstab.study.experiments import BASELINE, OUTPOST
from netstab.study.stages import stage_name

TITLE = "What does learning-rate decay do?"


def render(results: Results, drawn: Drawn | None = None) -> str:
    """The page as HTML; every text that comes from data or parameters is escaped.

    Args:
        results: of the study.
        drawn: its figures, where they have been made already.
    """
    params, collection = results.params, results.collection
    drawn = drawn or drawings.draw(results)
    scripts = {"vega": vega.bundle(), "js": _asset("page.js")}
    environment = Environment(
        loader=PackageLoader("netstab.evidence.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for told in ("wanted", "key", "number", "ratio", "interval", "p_value", "picture"):
        environment.filters[told] = getattr(claims_table, told)
    return environment.get_template("page.html").render(
        title=TITLE,
        network=f"{'The' if params.model.is_own else 'A'} {texts.network_title(params.model)}",
        version=netstab.__version__,
        data=results.data,
        sizes=facts.size_differences(params),
        problem_groups=_problem_groups(collection),
        expected=len(collection.expected),
        absent=[v.name for v in collection.schedules if v not in results.bands],
        disagreements=collection.disagreements(),
        rates=[findings.manner(params, reference) for reference in (BASELINE, OUTPOST)],
        findings=findings.sentences(results),
        sample=findings.sample(results),
        verdicts=claims_table.counts(results.judgements),
        claims=claims_table.groups(results.judgements),
        confidence=params.claims.confidence,
        facts=facts.facts(results),
        table=facts.results_table(results),
        summary={name: _figure(name, figure) for name, figure in drawn.summary.items()},
        left_out=drawn.left_out,
        panels=[_panel(results, drawn, panel) for panel in drawn.curves],
        measured_on={
            kind: [v.name for v in results.bands if f"{v.name}/{kind}" in drawn.tables]
            for kind in ("stability", "field", "sharpness")
        },
        stability_choices=[stability.DISTANCE, stability.CHANGE],
        field=params.measure.field,
        field_choices=[field.DISTANCE, field.SHIFT],
        sharpness_choices=[sharpness.KIND, sharpness.scope(results)],
        protocol=facts.protocol(collection),
        barriers=_barriers(results),
        sharing=facts.sharing(results),
        runs=facts.run_rows(collection),
        finished=facts.last_finished(collection),
        settings=facts.settings(params),
        citation=citation.plain(results),
        bibtex=citation.bibtex(results),
        article=citation.ARTICLE,
        example=stage_name(max(collection.expected, key=lambda run: run.variant.block is not None)),
        css=_asset("page.css"),
        allowed=" ".join(map(_allowed, scripts.values())),
        js=scripts["js"],
        vega=Markup(scripts["vega"]),
        study=htmlsafe_json_dumps(
            _study(drawn), separators=(",", ":"), ensure_ascii=False, allow_nan=False
        ),
    )


def _problem_groups(collection: Collection) -> list[tuple[str, list[Fault], str]]:
    """Banners of faults: id, runs that could not be trained or have faulty files, and that."""
    failed = [fault for fault in collection.faults if fault.failed]
    others = [fault for fault in collection.faults if not fault.failed]
    have = "has" if len(others) == 1 else "have"
    return [
        ("failed-banner", failed, "could not be trained"),
        ("fault-banner", others, f"{have} files that are missing or cannot be used"),
    ]


def _study(drawn: Drawn) -> dict[str, Any]:
    return {
        "config": theme.CONFIG,
        "tables": table_rows(drawn.tables),
        "figures": {name: figure.spec for name, figure in drawn.everything().items()},
    }


def _allowed(script: str) -> str:
    """How a content security policy names a script by its hash; whatever else came in, it stops."""
    return f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _asset(name: str) -> Markup:
    return Markup((files(__package__) / "templates" / name).read_text(encoding="utf-8"))


def _panel(results: Results, drawn: Drawn, panel: Panel) -> dict[str, Any]:
    """What the page says and shows of an experiment."""
    params, schedules = results.params, results.collection.schedules
    return {
        "name": panel.experiment,
        "title": texts.EXPERIMENT_TITLES[panel.experiment],
        "short": texts.EXPERIMENT_TITLES[panel.experiment].split(":")[0],
        "idea": texts.experiment_idea(panel.experiment, params.model),
        "interventions": events.sentences(params, schedules, panel),
        "absent": [line.label for line in panel.lines if line not in usable(results, panel)],
        "start": curves.start(results, panel),
        "curves": _figures(drawn.curves[panel]),
        "measured": {kind: _figures(found[panel]) for kind, found in drawn.measured.items()},
        "lacking": {k: not_measured(results, drawn.tables, panel, k) for k in drawn.measured},
    }


def _barriers(results: Results) -> dict[str, Any]:
    """What the page says of barriers."""
    settings = results.params.measure.barriers
    return {
        "asked": settings.images is not None,
        "images": f"{settings.images or 0:,}",
        "points": settings.points,
        "normed": results.params.model.has_batch_norm,
        "missing": results.collection.barriers.missing,
    }


def _figures(drawn: Mapping[str, Figure]) -> list[dict[str, Any]]:
    return [_figure(name, figure) for name, figure in drawn.items()]


def _figure(name: str, figure: Figure) -> dict[str, Any]:
    return {"id": name, "description": figure.spec["description"], "files": figure.files}
