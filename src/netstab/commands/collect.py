"""`netstab collect`: the files of every run that the store has, recorded with DVC in one go.

`dvc repro` collects as well, a stage at a time: each starts a process and writes the whole of
`dvc.lock` anew, which with many seeds takes hours. `dvc commit` writes it once for a group of
stages, and believes what it is told; so a group is recorded only if every file of it has just been
written from the store, under the very parameters that DVC records with them.
"""

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from netstab import params, paths
from netstab.commands.dvc import run_dvc
from netstab.data.manifest import Manifest, read_manifest
from netstab.errors import NetstabError
from netstab.locks import shared_with_children, turn
from netstab.study.experiments import REFERENCES, Run, Variant, runs
from netstab.training import runfiles
from netstab.training.dataset import Dataset
from netstab.training.ledger import Ledger, versions
from netstab.training.store import Store

CEILING = "ceiling"
LOCK = Path("dvc.lock")
SHOWN = 5
"""Names of runs that lack, before they are counted."""


def stage_of(variant: Variant) -> str:
    """Name of the stage in `dvc.yaml` that has a variant's runs."""
    if variant.experiment in REFERENCES:
        return "reference"
    return {"expE": "rival", "own": "own"}.get(variant.experiment, "train")


def run(console: Console) -> None:
    """Write the files of every run that is trained and measured, and record whole groups.

    Raises:
        NetstabError: `params.yaml` or the images cannot be used, a file cannot be written, or DVC
            cannot record them: the files are there then, and `dvc repro` records them.
    """
    os.chdir(paths.project_root())
    before = paths.PARAMS.read_bytes()
    content, manifest = params.read(paths.PARAMS), read_manifest()
    ledger = Ledger(content, Dataset.prepared(manifest), Store(paths.store_root()), *versions())
    lacking = [one for one in runs(content) if not _write(ledger, one, manifest)]
    groups: defaultdict[str, int] = defaultdict(int)
    for one in runs(content):
        groups[stage_of(one.variant)] += one not in lacking
    whole = [name for name in groups if name not in {stage_of(one.variant) for one in lacking}]
    ceiling = runfiles.ceiling(ledger)
    if ceiling is not None:
        with turn(CEILING):
            runfiles.write_json(paths.CEILING, ceiling)
        whole.append(CEILING)
    if whole:
        _record(whole, before)
    recorded = sum(groups.get(name, 0) for name in whole)
    console.print(f"{recorded} of {len(runs(content))} runs are recorded in {LOCK}")
    if lacking:
        names = [one.name for one in lacking[:SHOWN]]
        more = [f"and {len(lacking) - SHOWN} more"] if len(lacking) > SHOWN else []
        console.print(f"not trained, or not measured: {', '.join([*names, *more])}")
    left = "makes the report" if not lacking else "does the rest: netstab sweep is faster"
    console.print(f"dvc repro {left}")


def _write(ledger: Ledger, one: Run, manifest: Manifest) -> bool:
    """Write a run's files; False where it lacks anything."""
    record = runfiles.complete(ledger, one)
    if record is None:
        return False
    with turn(one.name):
        runfiles.write(ledger, one, record, runfiles.images(manifest), root=Path())
    return True


def _record(groups: Sequence[str], before: bytes) -> None:
    """Let DVC record groups of stages as they are.

    Args:
        groups: their names.
        before: content of `params.yaml` that their files belong to.
    """
    root = Path().resolve()
    rows = LOCK.read_bytes() if LOCK.exists() else None
    with shared_with_children(root / ".netstab" / "turns" / "dvc.lock") as number:
        code = run_dvc(root, ["commit", "--force", "--quiet", *groups], keep=(number,))
    if code:
        raise NetstabError(
            f"the runs' files are written, but could not be recorded (dvc exit code {code}); see "
            "above. If another dvc is at work here, wait for its end; dvc repro records them too"
        )
    if paths.PARAMS.read_bytes() != before:
        # DVC has recorded the new parameters with the old ones' files.
        if rows is None:
            LOCK.unlink()
        else:
            LOCK.write_bytes(rows)
        raise NetstabError(
            f"{paths.PARAMS} has changed meanwhile: nothing is recorded; run netstab collect again"
        )
