"""The short form, for the test suite: of everything a little, in one process, on one checkout."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from torture import forked, kills, outcome, rebuilt
from torture.checkout import make
from torture.damage import damage_files, state_targets
from torture.disk import Disk

(WAY,) = kills.KINDS["brief"]


def rows(folder: Path, seed: int) -> Iterator[dict[str, Any]]:
    """A row for each thing that was tried; see `torture.kills`, `disk`, `damage`."""
    base, draw = make(folder / "base"), Random(seed)
    reference = kills.reference(base, WAY, folder / "reference")
    references = {WAY.command: reference}
    for number in range(2):
        trial = kills.Trial(base, "brief", number, seed, folder / f"kill-{number}", references)
        yield {"case": f"kill {number}", **trial.run()}
    disk = Disk(base, folder, draw, rounds=1)
    trained = base.copied_to(folder / "trained")
    forked.run(trained, forked.stage("outpost"))
    disk.expected = outcome.outcome(trained)
    for case in ("file_size_limit", "two_hosts"):
        yield disk.case(case)
    for kind, found in state_targets(trained).items():
        yield {"case": kind, **damage_files(kind, found, trained.store, draw, 10, 1)}
    yield {
        "case": "made again",
        **rebuilt.stage_rebuilds(trained, disk.expected, folder / "rebuilt", draw),
    }
