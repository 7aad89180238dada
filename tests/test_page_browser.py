"""The page in a real browser: draws, reacts, fits, and asks the network for nothing."""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from netstab import paths
from netstab.evidence import dvc_plots, report
from tests import synthetic_runs as synthetic
from tests.chromium import Browser, chromium

pytestmark = pytest.mark.browser

DESKTOP, PHONE = 1280, 390
PARAMS = synthetic.parameters(seeds=[0, 1], train={"time_scale": 0.3})


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        synthetic.write(root, PARAMS, synthetic.DIGITS)
        report.make(PARAMS)
    return root / paths.REPORT


@pytest.fixture(scope="module")
def browser(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield Browser(driver, page)


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_every_figure_draws_without_a_word_on_the_console(browser: Browser, width: int) -> None:
    browser.driver.get_log("browser")
    browser.open(width)
    drawn = browser.run(
        """return Object.fromEntries([...document.querySelectorAll('figure')].map(figure => [
          figure.id,
          [...figure.querySelectorAll('svg.marks .mark-line path')]
            .filter(path => path.getAttribute('d').length > 100).length]))"""
    )
    assert len(drawn) == 25
    curves = {"expA": 5, "expB": 5, "expC": 6, "expD": 6, "own": 3}
    assert drawn == {name: curves[name.split("-")[0]] for name in drawn}
    # Altair 5 writes for Vega 5, the bundle has Vega 6, and says so.
    said = [entry["message"] for entry in browser.driver.get_log("browser")]
    assert [text for text in said if "The compiled spec uses Vega v5" not in text] == []


def test_nothing_is_asked_of_the_network(browser: Browser) -> None:
    browser.driver.get_log("performance")
    browser.open(DESKTOP)
    messages = [json.loads(entry["message"]) for entry in browser.driver.get_log("performance")]
    # By documents of ours: a browser that is slow to start still loads its own start page.
    asked = [
        m["message"]["params"]["request"]["url"]
        for m in messages
        if m["message"]["method"] == "Network.requestWillBeSent"
        and not m["message"]["params"].get("documentURL", "").startswith("chrome:")
    ]
    assert any(url.startswith("file:") for url in asked)
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert browser.run("return performance.getEntriesByType('resource').length") == 0


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_page_fits_its_width_and_figures_theirs(browser: Browser, width: int) -> None:
    browser.at(width)
    # Turned and turned back, as a phone is.
    for step in (width, 700, width):
        browser.resize(step)
        browser.wait(
            """return innerWidth === arguments[0] &&
            [...document.querySelectorAll('figure')].every(figure => {
              const [frame, drawing] = [figure, figure.querySelector('svg.marks')]
                .map(element => element.getBoundingClientRect());
              return Math.abs(frame.width - drawing.width) <= 1 &&
                [...figure.querySelectorAll('svg.marks text')]
                  .map(text => text.getBoundingClientRect()).filter(text => text.width > 0)
                  .every(text => text.left >= drawing.left - 1 && text.right <= drawing.right + 1 &&
                    text.top >= drawing.top - 1 && text.bottom <= drawing.bottom + 1) &&
                figure.querySelector('.role-title-text').getBoundingClientRect().top
                  < drawing.top + 12;
            })""",
            step,
        )
        assert browser.run(
            "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )


def test_a_click_in_a_legend_highlights_in_every_figure_of_the_experiment(
    browser: Browser,
) -> None:
    browser.at(DESKTOP)
    figures = [f"expC-{measure}" for measure in ("val_top1_pct", "train_loss", "val_top5_pct")]
    assert set(browser.opacities(figures[0]).values()) == {1}
    entries = browser.figure("expC-train_loss").find_elements(
        By.CSS_SELECTOR, ".role-legend-label text"
    )
    assert [entry.text for entry in entries] == ["baseline", "outpost", "64", "128", "256", "512"]
    ActionChains(browser.driver).click(entries[2]).perform()
    blue, orange = "#0072B2", "#E69F00"

    def highlighted(*colours: str) -> bool:
        return all(
            opacity == (1 if colour in colours else 0.1)
            for figure in figures
            for colour, opacity in browser.opacities(figure).items()
        )

    browser.until(lambda: highlighted(blue))
    chain = ActionChains(browser.driver).key_down(Keys.SHIFT).click(entries[3])
    chain.key_up(Keys.SHIFT).perform()
    browser.until(lambda: highlighted(blue, orange))
    assert set(browser.opacities("expD-val_loss").values()) == {1}


def test_hovering_shows_the_values_of_an_epoch(browser: Browser) -> None:
    browser.at(DESKTOP)
    figure = browser.figure("expB-val_loss")
    ActionChains(browser.driver).move_to_element(figure).perform()
    browser.wait("return document.querySelector('#vg-tooltip-element.visible') !== null")
    rows = browser.run(
        """return [...document.querySelectorAll('#vg-tooltip-element tr')]
          .map(row => [...row.querySelectorAll('td')].map(cell => cell.textContent))"""
    )
    shown = {name.strip(): float(value) for name, value in rows}
    assert list(shown) == [
        "epoch",
        "baseline",
        "block 64",
        "block 128",
        "block 256",
        "block 512",
    ]
    epoch = int(shown["epoch"])
    study = browser.run("return JSON.parse(document.getElementById('study').textContent)")
    for label, variant in (("baseline", "baseline"), ("block 128", "expB-128")):
        value = study["curves"][variant]["val_loss"]["mean"][epoch]
        assert shown[label] == pytest.approx(value, abs=6e-5)


def test_buttons_switch_between_the_whole_run_and_its_later_part(browser: Browser) -> None:
    browser.at(DESKTOP)
    buttons = browser.driver.find_elements(By.CSS_SELECTOR, "#expB .views button")
    browser.run("arguments[0].scrollIntoView({block: 'center'})", buttons[0])
    buttons[1].click()
    browser.until(lambda: min(browser.epochs("expB-train_loss")) >= 16)
    assert [button.get_attribute("aria-pressed") for button in buttons] == ["false", "true"]
    assert min(browser.epochs("expA-train_loss")) == 0
    buttons[0].click()
    browser.until(lambda: min(browser.epochs("expB-train_loss")) == 0)


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
    browser.until(lambda: max(browser.epochs("expB-val_top1_pct")) < max(before))
    assert browser.run("return scrollY") == pytest.approx(top, abs=1)
    ActionChains(browser.driver).move_to_element(figure).double_click().perform()
    browser.until(lambda: browser.epochs("expB-val_top1_pct") == before)


def test_figures_can_be_saved_and_lead_nowhere_else(browser: Browser) -> None:
    browser.at(DESKTOP)
    links = browser.run(
        """return [...document.querySelectorAll('figure .vega-actions a')]
          .map(link => [link.textContent, link.getAttribute('download')])"""
    )
    assert {text for text, _ in links} == {"Save as SVG", "Save as PNG"}
    assert ["Save as SVG", "netstab-expA-val_loss.svg"] in links


def test_figures_say_what_they_show(browser: Browser) -> None:
    browser.at(DESKTOP)
    labels = browser.run(
        """return [...document.querySelectorAll('figure')]
          .map(figure => figure.querySelector('[role=graphics-document]'))
          .map(drawing => drawing && drawing.getAttribute('aria-label'))"""
    )
    assert len(labels) == 25
    assert all("Mean of the last 3 epochs: " in label for label in labels)


def test_templates_of_dvc_plots_draw(browser: Browser, tmp_path: Path) -> None:
    rows = pd.read_csv(browser.page.parent / paths.CURVES.name).to_dict("records")
    specs = []
    for name, measure in (("accuracy", "val_top1_pct"), ("loss", "val_loss")):
        text = (synthetic.ROOT / dvc_plots.TEMPLATES / f"{name}.json").read_text()
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
    browser.driver.get(drawn.as_uri())
    # Curves of five panels, each in two revisions.
    lines = (
        "document.querySelectorAll('#plot{} .mark-line path').length === 2 * (5 + 5 + 6 + 6 + 3)"
    )
    browser.wait(f"return {lines.format(0)} && {lines.format(1)}")
    legend = browser.run(
        """return [...document.querySelectorAll('#plot0 .role-legend-label text')]
          .map(label => label.textContent)"""
    )
    assert legend == [
        *("baseline", "outpost", "64", "128", "256", "512", "warm_restart"),
        *("main", "workspace"),
    ]
