"""Disks that fill, cannot be written, vanish; clocks that are set; hosts without common locks."""

import os
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from netstab.store.housekeeping import verify
from netstab.study.experiments import Run, Variant
from tests.checkout import NETSTAB, Result, files_in
from torture import faked, forked, outcome
from torture.checkout import Checkout
from torture.mounts import limit_files, mounted, read_only

VARIANT = "outpost"


@dataclass
class Disk:
    """The cases, and what came out of each.

    Attributes:
        base: a checkout to be copied.
        folder: for the copies.
        draw: every random choice.
        rounds: of two hosts.
    """

    base: Checkout
    folder: Path
    draw: random.Random
    problems: list[str] = field(default_factory=list)
    refusals: int = 0
    rounds: int = 6

    def prepare(self) -> None:
        """Make the undisturbed run that all is held against, and a whole report."""
        self.whole = self.base.copied_to(self.folder / "whole")
        self.whole.run(*NETSTAB, "sweep")
        for name in ("baseline", VARIANT, "expE-ema"):
            forked.run(self.whole, forked.stage(name))
        self.whole.run(*NETSTAB, "store", "export", str(self.folder / "pieces"))
        alone = self.base.copied_to(self.folder / "alone")
        forked.run(alone, forked.stage(VARIANT))
        self.expected = outcome.outcome(alone)

    def _copy(self, name: str, of: Checkout | None = None) -> Checkout:
        return (of or self.base).copied_to(self.folder / name)

    def _refused(self, done: Result, named: Path, *words: str) -> None:
        """A refusal has to end with exit code 1, name the path, and say what to do."""
        self.refusals += 1
        if done.code != 1 or "Traceback" in done.output:
            self.problems.append(f"exit code {done.code}, not a refusal: {done.output[-600:]}")
        for word in (str(named), *words):
            if word not in done.output:
                self.problems.append(f"does not say {word!r}: {done.output[-400:]}")

    def _sound(self, checkout: Checkout) -> None:
        sound, aside = verify(checkout.store)
        if aside:
            self.problems.append(f"{aside} of {sound + aside} were set aside")
        if left := outcome.half_written(checkout.root):
            self.problems.append(f"half-written: {[path.name for path in left]}")

    def _goes_on(self, checkout: Checkout) -> None:
        """The next call, with nothing in the way, comes to the bits of an undisturbed run."""
        done = forked.run(checkout, forked.stage(VARIANT), code=None)
        if done.code:
            self.problems.append(f"the next call: exit code {done.code}: {done.output[-600:]}")
        else:
            self.problems += outcome.faults(checkout, self.expected)

    # Full

    def full_at_every_write(self) -> str:
        """The store's file system fills up at every write in turn, of states and measurements."""
        checkout, hits, at = self._copy("full"), 0, 1
        with mounted(checkout.store.root, "64m"):
            while True:
                room = self.draw.choice((0, 0, self.draw.randrange(200_000)))
                full = partial(faked.full_at, at, checkout.store.root, room)
                done = forked.run(checkout, forked.stage(VARIANT), full, code=None)
                filler = checkout.store.root / faked.FILLER
                if not filler.exists():
                    assert not done.code, done.output
                    break
                filler.unlink()
                if done.code:
                    hits += 1
                    self._refused(done, checkout.store.root, "No space left", "free some")
                self._sound(checkout)
                at = 2  # what was refused succeeds now, and the next write is refused
            self._goes_on(checkout)
        return f"{hits} writes refused"

    def file_size_limit(self) -> str:
        """No file may be larger than a limit, which grows until everything fits."""
        checkout, limit, hits = self._copy("limit"), 0, 0
        while True:
            limited = partial(limit_files, limit)
            done = forked.run(checkout, forked.stage(VARIANT), limited, code=None)
            self._sound(checkout)
            if not done.code:
                break
            hits += 1
            self._refused(done, checkout.root / ".netstab" if limit else Path(".netstab"), "large")
            limit = max(512, limit * 2)
        self.problems += outcome.faults(checkout, self.expected)
        return f"{hits} limits refused, up to {limit:,} bytes"

    def full_at_results(self) -> str:
        """The file system of images, results and pieces grows from nothing until all fits."""
        refused = []
        checkout = self._copy("results", self.whole)
        pieces = self.folder / "small-pieces"
        for what, folder, main, step in (
            ("images", checkout.root / "data", _data, 8192),
            ("run files", checkout.root / "metrics", forked.stage(VARIANT), 4096),
            ("report", checkout.root / "metrics", _report, 131_072),
            ("piece", pieces, forked.command("store", "export", str(pieces)), 4096),
        ):
            refused.append(f"{what} {self._grown(checkout, folder, main, step)}")
        return "refused: " + ", ".join(refused)

    def _grown(
        self, checkout: Checkout, folder: Path, main: Callable[[], object], step: int
    ) -> int:
        before, hits = files_in(folder), 0
        kept = Path(shutil.copytree(folder, self.folder / "kept")) if folder.exists() else None
        size = max(4096, sum(-(-len(content) // 4096) * 4096 for content in before.values()))
        while True:
            with mounted(folder, str(size)):
                if kept:
                    shutil.copytree(kept, folder, dirs_exist_ok=True)
                done = forked.run(checkout, main, lambda: None, code=None)
                after = files_in(folder)
            if not done.code:
                break
            hits += 1
            self._refused(done, Path(folder.name), "room")
            changed = [n for n in before if "provenance" not in n and after.get(n) != before[n]]
            if changed or outcome.half_written(folder):
                self.problems.append(f"not as it was: {changed}")
            size += step
        if kept:
            shutil.rmtree(kept)
        return hits

    # Not there, or not to be written

    def read_only_store(self) -> str:
        """Where nothing can be written: refused by name; what is finished is collected."""
        checkout = self._copy("read-only", self.whole)
        ledger = checkout.ledger()
        record = ledger.finished(Run(Variant(VARIANT), 0))
        assert record is not None
        root = checkout.store.root
        with read_only(root):
            forked.run(checkout, forked.stage(VARIANT))
        ledger.store.remove(record.key)
        pieces = str(next((self.folder / "pieces").glob("*.gz")))
        damaged = next(iter(ledger.store.states.glob("*.json")))
        content = damaged.read_bytes()
        damaged.write_bytes(content[:-9])
        with read_only(root):
            for main in (
                forked.stage(VARIANT),
                forked.command("store", "import", pieces),
                forked.command("store", "verify"),
                forked.command("store", "gc", "--yes"),
            ):
                done = forked.run(checkout, main, code=None)
                self._refused(done, root, "Read-only file system")
        damaged.write_bytes(content)
        forked.run(checkout, forked.stage(VARIANT))
        self.problems += outcome.outcome(checkout).differences(outcome.outcome(self.whole))
        return "4 commands refused, and a finished run collected"

    def store_removed(self) -> str:
        """The store vanishes behind a save, at every save in turn."""
        codes = []
        for at in range(1, 6):
            checkout = self._copy(f"removed-{at}")
            gone = partial(faked.removed_after, at, checkout.store.root)
            done = forked.run(checkout, forked.stage(VARIANT), gone, code=None)
            codes.append(done.code)
            if done.code:
                self.refusals += 1
            if "Traceback" in done.output:
                self.problems.append(f"no refusal: {done.output[-600:]}")
            self._sound(checkout)
            self._goes_on(checkout)
        return f"exit codes {codes}"

    # Clocks and hosts

    def clock_set(self) -> str:
        """The clock jumps by years, in a process and in the dates of files."""
        years = 365 * 86400.0
        for number, shift in enumerate((-20 * years, 20 * years, -3600.0)):
            checkout = self._copy(f"clock-{number}")
            half = partial(faked.stopped_after, 3)
            forked.run(checkout, forked.stage(VARIANT), half, code=9)
            (checkout.store.states / ".dead.part").write_bytes(b"half")
            for path in checkout.store.root.rglob("*"):
                os.utime(path, (time.time() + shift,) * 2)
            forked.run(checkout, forked.stage(VARIANT), partial(faked.clock_shifted, -shift))
            forked.run(checkout, forked.command("store", "gc", "--yes"))
            left = (checkout.store.states / ".dead.part").exists()
            if left and abs(shift) > 3600:
                self.problems.append(f"shift {shift:.0f}: a dead process's file stays")
            (checkout.store.states / ".dead.part").unlink(missing_ok=True)
            self._goes_on(checkout)
        return "3 shifts"

    def two_hosts(self) -> str:
        """Two processes without locks, with the same number and other bits each, on one store."""
        mixed = 0
        for number in range(self.rounds):
            checkout = self._copy(f"hosts-{number}")
            both = [
                forked.start(
                    checkout,
                    forked.stage(VARIANT),
                    self.folder / f"host-{number}-{host}",
                    partial(faked.host, host, self.draw.uniform(0, 1.0)),
                )
                for host in (1, 2)
            ]
            codes = [one.wait() for one in both]
            outputs = [(self.folder / f"host-{number}-{h}").read_text() for h in (1, 2)]
            if codes != [0, 0]:
                self.problems.append(f"exit codes {codes}: {outputs}")
            self._sound(checkout)
            mixed += any("with other bits" in text for text in outputs)
            self.problems += _other_past(checkout)
            forked.run(checkout, forked.stage(VARIANT))
        return f"{self.rounds} times, of which {mixed} met with other bits"

    def case(self, name: str) -> dict[str, Any]:
        """Run a case; a row of what came out."""
        self.problems, self.refusals, started = [], 0, time.monotonic()
        summary = getattr(self, name)()
        row: dict[str, Any] = {"case": name, "summary": summary, "refused": self.refusals}
        if self.problems:
            row |= {"problems": self.problems, "folder": str(self.folder)}
        return row | {"took_s": time.monotonic() - started}


CASES = {
    "full_at_every_write": True,
    "file_size_limit": False,
    "full_at_results": True,
    "read_only_store": True,
    "store_removed": False,
    "clock_set": False,
    "two_hosts": False,
}
"""Name -> whether it mounts something, for which one has to be root."""


def _other_past(checkout: Checkout) -> list[str]:
    """Kept states of a run whose history is not the continuation of the one before."""
    ledger = checkout.ledger()
    records = [r for key in ledger.store.listing() if (r := ledger.store.record(key))]
    way = sorted((r for r in records if not r.interim), key=lambda record: record.epoch)
    pairs = pairwise(way)
    return [
        f"the state at {later.epoch} does not go on from the one at {early.epoch}"
        for early, later in pairs
        if later.history[: early.epoch] != early.history
    ]


def _data() -> None:
    from netstab.stages.data import main

    main()


def _report() -> None:
    from netstab.stages.report import main

    main()
