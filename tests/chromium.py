"""A headless Chromium, and the page in it."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
CHROMEDRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)


@contextmanager
def chromium(profile: Path) -> Iterator[webdriver.Chrome]:
    """A browser with a fresh profile; the test is skipped where there is none."""
    if not CHROMIUM or not CHROMEDRIVER:
        pytest.skip("needs Chromium and ChromeDriver: apt-get install chromium chromium-driver")
    options = Options()
    options.binary_location = CHROMIUM
    for flag in FLAGS.split():
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={profile}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(CHROMEDRIVER))
    try:
        yield driver
    finally:
        driver.quit()


class Browser:
    """A headless Chromium with the page of a synthetic study, drawn to the end."""

    def __init__(self, driver: webdriver.Chrome, page: Path) -> None:
        self.driver = driver
        self.page = page

    def open(self, width: int) -> None:
        self.resize(width)
        self.driver.get(self.page.as_uri())
        self.wait("return document.documentElement.dataset.drawn === 'yes'")

    def at(self, width: int) -> None:
        """The page as the last test left it, opened where there is none."""
        if self.driver.current_url == self.page.as_uri():
            self.resize(width)
        else:
            self.open(width)

    def resize(self, width: int) -> None:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def wait(self, script: str, *arguments: Any) -> Any:
        return self.until(lambda: self.run(script, *arguments))

    def until(self, condition: Callable[[], Any]) -> Any:
        return WebDriverWait(self.driver, 60, 0.1).until(lambda _: condition())

    def figure(self, name: str) -> WebElement:
        figure = self.driver.find_element(By.ID, name)
        self.run("arguments[0].scrollIntoView({block: 'center'})", figure)
        return figure

    def console(self) -> list[str]:
        """What was said there since this was asked last."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Addresses that documents of ours asked for since this was asked last."""
        log = [json.loads(entry["message"]) for entry in self.driver.get_log("performance")]
        return [
            found["message"]["params"]["request"]["url"]
            for found in log
            if found["message"]["method"] == "Network.requestWillBeSent"
            # A browser that is slow to start still loads its own start page.
            and not found["message"]["params"].get("documentURL", "").startswith("chrome")
        ]

    def marks(self) -> dict[str, dict[str, int]]:
        """Figure -> what is drawn in it: lines of four points or more, and marks by their kind."""
        found: dict[str, dict[str, int]] = self.run(
            """const count = (figure, kind) =>
              [...figure.querySelectorAll(`svg.marks .mark-${kind}.role-mark > *`)]
                .filter(mark => mark.getAttribute('opacity') !== '0').length;
            return Object.fromEntries([...document.querySelectorAll('figure')].map(figure => [
              figure.id, {
                lines: [...figure.querySelectorAll('svg.marks .mark-line path')]
                  .filter(path => path.getAttribute('d').split('L').length >= 4).length,
                symbols: count(figure, 'symbol'),
                rules: count(figure, 'rule'),
              }]))"""
        )
        return found

    def titles(self, section: str) -> set[str]:
        """Titles of a section's figures."""
        found: list[str] = self.run(
            # Small multiples have titles of their own, below.
            """const top = title => title.getBoundingClientRect().top;
            return [...document.querySelectorAll(`#${arguments[0]} figure`)].map(figure =>
              [...figure.querySelectorAll('.role-title-text text')]
                .sort((one, other) => top(one) - top(other))[0].textContent)""",
            section,
        )
        return set(found)

    def press(self, section: str, button: str) -> None:
        found = self.driver.find_element(
            By.XPATH, f"//*[@id='{section}']//button[normalize-space()='{button}']"
        )
        self.run("arguments[0].scrollIntoView({block: 'center'})", found)
        found.click()

    def opacities(self, figure: str) -> dict[str, float]:
        """Colour of each line -> its opacity."""
        found: dict[str, float] = self.run(
            """return Object.fromEntries(
              [...document.getElementById(arguments[0]).querySelectorAll('.mark-line path')]
                .map(path => [path.getAttribute('stroke'), Number(path.getAttribute('opacity'))]))
            """,
            figure,
        )
        return found

    def epochs(self, figure: str) -> set[float]:
        """Labels of the horizontal axis."""
        found: list[str] = self.run(
            """const texts = (axis, part) =>
              [...axis.querySelectorAll(`.role-axis-${part} text`)];
            const axis = [...document.getElementById(arguments[0]).querySelectorAll('.role-axis')]
              .find(axis => texts(axis, 'title').some(title => title.textContent === 'epoch'));
            return texts(axis, 'label')
              .filter(e => getComputedStyle(e).opacity !== '0').map(e => e.textContent)""",
            figure,
        )
        return {float(text) for text in found if text}
