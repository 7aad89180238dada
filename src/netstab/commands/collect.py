"""`netstab collect`: the files of every run that the store has, recorded with DVC in one go.

`dvc repro` collects as well, a stage at a time: each starts a process and writes the whole of
`dvc.lock` anew, which with many seeds takes hours. `dvc commit` writes it once for a group of
stages, and believes what it is told; so a group is recorded only if every file of it has just been
written from the store, under the very parameters that DVC records with them.
"""

import os
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from netstab import params, paths
from netstab.commands import preflight
from netstab.commands.dvc import run_dvc
from netstab.data.manifest import Manifest, read_manifest
from netstab.errors import NetstabError
from netstab.files import write_file
from netstab.locks import results_lock, shared_with_children
from netstab.results.write import write_json
from netstab.store import finished
from netstab.store.ledger import Ledger, open_ledger
from netstab.store.settings import settings
from netstab.study.experiments import Run, runs
from netstab.study.stages import stage_group

SETTINGS, CEILING = "settings", "ceiling"
INPUTS = (paths.PARAMS, paths.MANIFEST, paths.RECORDED_NUMERICS)
"""What the stages of runs depend on, in the checkout."""
SHOWN = 5
"""Names of runs that lack, before they are counted."""


def run() -> None:
    """Write the files of every run that is trained and measured, and record whole groups.

    Raises:
        NetstabError: `params.yaml` or the images cannot be used, a file cannot be written, or DVC
            cannot record them: the files are there then, and `dvc repro` records them.
    """
    os.chdir(paths.project_root())
    preflight.check(Path())
    _refuse_other_code()
    before = _inputs()
    content, manifest = params.read(paths.PARAMS), read_manifest()
    ledger = open_ledger(Path(), content=content)
    every = runs(content)
    lacking = [one for one in every if not _write(ledger, one, manifest)]
    groups: defaultdict[str, int] = defaultdict(int)
    for one in every:
        groups[stage_group(one.variant)] += 1
    left = list(dict.fromkeys(stage_group(one.variant) for one in lacking))
    whole = [name for name in groups if name not in left]
    lacks = [one.name for one in lacking]
    if (ceiling := finished.ceiling(ledger)) is not None:
        with results_lock(CEILING):
            write_json(paths.CEILING, ceiling)
        whole.append(CEILING)
    else:
        left.append(CEILING)
        lacks.append("the comparison of two seeds")
    if whole:
        with results_lock(SETTINGS):
            write_json(paths.SETTINGS, settings(content, manifest))
        _record([SETTINGS, *whole], before)
    recorded = sum(groups.get(name, 0) for name in whole)
    print(f"recorded now: {recorded} of {len(every)} runs")
    if left:
        more = f" and {len(lacks) - SHOWN} more" if len(lacks) > SHOWN else ""
        names = ", ".join(lacks[:SHOWN])
        print(f"left to dvc repro: {', '.join(left)}; the store lacks {names}{more}")
    print(f"dvc repro {'does the rest' if left else 'makes the report'}", file=sys.stderr)


def _refuse_other_code() -> None:
    """Refuse where the code at work is not this checkout's, which is what DVC records.

    Raises:
        NetstabError: it is another one's: two checkouts share an environment.
    """
    recorded = paths.RECORDED_NUMERICS
    if not recorded.exists() or not recorded.samefile(paths.NUMERICS):
        raise NetstabError(
            f"netstab runs from {paths.NUMERICS.parents[2]}, which is not this checkout's; install "
            "it from here (pip install -e .), or leave collecting to dvc repro"
        )


def _inputs() -> list[bytes]:
    """Content of what DVC records beside the runs' files."""
    every = (*INPUTS, *sorted(paths.NETWORKS.rglob("*.py")))
    return [path.read_bytes() if path.exists() else b"" for path in every]


def _write(ledger: Ledger, one: Run, manifest: Manifest) -> bool:
    """Write a run's files; False where it lacks anything."""
    record = finished.complete(ledger, one)
    if record is None:
        return False
    with results_lock(one.name):
        finished.write(ledger, one, record, finished.images(manifest), root=Path())
    return True


def _record(groups: Sequence[str], before: list[bytes]) -> None:
    """Let DVC record groups of stages as they are.

    Args:
        groups: their names.
        before: content of the `INPUTS` that their files belong to.

    Raises:
        NetstabError: DVC refuses, or the inputs have changed meanwhile: nothing is recorded then.
    """
    root = Path().resolve()
    with shared_with_children(root / paths.DVC_AT_WORK) as number:
        rows = paths.DVC_LOCK.read_bytes() if paths.DVC_LOCK.exists() else None
        try:
            code = run_dvc(root, ["commit", "--force", *groups], keep=(number,))
        finally:
            # DVC reads them anew for each group, and records them with the old ones' files.
            if changed := _inputs() != before:
                _restore(rows)
    if changed:
        raise NetstabError(
            f"{', '.join(map(str, INPUTS))}: one of them has changed meanwhile, so nothing is "
            "recorded; run netstab collect again"
        )
    if code:
        raise NetstabError(
            f"the runs' files are written, but could not be recorded (dvc exit code {code}); see "
            "above. If another dvc is at work here, wait for its end; dvc repro records them too"
        )


def _restore(rows: bytes | None) -> None:
    if rows is None:
        paths.DVC_LOCK.unlink(missing_ok=True)
    else:
        write_file(paths.DVC_LOCK, rows)
