"""A headless Chromium, and the page in it."""

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
