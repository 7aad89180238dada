"""The page in a real browser: draws, reacts, fits, and asks the network for nothing."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from netstab import paths
from netstab.evidence.figures import dvc_plots
from netstab.evidence.page import render as pages
from netstab.results.schema import MEASURES
from tests import synthetic
from tests.checkout import ROOT
from tests.chromium import Browser
from tests.synthetic_report import PANELS, Reported, embedded, in_one_process

pytestmark = [pytest.mark.browser, in_one_process]

DESKTOP, PHONE, NARROW = 1280, 390, 375
"""Widths; the last one so narrow that titles, not plots, say how wide some figures are."""
CURVES = {"expA": 5, "expB": 5, "expC": 6, "expD": 6, "expE": 10, "own": 3}
"""Lines of each panel."""


@pytest.fixture(scope="module")
def browser(driver: Any, whole: Reported) -> Browser:
    return Browser(driver, whole.page)


@dataclass(frozen=True, slots=True)
class Opened:
    """What a page did while it was opened."""

    console: list[str]
    requests: list[str]
    marks: dict[str, dict[str, int]]
    cuts: dict[str, float]


@pytest.fixture(scope="module")
def opened(browser: Browser) -> dict[int, Opened]:
    """The page opened afresh at each width, the wide one last."""
    return {width: watch(browser, width) for width in (NARROW, DESKTOP)}


def watch(browser: Browser, width: int) -> Opened:
    browser.console()
    browser.requests()
    browser.open(width)
    return Opened(browser.console(), browser.requests(), browser.marks(), browser.run(CUT))


FITS = """[...document.querySelectorAll('figure')].every(figure => {
  const [frame, drawing] = [figure, figure.querySelector('svg.marks')]
    .map(element => element.getBoundingClientRect());
  // Small multiples share what is left in whole pixels.
  const slack = figure.id.match(/signals|field|sharpness$/) ? 4 : 1;
  return Math.abs(frame.width - drawing.width) <= slack &&
    [...figure.querySelectorAll('svg.marks text')]
      .map(text => text.getBoundingClientRect()).filter(text => text.width > 0)
      .every(text => text.left >= drawing.left - 1 && text.right <= drawing.right + 1 &&
        text.top >= drawing.top - 1 && text.bottom <= drawing.bottom + 1) &&
    Math.min(...[...figure.querySelectorAll('.role-title-text')]
      .map(title => title.getBoundingClientRect().top)) < drawing.top + 12;
})"""
"""Whether every figure takes its width, and all of its words stand in the picture."""


CUT = """return Object.fromEntries([...document.querySelectorAll('figure')].map(figure => {
  const widths = (selector, width) => [...figure.querySelectorAll(selector)].map(width);
  const cells = widths('path.background', at => at.getBBox().width);
  const cuts = widths('clipPath rect', at => Number(at.getAttribute('width')));
  const nearest = cut => cells.reduce((a, b) => Math.abs(b - cut) < Math.abs(a - cut) ? b : a);
  return [figure.id, Math.max(0, ...cuts.map(cut => nearest(cut) - cut))];
}))"""
"""By figure, pixels by which lines are cut before their plot ends, at most."""


@pytest.mark.parametrize("width", [DESKTOP, NARROW])
def test_every_figure_draws_without_a_word_on_the_console(
    opened: dict[int, Opened], whole: Reported, width: int
) -> None:
    marks = opened[width].marks
    assert set(marks) == set(whole.figures)
    drawn = {name: found["lines"] for name, found in marks.items() if found["lines"]}
    # Two rivals are views of the baseline: its training is theirs, and nothing of them is measured.
    measured = {**CURVES, "expE": 8}
    expected = {
        **{f"{p}-{m}": CURVES[p] for p in PANELS for m in MEASURES if m.startswith("val")},
        **{f"{p}-{m}": measured[p] for p in PANELS for m in MEASURES if m.startswith("train")},
        **{f"{panel}-functional": measured[panel] for panel in PANELS},
        **{f"{panel}-sharpness": 2 * measured[panel] for panel in PANELS},
        **{f"{panel}-signals": 8 * measured[panel] for panel in PANELS},
        **{f"{panel}-field": 4 * measured[panel] for panel in PANELS},
    }
    # Behind or before frozen blocks with still batch norm, a signal stands still: triangles.
    expected["expE-signals"] -= 12
    assert drawn == expected
    # Marks: a lane a run and a line from it to its parent; means and seeds; means; means of
    # the network and of four blocks.
    assert marks["tree"]["rules"] == 27 + 26
    assert marks["question"]["symbols"] == 22 + 3 * 22
    assert marks["rivals"]["symbols"] == 8
    assert marks["sharpness-end"]["symbols"] == 25 * 5
    assert opened[width].console == []


@pytest.mark.parametrize("width", [DESKTOP, NARROW])
def test_lines_reach_the_end_of_their_axis(opened: dict[int, Opened], width: int) -> None:
    assert {name: cut for name, cut in opened[width].cuts.items() if cut > 2} == {}


@pytest.mark.parametrize("width", [DESKTOP, NARROW])
def test_nothing_is_asked_of_the_network(
    browser: Browser, opened: dict[int, Opened], width: int
) -> None:
    asked = opened[width].requests
    assert any(url.startswith("file:") for url in asked)
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    browser.at(DESKTOP)
    assert browser.run("return performance.getEntriesByType('resource').length") == 0


def test_figures_say_what_they_show(browser: Browser, whole: Reported) -> None:
    browser.at(DESKTOP)
    labels = browser.run(
        """return Object.fromEntries([...document.querySelectorAll('figure')].map(figure => {
          const drawing = figure.querySelector('[role=graphics-document]');
          return [figure.id, drawing && drawing.getAttribute('aria-label')];
        }))"""
    )
    figures = whole.figures
    assert labels == {name: spec["description"] for name, spec in figures.items()}


@pytest.mark.long
def test_page_fits_its_width_and_figures_theirs(browser: Browser) -> None:
    browser.at(DESKTOP)
    # Turned and turned back, as a phone is.
    for width in (PHONE, 700, PHONE, DESKTOP):
        browser.resize(width)
        browser.wait(f"return innerWidth === arguments[0] && {FITS}", width)
        assert browser.run(
            "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )
    assert browser.console() == []


def test_a_click_in_a_legend_highlights_in_every_figure_of_the_experiment(
    browser: Browser,
) -> None:
    browser.at(DESKTOP)
    figures = [f"expC-{measure}" for measure in ("val_top1_pct", "train_loss", "val_top5_pct")]
    assert set(browser.opacities(figures[0]).values()) == {1}
    entries = legend(browser, "expC-train_loss")
    assert [entry.text for entry in entries] == ["baseline", "outpost", "64", "128", "256", "512"]
    ActionChains(browser.driver).click(entries[2]).perform()
    blue, orange = "#0072B2", "#E69F00"
    browser.until(lambda: highlighted(browser, figures, blue))
    chain = ActionChains(browser.driver).key_down(Keys.SHIFT).click(entries[3])
    chain.key_up(Keys.SHIFT).perform()
    browser.until(lambda: highlighted(browser, figures, blue, orange))
    assert set(browser.opacities("expD-val_loss").values()) == {1}


def test_a_click_in_the_legend_of_signals_highlights_in_all_their_places(browser: Browser) -> None:
    browser.at(DESKTOP)
    ActionChains(browser.driver).click(legend(browser, "expB-signals")[1]).perform()
    browser.until(lambda: highlighted(browser, ["expB-signals", "expB-functional"], "#0072B2"))
    assert set(browser.opacities("expA-signals").values()) == {1}


def test_a_click_in_the_legend_of_the_question_picks_an_experiment(browser: Browser) -> None:
    browser.at(DESKTOP)
    entries = legend(browser, "question")
    (outpost,) = (entry for entry in entries if entry.text == "outpost")
    ActionChains(browser.driver).click(outpost).perform()
    faint = """return [...document.querySelectorAll('#question .mark-symbol.role-mark path')]
      .map(path => Number(path.getAttribute('opacity'))).sort((one, other) => one - other)"""
    # One mean and three seeds of the outpost, against all others.
    browser.until(lambda: browser.run(faint) == [0.05] * 63 + [0.12] * 21 + [0.75] * 3 + [1])


def test_every_legend_of_lines_and_points_reacts(browser: Browser, whole: Reported) -> None:
    browser.at(DESKTOP)
    # Vega-Lite names the marks of a legend that a click is waited for in.
    reacting = browser.run(
        """return [...document.querySelectorAll('figure')].filter(figure =>
          figure.querySelector('[class*="_legend_labels"]')).map(figure => figure.id)"""
    )
    # In the tree and among the rivals there is nothing to pick.
    assert set(reacting) == set(whole.figures) - {"tree", "rivals"}


def legend(browser: Browser, figure: str) -> list[Any]:
    found: list[Any] = browser.figure(figure).find_elements(
        By.CSS_SELECTOR, ".role-legend-label text"
    )
    return found


def highlighted(browser: Browser, figures: list[str], *colours: str) -> bool:
    return all(
        opacity == (1 if colour in colours else 0.1)
        for figure in figures
        for colour, opacity in browser.opacities(figure).items()
    )


def test_hovering_shows_the_values_of_an_epoch(browser: Browser, whole: Reported) -> None:
    browser.at(DESKTOP)
    figure = browser.figure("expB-val_loss")
    ActionChains(browser.driver).move_to_element(figure).perform()
    shown = {name: float(value) for name, value in tooltip(browser).items()}
    assert list(shown) == [
        "epoch",
        "baseline",
        "block 64",
        "block 128",
        "block 256",
        "block 512",
    ]
    epoch = int(shown["epoch"])
    tables = embedded(whole.page.read_text(encoding="utf-8"))["tables"]
    for label, variant in (("baseline", "baseline"), ("block 128", "expB-128")):
        value = tables[f"{variant}/val_loss"]["mean"][epoch]
        assert shown[label] == pytest.approx(value, abs=6e-5)


def test_hovering_over_a_variant_tells_its_place_in_the_question(
    browser: Browser, whole: Reported
) -> None:
    browser.at(DESKTOP)
    browser.figure("question")
    # The largest of the outpost's squares, which nothing covers.
    points = browser.driver.find_elements(By.CSS_SELECTOR, "#question .mark-symbol.role-mark path")
    rows = whole.figures["question"]["datasets"]["points"]
    (at,) = (i for i, r in enumerate(rows) if r["variant"] == "outpost" and r["seed"] is None)
    means = [p for p in points if p.get_attribute("stroke") == "#333333"]
    ActionChains(browser.driver).move_to_element(means[at]).perform()
    told = tooltip(browser)
    assert told["variant"] == "outpost"
    assert float(told["sharpness, ratio"]) == pytest.approx(rows[at]["sharpness"], rel=0.01)
    assert float(told["drift, ratio"]) == pytest.approx(rows[at]["drift"], rel=0.01)
    assert float(told["gain in top-1 (points)"]) == pytest.approx(rows[at]["gain"], abs=0.006)


def tooltip(browser: Browser) -> dict[str, str]:
    browser.wait("return document.querySelector('#vg-tooltip-element.visible') !== null")
    rows = browser.run(
        """return [...document.querySelectorAll('#vg-tooltip-element tr')]
          .map(row => [...row.querySelectorAll('td')].map(cell => cell.textContent))"""
    )
    return {name.strip(): value for name, value in rows}


def test_buttons_switch_between_the_whole_run_and_its_later_part(browser: Browser) -> None:
    browser.at(DESKTOP)
    browser.press("expB", "From the first intervention")
    browser.until(lambda: min(browser.epochs("expB-train_loss")) >= 55)
    buttons = browser.driver.find_elements(By.CSS_SELECTOR, "#expB .views button")
    assert [button.get_attribute("aria-pressed") for button in buttons] == ["false", "true"]
    assert min(browser.epochs("expA-train_loss")) == 0
    browser.press("expB", "Whole run")
    browser.until(lambda: min(browser.epochs("expB-train_loss")) == 0)


def test_buttons_choose_what_of_each_measure_is_drawn_and_no_word_is_cut(browser: Browser) -> None:
    browser.at(DESKTOP)
    before = heights(browser, "expA-signals")
    browser.press("stability", "a step")
    browser.press("stability", "1 - CKA")
    browser.until(
        lambda: (
            browser.titles("stability")
            == {"Signals: 1 - CKA over a step", "Changed predictions over a step (%)"}
        )
    )
    browser.until(lambda: heights(browser, "expA-signals") != before)
    browser.wait(f"return {FITS}")
    before = heights(browser, "expA-field")
    browser.press("field", "an epoch")
    browser.press("field", "shift per path")
    browser.until(lambda: browser.titles("field") == {"Gradients: shift per path over an epoch"})
    browser.until(lambda: heights(browser, "expA-field") != before)
    browser.wait(f"return {FITS}")
    browser.press("sharpness", "adaptive")
    browser.press("sharpness", "block 256")
    browser.until(
        lambda: (
            browser.titles("sharpness")
            == {"Sharpness of the block 256, adaptive", "Sharpness at the end of runs, adaptive"}
        )
    )
    browser.wait(f"return {FITS}")
    assert browser.console() == []


def heights(browser: Browser, figure: str) -> list[str]:
    found: list[str] = browser.run(
        """return [...document.querySelectorAll(`#${arguments[0]} .mark-line path`)]
          .map(path => path.getAttribute('d'))""",
        figure,
    )
    return found


def test_wheel_zooms_with_ctrl_only_and_a_double_click_resets(browser: Browser) -> None:
    browser.at(DESKTOP)
    figure = browser.figure("expB-val_top1_pct")
    before = browser.epochs("expB-val_top1_pct")
    box = browser.run("return arguments[0].getBoundingClientRect().toJSON()", figure)
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] * 0.6}

    def wheel(modifiers: int) -> None:
        event = {"type": "mouseWheel", "deltaX": 0, "deltaY": -120, "modifiers": modifiers}
        browser.driver.execute_cdp_cmd("Input.dispatchMouseEvent", {**place, **event})

    top = browser.run("return scrollY")
    wheel(0)
    browser.until(lambda: browser.run("return scrollY") < top)
    assert browser.epochs("expB-val_top1_pct") == before
    figure = browser.figure("expB-val_top1_pct")
    browser.until(lambda: abs(browser.run("return scrollY") - top) <= 1)
    wheel(2)
    browser.until(lambda: min(browser.epochs("expB-val_top1_pct")) > min(before))
    assert browser.run("return scrollY") == pytest.approx(top, abs=1)
    ActionChains(browser.driver).move_to_element(figure).double_click().perform()
    browser.until(lambda: browser.epochs("expB-val_top1_pct") == before)
    # What was zoomed into belongs to the epochs shown.
    wheel(2)
    browser.until(lambda: min(browser.epochs("expB-val_top1_pct")) > min(before))
    browser.press("expB", "From the first intervention")
    browser.press("expB", "Whole run")
    browser.until(lambda: browser.epochs("expB-val_top1_pct") == before)


def test_figures_can_be_saved_and_lead_nowhere_else(browser: Browser) -> None:
    browser.at(DESKTOP)
    links = browser.run(
        """return [...document.querySelectorAll('figure .vega-actions a')]
          .map(link => [link.textContent, link.getAttribute('download')])"""
    )
    assert {text for text, _ in links} == {"Save as SVG", "Save as PNG"}
    assert ["Save as SVG", "netstab-expA-val_loss.svg"] in links


@pytest.mark.long
def test_paper_has_figures_of_its_own_width_and_the_list_of_runs(browser: Browser) -> None:
    browser.at(DESKTOP)
    browser.run(
        """matchMedia('print').addEventListener('change', ({ matches }) => {
          if (!matches) return;
          window.printed = {
            open: [...document.querySelectorAll('details.more')].every(({ open }) => open),
            widths: Object.fromEntries([...document.querySelectorAll('figure')].map(figure =>
              [figure.id, Number(figure.querySelector('svg.marks').getAttribute('width'))])),
          };
        });"""
    )
    before = browser.marks()
    browser.driver.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    printed = browser.wait("return window.printed")
    assert printed["open"]
    # Wide figures take the sheet, others half of it: letters are as large as on a screen.
    assert {name: round(width, -2) for name, width in printed["widths"].items()} == {
        name: 700 if wide(name) else 300 for name in before
    }
    browser.wait(
        """return Number(document.querySelector('#question svg.marks').getAttribute('width')) > 800
          && ![...document.querySelectorAll('details.more')].some(({ open }) => open)"""
    )
    assert browser.console() == []


def wide(figure: str) -> bool:
    """Whether a figure takes the whole width."""
    return figure.split("-")[-1] not in set(MEASURES) - {"val_top1_pct"}


def one_seed() -> synthetic.Study:
    alone = {"seeds": [0], "ceiling": {"seeds": []}, "experiments": ["expB"], "own": {}}
    return synthetic.Study(synthetic.parameters(**alone, train={"time_scale": 0.1}))


def missing_run() -> synthetic.Study:
    study = synthetic.Study(synthetic.small(train={"time_scale": 0.1}))
    for run in ("expB-128-0", "expB-64-0", "expB-64-1"):
        study.lose(run)
    return study


def unmeasured() -> synthetic.Study:
    study = synthetic.Study(synthetic.small(train={"time_scale": 0.1}))
    for run in study.runs:
        study.unmeasure(run)
    return study


@pytest.mark.parametrize(
    ("lacking", "said", "figures"),
    [
        # Two panels with curves and what was measured, of four kinds; five of the whole.
        pytest.param(
            one_seed,
            "With 1 seed no verdict on any statement is possible",
            2 * 9 + 5,
            marks=pytest.mark.long,
        ),
        (missing_run, "3 of 12 runs have files that are missing", 9 + 4),
        (unmeasured, "Not measured on any run.", 5 + 1),
    ],
)
def test_a_study_that_lacks_something_is_drawn_and_says_what(
    driver: Any, tmp_path: Path, lacking: Callable[[], synthetic.Study], said: str, figures: int
) -> None:
    page = tmp_path / "report.html"
    page.write_text(pages.render(lacking().results()), encoding="utf-8")
    browser = Browser(driver, page)
    found = watch(browser, PHONE)
    assert said in browser.run("return document.body.textContent.replace(/\\s+/g, ' ')")
    assert len(found.marks) == figures
    assert all(any(drawn.values()) for drawn in found.marks.values())
    assert found.console == []
    assert {url.split(":")[0] for url in found.requests} <= {"file", "data", "blob"}
    assert browser.run(
        "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )


def test_templates_of_dvc_plots_draw(driver: Any, whole: Reported, tmp_path: Path) -> None:
    browser = Browser(driver, whole.page)
    rows = pd.read_csv(whole.root / paths.CURVES).to_dict("records")
    specs = []
    for name, measure in (("accuracy", "val_top1_pct"), ("loss", "val_loss")):
        text = (ROOT / dvc_plots.TEMPLATES / f"{name}.json").read_text()
        for anchor, value in (("X", "epoch"), ("Y", measure), ("X_LABEL", "epoch"), ("TITLE", "t")):
            text = text.replace(f"<DVC_METRIC_{anchor}>", value)
        spec = json.loads(text)
        # Two revisions, the second a little higher.
        spec["data"]["values"] = [{**row, "rev": "main"} for row in rows] + [
            {**row, "rev": "workspace", measure: row[measure] * 1.1} for row in rows
        ]
        specs.append(spec)
    divs = "".join(
        f"<div id=plot{i}></div><script>vegaEmbed('#plot{i}', {json.dumps(spec)}, "
        "{renderer: 'svg'})</script>"
        for i, spec in enumerate(specs)
    )
    drawn = tmp_path / "index.html"
    drawn.write_text(dvc_plots.offline_page().replace("{plot_divs}", divs), encoding="utf-8")
    browser.requests()
    browser.driver.get(drawn.as_uri())
    # The curves of six panels, each in two revisions.
    lines = (
        "document.querySelectorAll('#plot{} .mark-line path').length === "
        f"{2 * sum(CURVES.values())}"
    )
    browser.wait(f"return {lines.format(0)} && {lines.format(1)}")
    labels = browser.run(
        """return [...document.querySelectorAll('#plot0 .role-legend-label text')]
          .map(label => label.textContent)"""
    )
    assert labels == [
        *("baseline", "outpost", "64", "128", "256", "512"),
        *("strict-64", "strict-128", "strict-256", "strict-512"),
        *("ema", "bnrecal", "batch", "head", "warm_restart"),
        *("main", "workspace"),
    ]
    assert {url.split(":")[0] for url in browser.requests()} <= {"file", "data", "blob"}
