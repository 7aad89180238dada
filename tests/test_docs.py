"""The committed studies in `docs/` are what today's code says of the runs that lie beside them."""

import json
import shutil
from pathlib import Path

import pytest

from netstab import paths
from netstab.data.manifest import read_manifest
from netstab.evidence.claims.judge import claims_csv, claims_json
from netstab.evidence.results import Results
from netstab.evidence.summary.summaries import to_file
from netstab.params import Params, read
from netstab.results.runs import collect

pytestmark = pytest.mark.xdist_group("docs")  # what is read once is read in one process

MINI = Path(__file__).parents[1] / "docs" / "mini"


@pytest.fixture(scope="module")
def params() -> Params:
    return read(MINI / paths.PARAMS)


@pytest.fixture(scope="module")
def results(params: Params, tmp_path_factory: pytest.TempPathFactory) -> Results:
    root = tmp_path_factory.mktemp("mini")
    (root / paths.METRICS).mkdir()
    for name in (paths.RUNS.name, paths.CEILING.name):
        source, target = MINI / name, root / paths.METRICS / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        return Results.of(params, collect(params))


def test_the_mini_studys_runs_are_whole(results: Results) -> None:
    collection = results.collection
    assert not collection.faults and not collection.disagreements()
    assert set(collection.histories) == set(collection.expected)
    content = {p.data.content_sha256 for p in collection.provenance.values()}
    assert content == {read_manifest(MINI).content_sha256}


def test_the_mini_studys_verdicts_are_todays(params: Params, results: Results) -> None:
    assert (MINI / "claims.json").read_text() == claims_json(params, results.judgements)
    assert (MINI / "claims.csv").read_text() == claims_csv(params, results.judgements)
    for name, summary in results.summaries.items():
        assert json.loads((MINI / "variants" / f"{name}.json").read_text()) == to_file(summary)


def test_the_mini_studys_page_and_readme_name_every_verdict(results: Results) -> None:
    page, told = ((MINI / name).read_text() for name in ("report.html", "README.md"))
    for judgement in results.judgements:
        verdict = str(judgement.verdict).replace(" ", "-")
        assert f'id="claim-{judgement.id}" class="{verdict}"' in page
        assert judgement.id in told
    assert str(MINI.parents[1]) not in page
