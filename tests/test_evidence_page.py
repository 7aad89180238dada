"""The page: self-contained, honest about data and size, safe with any text, and its tables."""

import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netstab.evidence import texts
from netstab.evidence.claims.judgement import Judgement, Part, Verdict
from netstab.evidence.page import claims_table, findings
from netstab.evidence.page import render as pages
from netstab.results.schema import MEASURES
from netstab.study.experiments import Run, Variant, variants
from tests import synthetic
from tests.synthetic_report import PANELS, Reported, embedded, in_one_process, legend

LOADING = {"src", "href", "srcset", "action", "data", "poster", "background", "xlink:href"}
VIEWS = ("expE-ema", "expE-bnrecal")
TINY: dict[str, Any] = {"seeds": [0], "train": {"time_scale": 0.1}}


class Page(HTMLParser):
    """Addresses, visible text and ids of a page, and what its script draws from."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.addresses: list[str] = []
        self.ids: set[str] = set()
        self.text = ""
        self.tags: list[str] = []
        self._hidden = ""
        self.feed(html)
        self.text = " ".join(self.text.split())

    @property
    def figures(self) -> dict[str, Any]:
        """Specs of the figures by name."""
        figures: dict[str, Any] = embedded(self.html)["figures"]
        return figures

    def subtitle(self, figure: str) -> list[str]:
        lines: list[str] = self.figures[figure]["title"]["subtitle"]
        return lines

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


def shown(study: synthetic.Study) -> Page:
    """The page of a study."""
    return Page(pages.render(study.results()))


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def test_page_loads_nothing_from_anywhere() -> None:
    page = shown(synthetic.Study(synthetic.small(**TINY)))
    assert page.addresses
    for address in page.addresses:
        assert re.match(
            r"data:|#|(curves|claims)\.csv$|(claims|barriers)\.json$|variants/|runs/|figures/$",
            address,
        ), address
    assert not {"iframe", "img", "object", "embed"} & set(page.tags)
    html = page.html
    assert html.count("<script") == html.count("</script>") == page.tags.count("script") == 3
    assert "default-src 'none'" in html
    style = html[html.index("<style>") : html.index("</style>")]
    assert "@import" not in style
    assert "url(" not in style


@in_one_process
def test_linked_files_exist(whole: Reported) -> None:
    page = read(whole.page)
    # Of every run: a history from the list of runs, and the measurements from the figures.
    for run in whole.results.collection.expected:
        measured = (
            () if run.variant.name in VIEWS else ("stability.csv", "field.csv", "sharpness.json")
        )
        told = {f"runs/{run.name}/{name}" for name in ("history.csv", *measured)}
        assert told <= set(page.addresses)
    for address in page.addresses:
        if address.startswith("#"):
            assert address[1:] in page.ids
        elif not address.startswith("data:"):
            assert (whole.page.parent / address).exists(), address


@in_one_process
def test_page_of_a_whole_study_is_below_five_megabytes_and_has_vega_once(whole: Reported) -> None:
    params = whole.params
    assert (len(params.seeds), params.train.run_epochs, len(variants(params))) == (3, 200, 27)
    assert whole.page.stat().st_size < 5_000_000
    html = whole.page.read_text(encoding="utf-8")
    assert html.count("https://vega.github.io/schema/vega/v") == 1


@in_one_process
def test_page_has_the_articles_figures_and_what_was_measured_of_every_experiment(
    whole: Reported,
) -> None:
    kinds = ("signals", "functional", "field", "sharpness")
    measured = [f"{panel}-{kind}" for panel in PANELS for kind in kinds]
    curves = [f"{panel}-{measure}" for panel in PANELS for measure in MEASURES]
    summary = ["question", "tree", "rivals", "sharpness-end", "barriers"]
    page = read(whole.page)
    drawn = embedded(page.html)
    assert set(drawn["figures"]) == {*summary, *curves, *measured}
    assert set(drawn["figures"]) <= page.ids
    # Each epoch's mean, smallest and largest; of a measurement, every ten epochs.
    history = drawn["tables"]["expB-64/val_loss"]
    assert [len(history[name]) for name in ("mean", "low", "high")] == [200, 200, 200]
    assert set(drawn["tables"]["expB-64/stability"]["epoch"]) == set(range(0, 200, 10))
    assert set(drawn["tables"]["expB-64/field"]["epoch"]) == set(range(0, 200, 10))
    assert set(drawn["tables"]["expB-64/sharpness"]["epoch"]) == set(range(0, 201, 10))


def test_official_cifar10_at_the_articles_size_has_no_banner() -> None:
    page = shown(synthetic.Study(synthetic.small()))
    assert not {"data-banner", "size-banner", "fault-banner"} & page.ids
    assert page.subtitle("expB-val_loss") == ["mean of 2 seeds, band from smallest to largest"]
    assert not any("CIFAR" in line for name in page.figures for line in page.subtitle(name))


def test_other_data_are_announced_at_the_top_and_in_every_figure() -> None:
    params = synthetic.small(data={"dataset": "digits", "image_size": 16}, **TINY)
    page = shown(synthetic.Study(params, synthetic.DIGITS))
    assert "data-banner" in page.ids
    said = page.text.index("This is not CIFAR-10: scikit-learn digits.")
    assert said < page.text.index("What came out")
    figures = page.figures
    # The tree is of the plan, whatever the data are.
    for name in set(figures) - {"tree"}:
        assert "not CIFAR-10: scikit-learn digits" in figures[name]["title"]["subtitle"]


def test_a_cut_of_cifar10_is_not_the_official_one() -> None:
    cut = {"name": "5,085 images", "official": False, "content_sha256": "e1" * 32}
    page = shown(synthetic.Study(synthetic.small(**TINY), cut))
    assert "This is not the official CIFAR-10: 5,085 images." in page.text


def test_official_cifar100_is_not_cifar10() -> None:
    cifar100 = {"name": "CIFAR-100", "official": True, "content_sha256": "f1" * 32}
    page = shown(synthetic.Study(synthetic.small(data={"dataset": "cifar100"}, **TINY), cifar100))
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
def test_another_size_is_announced(sections: dict[str, Any], said: str) -> None:
    page = shown(synthetic.Study(synthetic.small(**{"seeds": [0], **sections})))
    assert "size-banner" in page.ids
    assert said in page.text


def test_missing_runs_are_named_with_what_to_do() -> None:
    study = synthetic.Study(synthetic.small(**TINY))
    study.lose("expB-64-0")
    page = shown(study)
    assert "fault-banner" in page.ids
    assert "1 of 6 runs has files that are missing" in page.text
    assert "metrics/runs/expB-64-0/provenance.json is missing" in page.text
    assert "dvc repro train@expB-64-0" in page.text
    assert "No usable run of 64" in page.text
    drawn = page.figures["expB-val_loss"]
    left = ["baseline", "128", "256", "512"]
    assert legend(drawn) == set(left)
    assert [row["curve"] for row in drawn["datasets"]["curves"]] == left


def test_experiment_without_any_run_says_so_instead_of_empty_charts() -> None:
    study = synthetic.Study(synthetic.small(**TINY))
    for run in ("baseline", "expB-64", "expB-128", "expB-256", "expB-512"):
        study.lose(f"{run}-0")
    page = shown(study)
    assert "No usable run of baseline, 64, 128, 256, 512" in page.text
    assert not any(name.startswith("expB") for name in page.figures)


def test_table_has_final_and_jitter_with_spread_and_number_of_seeds() -> None:
    study = synthetic.Study(synthetic.small(train={"time_scale": 0.1}))
    study.change("outpost-0", val_top1_pct=94.0)
    study.change("outpost-1", val_top1_pct=95.0)
    text = shown(study).text
    assert "outpost 2 94.50 ± 0.71 0.00 ± 0.00" in text


@in_one_process
def test_provenance_tells_segments_shares_and_epochs_trained(whole: Reported) -> None:
    text = read(whole.page).text
    # The two views of the baseline train nothing, and are not counted.
    assert "75 runs with 15,000 epochs in all, of which 9,180 were trained (61%)" in text
    assert "0 to 60 of baseline-0 (in 27 runs)" in text
    assert "60 to 90 of expA-64-0 (in 2 runs) · 90 to 200" in text
    key = whole.results.collection.provenance[Run(Variant("expC", "64"), 2)].key[:12]
    assert re.search(rf"expC-64-2 2 200 .{{,120}} 2,840 NVIDIA H200 2\.15\.0 {key}", text)


def test_the_page_says_which_runs_were_trained_by_another_instruction_set() -> None:
    study = synthetic.Study(synthetic.small(**TINY))
    assert "Instruction sets" not in shown(study).text, "of a GPU there are none"

    def trained_by(run: str, torch: str, onednn: str) -> None:
        for segment in study.provenance[run]["segments"]:
            segment |= {"cpu_capability": torch, "onednn_isa": onednn}

    for run in study.provenance:
        trained_by(run, "AVX512", "Intel AVX-512")
    alike = shown(study).text
    assert "Instruction sets AVX512, oneDNN Intel AVX-512" in alike and "rounds" not in alike
    trained_by("outpost-0", "AVX2", "Intel AVX2")
    told = shown(study).text
    assert "Instruction sets AVX512, oneDNN Intel AVX-512; AVX2, oneDNN Intel AVX2" in told
    assert "each rounds otherwise, so runs differ by that too: baseline-0 and " in told
    assert "outpost-0: AVX2, oneDNN Intel AVX2" in told


def test_same_results_make_the_same_page() -> None:
    params = synthetic.small(**TINY)
    assert shown(synthetic.Study(params)).html == shown(synthetic.Study(params)).html


def test_devices_that_finished_at_one_time_stand_in_the_order_of_the_study() -> None:
    study = synthetic.Study(synthetic.small(**TINY))
    for run, told in study.provenance.items():
        for segment in told["segments"]:
            segment |= {"device": f"GPU of {run}"}
    devices = ", ".join(f"GPU of {run}" for run in study.provenance)
    page = shown(study)
    assert f"Hardware {devices} " in page.text
    assert f"CIFAR-10, on {devices}." in page.text
    assert f"data: CIFAR-10; {devices}, 2026-11-22" in page.text


def test_what_came_out_is_said_in_words_with_numbers_sample_and_hardware() -> None:
    study = synthetic.Study(synthetic.small(seeds=[0, 1, 2], train={"time_scale": 0.1}))
    for seed, gain in enumerate((4.0, 5.0, 6.0)):
        study.change(f"baseline-{seed}", val_top1_pct=90.0)
        study.change(f"outpost-{seed}", val_top1_pct=90.0 + gain)
    results = study.results()
    text = Page(pages.render(results)).text
    # Student's t with two degrees of freedom: 4.303 / sqrt(3) = 2.48.
    assert "ends at 95.00 %, with a constant rate (the baseline) at 90.00 %" in text
    assert "5.00 points higher (95% interval +2.52 to +7.48)" in text
    assert "3 seeds, paired; 18 of 18 runs; CIFAR-10, on NVIDIA H200." in text
    supported = sum(j.verdict is Verdict.SUPPORTED for j in results.judgements)
    assert f"Of {len(results.judgements)} statements, {supported} " in text


@pytest.mark.parametrize(
    ("p_values", "told"),
    [
        ([0.2, 0.06], "Adjusted for testing 3 at once (Holm), none of the 2 supported stay so."),
        ([0.2, 0.04], "Adjusted for testing 3 at once (Holm), 1 of the 2 supported stays so."),
        ([0.05, 0.04], "Adjusted for testing 3 at once (Holm), all of the 2 supported stay so."),
        ([0.04], "Adjusted for testing 2 at once (Holm), the one supported stays so."),
        ([0.06], "Adjusted for testing 2 at once (Holm), the one supported does not stay so."),
        ([None, None], "Of 3 statements, 2 are supported and 1 is inconclusive."),
    ],
)
def test_what_came_out_says_how_much_of_it_stays_once_all_tests_are_counted(
    p_values: list[float | None], told: str
) -> None:
    study = synthetic.Study(synthetic.small(seeds=[0, 1, 2]))
    verdicts = [(Verdict.SUPPORTED, p) for p in p_values] + [(Verdict.INCONCLUSIVE, 0.01)]
    judgements = tuple(
        Judgement(f"A{i}", "", verdict, 3, (), None, p, "")
        for i, (verdict, p) in enumerate(verdicts)
    )
    results = replace(study.results(), judgements=judgements)
    assert findings.sentences(results)[-1].endswith(told)


@pytest.mark.parametrize(("time_scale", "told"), [(1.0, True), (0.1, False)])
def test_a_jitter_of_a_few_epochs_is_no_headline(time_scale: float, told: bool) -> None:
    study = synthetic.Study(synthetic.small(train={"time_scale": time_scale}))
    said = findings.sentences(study.results())[0]
    assert "validation top-1 ends at" in said
    assert ("from epoch to epoch it jitters by" in said) == told


def test_a_much_calmer_curve_is_told_without_an_exponent() -> None:
    study = synthetic.Study(synthetic.small(seeds=[0]))
    random = np.random.default_rng(0)
    study.change("outpost-0", val_top1_pct=90 + 0.005 * random.normal(size=200))
    study.change("baseline-0", val_top1_pct=85 + 1.5 * random.normal(size=200))
    assert re.search(r", [23]\d0 times calmer\.", findings.sentences(study.results())[0])


@pytest.mark.parametrize(
    ("value", "told"), [(0.1449, "0.14"), (286.0, "290"), (12345.0, "12,000"), (2.0, "2")]
)
def test_numbers_below_a_million_have_no_exponent(value: float, told: str) -> None:
    assert texts.significant(value, 2) == told


def test_equal_ends_are_no_difference() -> None:
    study = synthetic.Study(synthetic.small(seeds=[0, 1], train={"time_scale": 0.1}))
    for name in ("baseline-0", "baseline-1", "outpost-0", "outpost-1"):
        study.change(name, val_top1_pct=90.0)
    (ends, _) = findings.sentences(study.results())
    assert "(the baseline) at 90.00 %: no difference" in ends


def test_what_came_out_stands_before_the_statements_and_these_before_all_figures() -> None:
    page = shown(synthetic.Study(synthetic.small(**TINY)))
    order = ("What came out", "Seeds 1 0; runs are paired by seed", "Hardware NVIDIA H200")
    places = [
        page.text.index(said) for said in (*order, "Statement by statement", "Sharper minima, or")
    ]
    assert places == sorted(places)
    assert page.html.index('id="claims"') < page.html.index("<figure")


def test_every_claim_is_shown_with_its_verdict_parts_and_note() -> None:
    study = synthetic.Study(synthetic.small(seeds=[0, 1, 2], train={"time_scale": 0.1}))
    results = study.results()
    page = Page(pages.render(results))
    for claim in results.judgements:
        assert f"claim-{claim.id}" in page.ids
        shown = page.text[page.text.index(f"{claim.id} {claim.statement} {claim.verdict}") :]
        assert claim.note in shown
        assert all(part.name in shown for part in claim.parts)
    assert {"missing run", "contradicted"} & {str(j.verdict) for j in results.judgements}


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_fewer_than_three_seeds_give_no_verdict_and_say_so(seeds: list[int]) -> None:
    page = shown(synthetic.Study(synthetic.small(seeds=seeds, train={"time_scale": 0.1})))
    counted = f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''}"
    assert (
        f"With {counted} no verdict on any statement is possible: it takes at least 3" in page.text
    )
    assert "interval +" not in page.text


PART = Part(
    *("x", "points", "> 0", (0.0, inf)),
    *({0: 1.0, 1: 2.0, 2: 3.0}, 2.0, -0.48, 4.48, 0.037, Verdict.SUPPORTED),
)


def test_verdicts_differ_by_more_than_colour() -> None:
    html = (Path(pages.__file__).parent / "templates" / "macros.html").read_text()
    icons = re.search(r"macro icon\(key\) %}(.*?){%- endmacro", html, re.DOTALL)
    assert icons
    shapes = re.split(r"{%- (?:if|elif|else)[^%]*%}", icons[1])[1:]
    assert len(shapes) == len(set(shapes)) == 4


def test_a_picture_has_claimed_side_interval_mean_and_seeds() -> None:
    drawn = str(claims_table.picture(PART))
    assert drawn.count('class="seed"') == 3
    assert drawn.count('class="range"') == drawn.count('class="mean"') == 1
    side = re.search(r'class="side" x="([\d.]+)".*?width="([\d.]+)"', drawn)
    zero = re.search(r'class="edge-line" d="M([\d.]+) ', drawn)
    assert side and zero and side[1] == zero[1]
    assert 'class="range"' not in str(claims_table.picture(replace(PART, low=None, high=None)))
    assert claims_table.picture(replace(PART, effect=None, values={})) == ""
    within = str(claims_table.picture(replace(PART, claimed=(-0.3, 0.3))))
    assert within.count('class="edge-line"') == 2


def test_claims_numbers_are_written_for_people() -> None:
    ratio = replace(PART, unit="log ratio", effect=-1.0, low=-2.0, high=-0.5, wanted=">= 99.9")
    claim = Judgement("S1", "s", Verdict.SUPPORTED, 3, (ratio,), 0, 0.0004, "")
    assert claims_table.groups((claim,)) == {"Mechanisms": [claim]}
    assert claim.decider is ratio
    assert claims_table.p_value(claim.p_holm) == "< 0.001"
    assert claims_table.number(ratio.effect, ratio.unit) == "\N{MINUS SIGN}1.00"
    assert claims_table.ratio(ratio) == "\N{MULTIPLICATION SIGN} 0.368"
    assert claims_table.wanted(ratio) == "\N{GREATER-THAN OR EQUAL TO} 99.9"
    assert claims_table.interval(ratio) == "[\N{MINUS SIGN}2.00, \N{MINUS SIGN}0.50]"
    assert claims_table.key(Verdict.TOO_FEW_SEEDS) == "too-few-seeds"
    nothing = replace(ratio, effect=None, low=None, high=None)
    assert claims_table.number(None, "nats") == claims_table.interval(nothing) == "\N{EN DASH}"
    assert claims_table.ratio(nothing) == claims_table.ratio(PART) == ""


@in_one_process
def test_every_figure_has_a_link_to_its_data_and_a_text_alternative(whole: Reported) -> None:
    html = whole.page.read_text(encoding="utf-8")
    figures = whole.figures
    found = re.findall(r'<figure id="([^"]+)"(.*?)</figure>', html, re.DOTALL)
    assert [name for name, _ in found] == list(dict.fromkeys(name for name, _ in found))
    assert {name for name, _ in found} == set(figures)
    for name, figure in found:
        addresses = Page(figure[figure.index("<figcaption>") :]).addresses
        assert addresses, name
        if "-signals" in name or "-functional" in name:
            assert all(address.endswith("/stability.csv") for address in addresses)
        elif "-field" in name:
            assert all(address.endswith("/field.csv") for address in addresses)
        elif "sharpness" in name:
            assert all(address.endswith("/sharpness.json") for address in addresses)
        elif name.split("-")[0] in PANELS:
            assert addresses == ["curves.csv"]
        # Without JavaScript, what the figure would have said.
        without = re.search(r"<noscript><p>(.*?)</p>", figure, re.DOTALL)
        assert without
        assert unescape(without[1]) == figures[name]["description"]


def test_page_without_measurements_says_so() -> None:
    study = synthetic.Study(synthetic.small(**TINY))
    for run in study.runs:
        study.unmeasure(run)
    page = shown(study)
    assert page.text.count("Not measured on any run.") == 3
    assert "Not in the picture: baseline, outpost, expB-64" in page.text
    assert {name.split("-")[0] for name in page.figures} == {"tree", "expB"}


def test_references_that_are_measured_alone_are_not_called_unmeasured() -> None:
    page = shown(synthetic.Study(synthetic.small(**TINY, experiments=[])))
    assert "Not measured on any run." not in page.text
    assert page.text.count("Measured on baseline, outpost alone;") == 3
    assert "sharpness-end" in page.figures
    assert {"sharpness-end", "choose-kind"} <= page.ids


@pytest.mark.parametrize(("norm", "told"), [("batch", False), ("group", True)])
def test_experiment_e_says_what_is_left_of_it_without_batch_norm(norm: str, told: bool) -> None:
    rival = {"bnrecal": {"start_epoch": 60, "batch_norm_images": 64}}
    params = synthetic.small(**TINY, expE=rival, model={"norm": norm})
    page = shown(synthetic.Study(params))
    assert ("bnrecal is the baseline itself, and strict is experiment B." in page.text) == told


def test_a_window_of_one_epoch_is_the_last_epoch() -> None:
    page = shown(synthetic.Study(synthetic.small(**TINY)))
    assert "final: mean of the last epoch." in page.text
    assert "Mean of the last epoch: " in page.figures["expB-val_loss"]["description"]
    assert "last 1 " not in page.text


def test_a_study_that_does_not_ask_for_the_field_has_no_word_of_it() -> None:
    measure = synthetic.small().measure.model_dump(mode="json")
    asked = shown(synthetic.Study(synthetic.small(**TINY)))
    measure["field"]["every_epochs"] = None
    without = shown(synthetic.Study(synthetic.small(**TINY, measure=measure)))
    assert {"field", "expB-field"} <= asked.ids
    assert without.ids == asked.ids - {
        *("field", "expB-field", "expB-field-group", "choose-distance-field", "choose-shift"),
        "claim-S4",
    }
    assert "Field" in asked.text and "Field" not in without.text


def test_a_variant_without_measurements_is_named_beside_those_that_have_them() -> None:
    study = synthetic.Study(synthetic.small(**TINY))
    study.unmeasure("expB-128-0")
    page = shown(study)
    assert page.text.count("Not measured: 128.") == 3
    assert "Not in the picture: expB-128: not measured" in page.text
    figures = page.figures
    assert legend(figures["expB-val_loss"]) == {"baseline", "64", "128", "256", "512"}
    for name in ("expB-signals", "expB-functional", "expB-field", "expB-sharpness"):
        assert legend(figures[name]) == {"baseline", "64", "256", "512"}


def test_page_says_how_to_cite_study_and_article() -> None:
    data = {"name": "50 % of {it}", "official": False, "content_sha256": "e1" * 32}
    page = shown(synthetic.Study(synthetic.small(**TINY), data))
    assert "@software{netstab," in page.text
    assert "data: 50 \\% of \\{it\\}; NVIDIA H200, 2026-11-22" in page.text
    assert "{Proposing a new effect of learning rate decay -- Network Stability}" in page.text
