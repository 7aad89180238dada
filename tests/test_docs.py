"""The committed study in `docs/mini` is what today's code says of the pieces that lie beside it."""

import shutil
from pathlib import Path

import pytest

from netstab import paths
from netstab.data.dataset import Dataset
from netstab.data.manifest import read_manifest
from netstab.evidence.claims.judge import claims_csv, claims_json
from netstab.evidence.results import Results
from netstab.exchange import piecefile
from netstab.exchange.importing import import_files
from netstab.params import Params, read
from netstab.results.runs import collect
from netstab.results.write import write_json
from netstab.store import finished
from netstab.store.ledger import Ledger
from netstab.store.states import Store
from netstab.study.experiments import runs

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("docs")]  # read once, in one process

MINI = Path(__file__).parents[1] / "docs" / "mini"


@pytest.fixture(scope="module")
def params() -> Params:
    return read(MINI / paths.PARAMS)


@pytest.fixture(scope="module")
def results(params: Params, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """As `netstab store import` and `dvc repro` make them, by the versions that trained them."""
    root = tmp_path_factory.mktemp("mini")
    shutil.copy(MINI / paths.PARAMS, root)
    files = piecefile.found([MINI / "pieces"])
    piece, manifest = piecefile.read(files[0]), read_manifest(MINI)
    ledger = Ledger(
        params, Dataset.prepared(manifest), Store(root / "store"), piece.numerics, piece.measures
    )
    import_files(ledger, files)
    for run in runs(params):
        record = finished.complete(ledger, run)
        assert record, run.name
        finished.write(ledger, run, record, finished.images(manifest), root=root)
    write_json(root / paths.CEILING, finished.ceiling(ledger))
    write_json(root / paths.BARRIERS, finished.barriers(ledger).model_dump(mode="json"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        return Results.of(params, collect(params))


def test_the_mini_studys_runs_are_whole(results: Results) -> None:
    collection = results.collection
    assert not collection.faults and not collection.disagreements()
    assert not collection.ceiling_problem and not collection.barriers.missing
    assert set(collection.histories) == set(collection.expected)
    content = {p.data.content_sha256 for p in collection.provenance.values()}
    assert content == {read_manifest(MINI).content_sha256}


def test_the_mini_studys_verdicts_are_todays(params: Params, results: Results) -> None:
    assert (MINI / "claims.json").read_text() == claims_json(params, results.judgements)
    assert (MINI / "claims.csv").read_text() == claims_csv(params, results.judgements)


def test_the_mini_studys_page_and_readme_name_every_verdict(results: Results) -> None:
    page, told = ((MINI / name).read_text() for name in ("report.html", "README.md"))
    assert len(page) < 5e6
    for judgement in results.judgements:
        verdict = str(judgement.verdict).replace(" ", "-")
        assert f'id="claim-{judgement.id}" class="{verdict}"' in page
        assert f"| {judgement.id} | {judgement.verdict} |" in told
    assert str(MINI.parents[1]) not in page
