"""The page: self-contained, honest about data and size, safe with any text, and its tables."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from netstab import paths
from netstab.evidence import report
from netstab.params import Params
from tests import synthetic_runs as synthetic

LOADING = {"src", "href", "srcset", "action", "data", "poster", "background", "xlink:href"}
TINY: dict[str, Any] = {"seeds": [0], "train": {"time_scale": 0.1}}


class Page(HTMLParser):
    """Addresses, visible text and ids of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: set[str] = set()
        self.text = ""
        self.tags: list[str] = []
        self._hidden = ""
        self.feed(html)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._hidden = tag if tag in {"script", "style"} else ""
        for name, value in attrs:
            if name in LOADING and value:
                self.addresses.append(value)
            if name == "id" and value:
                self.ids.add(value)

    def handle_endtag(self, tag: str) -> None:
        self._hidden = "" if tag == self._hidden else self._hidden

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text += data + " "


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(root: Path, params: Params, data: dict[str, Any] = synthetic.CIFAR10) -> Page:
    synthetic.write(root, params, data)
    report.make(params)
    return Page(paths.REPORT.read_text(encoding="utf-8"))


def study() -> dict[str, Any]:
    html = paths.REPORT.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="study">(.*?)</script>', html, re.DOTALL)
    assert found
    content: dict[str, Any] = json.loads(found[1])
    return content


def test_page_loads_nothing_from_anywhere(root: Path) -> None:
    page = make(root, synthetic.small(**TINY))
    assert page.addresses
    for address in page.addresses:
        assert re.match(r"data:|#|curves\.csv$|variants/|runs/", address), address
    assert not {"iframe", "img", "object", "embed"} & set(page.tags)
    html = paths.REPORT.read_text(encoding="utf-8")
    assert "default-src 'none'" in html
    style = html[html.index("<style>") : html.index("</style>")]
    assert "@import" not in style
    assert "url(" not in style


def test_linked_files_exist(root: Path) -> None:
    page = make(root, synthetic.small(**TINY))
    for address in page.addresses:
        if not address.startswith(("data:", "#")):
            assert (paths.METRICS / address).exists(), address
        if address.startswith("#"):
            assert address[1:] in page.ids


def test_article_sized_page_is_below_five_megabytes_and_has_vega_once(root: Path) -> None:
    make(root, synthetic.parameters())
    assert paths.REPORT.stat().st_size < 5_000_000
    html = paths.REPORT.read_text(encoding="utf-8")
    assert html.count("https://vega.github.io/schema/vega/v") == 1
    figures = study()["figures"]
    assert len(figures) == 25
    assert {name.split("-")[0] for name in figures} == {"expA", "expB", "expC", "expD", "own"}


def test_official_cifar10_at_the_articles_size_has_no_banner(root: Path) -> None:
    page = make(root, synthetic.small())
    assert not {"data-banner", "size-banner", "fault-banner"} & page.ids
    for figure in study()["figures"].values():
        assert figure["spec"]["title"]["subtitle"] == [
            "mean of 2 seeds, band from smallest to largest"
        ]


def test_other_data_are_announced_at_the_top_and_in_every_figure(root: Path) -> None:
    params = synthetic.small(data={"dataset": "digits", "image_size": 16}, **TINY)
    page = make(root, params, synthetic.DIGITS)
    assert "data-banner" in page.ids
    assert "This is not CIFAR-10: scikit-learn digits." in page.text
    for figure in study()["figures"].values():
        assert "not CIFAR-10: scikit-learn digits" in figure["spec"]["title"]["subtitle"]


def test_a_cut_of_cifar10_is_not_the_official_one(root: Path) -> None:
    cut = {"name": "5,085 images", "official": False, "content_sha256": "e1" * 32}
    page = make(root, synthetic.small(**TINY), cut)
    assert "This is not the official CIFAR-10: 5,085 images." in page.text


def test_official_cifar100_is_not_cifar10(root: Path) -> None:
    cifar100 = {"name": "CIFAR-100", "official": True, "content_sha256": "f1" * 32}
    page = make(root, synthetic.small(data={"dataset": "cifar100"}, **TINY), cifar100)
    assert "This is not CIFAR-10: CIFAR-100." in page.text


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"model": {"width": 16}}, "width 16 instead of 64"),
        ({"train": {"time_scale": 0.1}}, "epochs 20 instead of 200, time scale 0.1 instead of 1"),
        ({"train": {"batch_size": 64}}, "batch 64 instead of 128"),
        ({"data": {"image_size": 16}}, "image size 16 instead of 32"),
    ],
)
def test_another_size_is_announced(root: Path, sections: dict[str, Any], said: str) -> None:
    page = make(root, synthetic.small(**{"seeds": [0], **sections}))
    assert "size-banner" in page.ids
    assert said in page.text


def test_missing_runs_are_named_with_what_to_do(root: Path) -> None:
    params = synthetic.small(**TINY)
    synthetic.write(root, params)
    shutil.rmtree(paths.run_dir("expB-64-0"))
    report.make(params)
    page = Page(paths.REPORT.read_text(encoding="utf-8"))
    assert "fault-banner" in page.ids
    assert "1 of 6 runs has files that are missing" in page.text
    assert "metrics/runs/expB-64-0/history.csv is missing" in page.text
    assert "dvc repro train@expB-64-0" in page.text
    assert "No usable run of 64" in page.text
    assert [line["label"] for line in study()["figures"]["expB-val_loss"]["lines"]] == [
        "baseline",
        "128",
        "256",
        "512",
    ]


def test_experiment_without_any_run_says_so_instead_of_empty_charts(root: Path) -> None:
    params = synthetic.small(**TINY)
    synthetic.write(root, params)
    for run in ("baseline", "expB-64", "expB-128", "expB-256", "expB-512"):
        shutil.rmtree(paths.run_dir(f"{run}-0"))
    report.make(params)
    page = Page(paths.REPORT.read_text(encoding="utf-8"))
    assert "No usable run of baseline, 64, 128, 256, 512" in page.text
    assert not study()["figures"]


NASTY = "<script>alert(1)</script> & \"x\" 'y' {{ 7*7 }} </script><!--"


def test_text_from_data_and_parameters_is_escaped(root: Path) -> None:
    data = {"name": NASTY, "official": False, "content_sha256": "a1" * 32}
    params = synthetic.small(data={"name": NASTY, "source": NASTY}, **TINY)
    synthetic.write(root, params, data)
    told = json.loads((paths.run_dir("expB-64-0") / "provenance.json").read_text())
    told["segments"][0]["device"] = f"GPU {NASTY}"
    synthetic.retell(root, "expB-64-0", segments=told["segments"], key=NASTY.ljust(64))
    report.make(params)
    html = paths.REPORT.read_text(encoding="utf-8")
    assert "<script>alert" not in html
    assert "GPU <script>" not in html
    assert html.count("<script") == html.count("</script>") == 3
    assert "<!--" not in html
    page = Page(html)
    assert "<script>alert(1)</script> & \"x\" 'y' {{ 7*7 }}" in page.text
    assert page.tags.count("script") == 3
    subtitle = study()["figures"]["expB-val_loss"]["spec"]["title"]["subtitle"]
    assert subtitle[0].startswith("not the official CIFAR-10: <script>")


def test_table_has_final_and_jitter_with_spread_and_number_of_seeds(root: Path) -> None:
    params = synthetic.small()
    synthetic.write(root, params)
    synthetic.change(root, "outpost-0", val_top1_pct=94.0)
    synthetic.change(root, "outpost-1", val_top1_pct=95.0)
    report.make(params)
    text = Page(paths.REPORT.read_text(encoding="utf-8")).text
    assert "outpost 2 94.50 ± 0.71 0.00 ± 0.00" in text


def test_provenance_tells_segments_shares_and_epochs_trained(root: Path) -> None:
    text = make(root, synthetic.parameters(seeds=[0], own={})).text
    assert "18 runs with 3,600 epochs in all, of which 2,140 were trained (59%)" in text
    assert "0 to 60 of baseline-0 (in 18 runs)" in text
    assert "60 to 90 of expA-64-0 (in 2 runs) · 90 to 200" in text
    assert "NVIDIA H200" in text


def test_same_results_make_the_same_page(root: Path) -> None:
    params = synthetic.small(**TINY)
    make(root, params)
    first = paths.REPORT.read_bytes()
    report.make(params)
    assert paths.REPORT.read_bytes() == first
