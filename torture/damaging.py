"""Everything that is damaged, in turn."""

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from tests.checkout import DVC, NETSTAB
from torture import forked, outcome, rebuilt
from torture.checkout import Checkout
from torture.damage import damage_files, targets


class Made:
    """Checkouts that have everything that can be damaged.

    Args:
        base: a checkout without results.
        folder: for its copies.
    """

    def __init__(self, base: Checkout, folder: Path) -> None:
        self.base, self.folder = base, folder

    def rows(
        self,
        draw: Random,
        kinds: Sequence[str] | None,
        count: int,
        files: int,
        rebuilds: int,
        pipelines: int,
    ) -> Iterator[dict[str, Any]]:
        """A row for every kind of file, then those for what is made again.

        Args:
            draw: every random choice.
            kinds: of files; None for all.
            count: cuts, and flipped bits, of a large file.
            files: of each kind, at most.
            rebuilds: damaged files of a store that a stage makes again.
            pipelines: times that `dvc repro` mends all files of results.
        """
        if rebuilds:
            yield self._rebuilds(draw, rebuilds)
        self.whole = self.base.copied_to(self.folder / "whole")
        self.whole.run(*NETSTAB, "sweep")
        self.whole.run(*DVC, "repro")
        pieces = self.folder / "pieces"
        self.whole.run(*NETSTAB, "store", "export", str(pieces))
        (piece,) = pieces.glob("*")
        imported = self.base.copied_to(self.folder / "imported")
        imported.run(*NETSTAB, "store", "import", str(piece))
        for kind, found in targets(self.whole, imported, piece).items():
            if kinds is None or kind in kinds:
                store = imported.store if kind == "imported run" else self.whole.store
                yield damage_files(kind, found, store, draw, count, files)
        if pipelines:
            trials = (
                rebuilt.pipeline_rebuilds(self.whole, self.folder / f"pipeline-{n}", draw)
                for n in range(pipelines)
            )
            yield _summed("dvc repro", trials)

    def _rebuilds(self, draw: Random, count: int) -> dict[str, Any]:
        trained = self.base.copied_to(self.folder / "trained")
        forked.run(trained, forked.stage(rebuilt.VARIANT))
        shutil.rmtree(trained.root / "metrics")
        expected = self._expected(trained)
        trials = (
            rebuilt.stage_rebuilds(trained, expected, self.folder / f"rebuilt-{n}", draw)
            for n in range(count)
        )
        return _summed("stage", trials)

    def _expected(self, trained: Checkout) -> outcome.Outcome:
        """Of the stage that only collects."""
        checkout = trained.copied_to(self.folder / "expected")
        forked.run(checkout, forked.stage(rebuilt.VARIANT))
        return outcome.outcome(checkout)


def _summed(kind: str, trials: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """Trials of one kind as a row."""
    seen: Counter[str] = Counter()
    problems: list[str] = []
    folder = ""
    for trial in trials:
        seen["damages"] += trial["damages"]
        seen["made again"] += trial["damages"] if not trial.get("problems") else 0
        problems += trial.get("problems", [])
        folder = trial.get("folder", folder)
    row: dict[str, Any] = {"kind": kind, **seen}
    return row | ({"problems": problems[:20], "folder": folder} if problems else {})
