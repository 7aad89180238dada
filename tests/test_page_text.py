"""Text from data, parameters and results is text on the page, in figures and in the terminal."""

import io
import json
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rich.console import Console

from netstab.errors import ParameterError
from netstab.evidence.figures import drawings, vega
from netstab.evidence.page import render as page
from netstab.evidence.results import Results
from netstab.evidence.summary.terminal import summary_table
from netstab.results.runs import collect
from tests import synthetic
from tests.synthetic_report import in_one_process

NASTY = [
    "</script><script>window.sung=1</script>",
    "<img src=x onerror=window.sung=1>",
    "'\"><svg onload=window.sung=1>",
    "--><!--",
    "{{7*7}}{% raw %}",
    "${window.sung=1}",
    "</style></title></pre></code>",
    "&lt;b&gt;&amp;#x3c;",
    "a\u2028b\u2029c",
    "[bold]x[/bold][link=https://a.test]y[/link]",
    "javascript:window.sung=1",
    "]]><b>",
]
texts = st.one_of(
    st.sampled_from(NASTY),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40),
    st.lists(st.sampled_from(NASTY), min_size=2, max_size=3).map("".join),
).filter(str.strip)
few = settings(
    max_examples=2,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
PLACES = ("data", "device", "torch", "trained for", "block", "protocol", "path")


class Structure(HTMLParser):
    """Elements with their attributes' names, and every comment, as they are counted."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[tuple[str, ...]] = Counter()
        self.study = ""
        self.text = ""
        self.in_study = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found[(tag, *(name for name, _ in attributes))] += 1
        self.in_study = ("id", "study") in attributes

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.in_study:
            self.study += data

    def handle_endtag(self, tag: str) -> None:
        self.in_study = False

    def handle_comment(self, data: str) -> None:
        self.found[("comment", data)] += 1


Render = Callable[[dict[str, str]], tuple[str, drawings.Drawn]]


@pytest.fixture
def render(root: Path) -> Render:
    """Reports on a small study with given texts in all places that text comes from."""
    params = synthetic.small(
        seeds=[0],
        train={"time_scale": 0.1},
        ceiling={"seeds": []},
        data={"name": NASTY[0], "source": NASTY[1]},
    )

    def made(told: dict[str, str]) -> tuple[str, drawings.Drawn]:
        data = {"name": told["data"], "official": False, "content_sha256": "c1" * 32}
        study = synthetic.Study(params, data)
        for segment in study.provenance["expB-64-0"]["segments"]:
            segment |= {"device": told["device"], "torch": told["torch"]}
            segment |= {"trained_for": told["trained for"]}
        protocol = study.sharpness["expB-64-0"]["protocol"]
        protocol |= dict.fromkeys(protocol, told["protocol"])
        study.sharpness["expB-128-0"]["measurements"][0]["block"] = told["block"]
        study.write(root)
        results = Results.of(params, collect(params))
        drawn = drawings.draw(results)
        return page.render(results, drawn), drawn

    return made


def structure(html: str) -> Structure:
    parser = Structure()
    parser.feed(html)
    parser.close()
    return parser


def test_no_element_and_no_attribute_comes_from_text(
    render: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Vega itself is megabytes, and no text comes into it.
    monkeypatch.setattr(vega, "bundle", lambda: "window.vegaEmbed = 1;")
    plain = structure(render({place: f"plain {place}" for place in PLACES})[0])
    # Of the page itself, and none of the parameters' texts.
    assert plain.found[("script", "type", "id")] == 1
    assert plain.found[("script",)] == 2
    assert not plain.found[("img", "src", "onerror")]
    assert NASTY[0] in plain.text

    @few
    @given(st.fixed_dictionaries(dict.fromkeys(PLACES, texts)))
    def check(told: dict[str, str]) -> None:
        html, drawn = render(told)
        found = structure(html)
        assert found.found == plain.found
        json.loads(found.study)
        assert told["data"] in found.text
        figure = drawn.everything()["question"]
        tags = {
            e.tag for e in ElementTree.fromstring(vega.to_svg(figure.filled(drawn.tables))).iter()
        }
        assert {tag.split("}")[1] for tag in tags} <= {
            *("svg", "g", "path", "text", "tspan", "rect", "line", "defs", "clipPath", "title"),
            *("linearGradient", "stop", "circle", "polygon"),
        }

    check()


@settings(derandomize=True, database=None, max_examples=50)
@given(texts | st.sampled_from(["\x1b[31mred", "\x9b31m", "a\rb", "\x07"]))
def test_a_name_in_a_terminals_table_is_neither_markup_nor_a_command(name: str) -> None:
    out = io.StringIO()
    Console(file=out, width=400, force_terminal=False).print(summary_table({name: {}}))
    said = out.getvalue()
    assert all(c.isprintable() or c == "\n" for c in said)
    if name.isprintable():
        assert name in said


@pytest.mark.parametrize("name", NASTY)
def test_names_in_parameters_are_names(name: str) -> None:
    with pytest.raises(ParameterError, match=r"own\."):
        synthetic.parameters(own={name: {"64": {"60": 0.01}}})


@pytest.mark.browser
@in_one_process
def test_no_script_of_a_text_runs_in_a_browser(render: Render, driver: Any, tmp_path: Path) -> None:
    everything = "".join(NASTY)
    html, _ = render(dict.fromkeys(PLACES, everything))
    path = tmp_path / "report.html"
    path.write_text(html, encoding="utf-8")
    control = tmp_path / "control.html"
    control.write_text(f"<p>{everything}</p>", encoding="utf-8")
    driver.get(control.as_uri())
    assert driver.execute_script("return window.sung") == 1, "the texts do nothing anyhow"
    driver.get(path.as_uri())
    wait = "return document.documentElement.dataset.drawn === 'yes'"
    for _ in range(600):
        if driver.execute_async_script(f"setTimeout(arguments[0], 100, (() => {{{wait}}})())"):
            break
    assert driver.execute_script(wait), "the page was not drawn"
    assert driver.execute_script("return window.sung") is None
    shown = driver.execute_script("return document.body.innerText")
    assert "<img src=x onerror=window.sung=1>" in shown
    # Were a text ever taken for markup, the page's policy would stop its scripts.
    driver.execute_script("document.body.insertAdjacentHTML('beforeend', arguments[0])", NASTY[1])
    assert not driver.execute_async_script("setTimeout(arguments[0], 300, window.sung)")
