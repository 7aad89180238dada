"""Targets: small files of results, which git carries and others may have written."""

import io
import json
import os
import tempfile
from contextlib import chdir
from functools import cache
from pathlib import Path
from random import Random

from rich.console import Console

from netstab import paths
from netstab.commands import claims
from netstab.data.dataset import Dataset
from netstab.data.manifest import read_manifest
from netstab.evidence.claims.judge import claims_csv, claims_json
from netstab.evidence.results import Results
from netstab.evidence.summary.curves import curves
from netstab.evidence.summary.terminal import read_summaries, summary_table
from netstab.results.runs import collect
from netstab.store.ledger import Ledger
from netstab.store.states import Store
from tests import synthetic
from tests.data_helpers import MANIFEST
from torture.fuzz.bounds import Target
from torture.fuzz.nonsense import NUMBERS, TEXTS, as_json, broken, damaged

MEASURE = synthetic.parameters().measure.model_dump(mode="json")
STUDY = synthetic.small(
    train={"time_scale": 0.1},
    ceiling={"seeds": [0, 1]},
    measure={"stability": {**MEASURE["stability"], "every_epochs": 100}},
)
RUN = paths.run_dir("expB-64-0")
FILES = {
    "history": RUN / "history.csv",
    "stability": RUN / "stability.csv",
    "field": RUN / "field.csv",
    "sharpness": RUN / "sharpness.json",
    "provenance": RUN / "provenance.json",
    "ceiling": paths.CEILING,
    "barriers": paths.BARRIERS,
    "claims": paths.CLAIMS,
    "parts": paths.CLAIM_PARTS,
    "summary": paths.VARIANTS / "expB-64.json",
}


@cache
def project() -> dict[Path, bytes]:
    """The results of a small study, reported, file by file; without pictures."""
    with tempfile.TemporaryDirectory() as folder:
        synthetic.Study(STUDY).write(Path(folder))
        with chdir(folder):
            results = Results.of(STUDY, collect(STUDY))
            paths.VARIANTS.mkdir()
            for name, summary in results.summaries.items():
                (paths.VARIANTS / f"{name}.json").write_text(json.dumps(summary))
            paths.CLAIMS.write_text(claims_json(STUDY, results.judgements))
            paths.CLAIM_PARTS.write_text(claims_csv(STUDY, results.judgements))
            paths.PARAMS.write_text("x: 1")
            Path("dvc.yaml").write_text("x: 1")
            found = (path for path in Path().rglob("*") if path.is_file())
            return {path: path.read_bytes() for path in found}


def _results(random: Random) -> bytes:
    kind = random.choice(list(FILES))
    content = project()[FILES[kind]]
    if FILES[kind].suffix == ".json":
        content = as_json(broken(json.loads(content), random), random)
    else:
        content = _table(content.decode(), random)
    return kind.encode() + b"\n" + content


def _table(text: str, random: Random) -> bytes:
    rows = [line.split(",") for line in text.splitlines()]
    for _ in range(random.randint(0, 3)):
        at, kind = random.randrange(len(rows)), random.randrange(5)
        column = random.randrange(max(1, len(rows[at])))
        if kind <= 1 and rows[at]:
            value = random.choice([random.choice(TEXTS), str(random.choice(NUMBERS))[:400]])
            rows[random.choice([0, at])][column : column + 1] = [value]
        elif kind == 2 and len(rows) > 1:
            del rows[at]
        elif kind == 3:
            rows.insert(at, random.choice(rows))
        else:
            rows[at] = rows[at][:column]
    content = "\n".join(map(",".join, rows)).encode("utf-8", "surrogatepass")
    return damaged(content, random) if random.randrange(6) == 0 else content


def _report(content: bytes, place: Path) -> bool:
    kind, _, text = content.partition(b"\n")
    path = FILES.get(kind.decode("latin1"))
    if path is None:
        return False
    for name, sound in project().items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(text if name == path else sound)
    with chdir(place):
        if kind in (b"claims", b"parts", b"summary"):
            return _show()
        results = Results.of(STUDY, collect(STUDY))
        curves(STUDY, results.bands).to_csv(float_format="%.6g")
        json.loads(claims_json(STUDY, results.judgements))
        claims_csv(STUDY, results.judgements)
        faults = [*results.collection.faults, *results.collection.disagreements()]
        odd = [str(f) for f in faults if not str(f).isprintable()]
        assert not odd, f"warns with control characters: {odd[0]!a}"
        return not faults


def _show() -> bool:
    text = io.StringIO()
    out = Console(file=text, width=200)
    claims.show([], out)
    claims.show(["A1", "B1"], out)
    out.print(summary_table(read_summaries()))
    odd = {c for c in text.getvalue() if not c.isprintable() and c != "\n"}
    assert not odd, f"prints control characters {odd}"
    return True


def _told(random: Random) -> bytes:
    return as_json(broken(MANIFEST.model_dump(mode="json"), random), random)


def _read_manifest(content: bytes, place: Path) -> bool:
    path = place / paths.MANIFEST
    path.parent.mkdir()
    path.write_bytes(content)
    manifest = read_manifest(place)
    ledger = Ledger(STUDY, Dataset.prepared(manifest), Store(place / "store"), 1)
    assert ledger.costs.flop([]) == 0 and ledger.outstanding()
    assert os.fspath(path)
    return True


NAMED = ("metrics", "claims")
TARGETS = (
    Target("results", _results, _report, NAMED),
    Target("manifest", _told, _read_manifest, ("manifest.json",)),
)
