"""A soak: random interventions, by every command, with kills; is all consistent at the end?"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from netstab.store.housekeeping import entries, verify
from tests.checkout import DEADLINE_S, DVC, NETSTAB
from torture import flat, outcome
from torture.checkout import Checkout

CHANGES = (
    *(f"outpost.decay_factor={value}" for value in (0.1, 0.2, 0.5)),
    *(f"expE.ema.start_epoch={value}" for value in (60, 90, 120)),
    *(f"expE.ema.decay={value}" for value in (0.9, 0.99)),
    *(f"measure.stability.images={value}" for value in (8, 12)),
)
KILLED = 0.4
"""Share of the commands that are killed."""
SOON_S = 6.0
"""Within which that happens."""
LEFT = {
    "Unable to read RWLock": ".dvc/tmp/rwlock",
    "index.lock|the index is locked": ".git/index.lock",
    "dvc.lock' validation failed|unable to read: '(./)?dvc.lock'": "dvc.lock",
}
"""What DVC or git says then, and the file of theirs that a kill may leave to be removed by hand."""


@dataclass
class Soak:
    """What is done to one checkout, and what came of it.

    Attributes:
        checkout: with a study that has been reproduced and committed.
        draw: every random choice.
        seen: how often what was done, and what came out.
        refused: output of commands that ended with another exit code than 0, unkilled, and
            left no file of DVC's or git's own.
        samples: after every command, what could grow.
    """

    checkout: Checkout
    draw: random.Random
    seen: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    samples: list[dict[str, int]] = field(default_factory=list)

    def begin(self) -> None:
        """Reproduce and commit, so that experiments have something to start from."""
        # DVC commits experiments itself, under the name that git has.
        self.checkout.run("git", "config", "user.name", "A")
        self.checkout.run("git", "config", "user.email", "a@example.org")
        self.checkout.run(*NETSTAB, "sweep")
        self.checkout.run(*DVC, "repro")
        self.checkout.commit("reproduced")

    def step(self) -> None:
        """One command, drawn; perhaps killed."""
        what, command = self._drawn()
        self.seen[what] += 1
        kill = self.draw.random() < KILLED
        after, group = self.draw.uniform(0, SOON_S), self.draw.random() < 0.5
        output = self.checkout.root / ".netstab" / "output"
        output.unlink(missing_ok=True)
        process = self.checkout.start(*command, output=output)
        try:
            code = process.wait(after if kill else DEADLINE_S)
        except subprocess.TimeoutExpired:
            if not kill:
                raise
            self.seen["killed"] += 1
            self._kill(process, group=group)
            return
        if code:
            self._refuse(f"{what}: exit code {code}", output.read_text("utf-8", "replace"))
        elif what.startswith("exp run") and self.draw.random() < 0.5:
            self.checkout.commit("an experiment")
            self.seen["committed"] += 1
        self._sample()

    def _refuse(self, what: str, output: str) -> None:
        """Note a command that was not killed and failed; remove a file where docs say so."""
        refusal = f"{what}: {output.strip()[-600:]}"
        print(refusal, file=sys.stderr, flush=True)
        for pattern, path in LEFT.items():
            if re.search(pattern, output) and self.seen["killed"]:
                (self.checkout.root / path).unlink(missing_ok=True)
                self.seen[f"by hand: {path}"] += 1
                return
        self.refused.append(refusal)

    def _drawn(self) -> tuple[str, tuple[str, ...]]:
        change = self.draw.choice(CHANGES)
        commits = self.checkout.run("git", "log", "--all", "--format=%H", "main").output.split()
        ways: dict[str, tuple[str, ...]] = {
            "exp run": (*DVC, "exp", "run", "-S", change),
            "exp run --temp": (*DVC, "exp", "run", "--temp", "-S", change),
            "repro": (*DVC, "repro"),
            "sweep": (*NETSTAB, "sweep"),
            "gc": (*NETSTAB, "store", "gc", "--yes"),
            "verify": (*NETSTAB, "store", "verify"),
            "checkout": ("git", "checkout", "--quiet", "--force", self.draw.choice(commits)),
        }
        weights = (4, 2, 2, 2, 1, 1, 2)
        (what,) = self.draw.choices(list(ways), weights)
        return what, ways[what]

    def _kill(self, process: subprocess.Popen[bytes], *, group: bool) -> None:
        if group:
            for one in outcome.processes_of(self.checkout):
                try:
                    os.kill(one.pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        process.kill()
        process.wait()

    def _sample(self) -> None:
        tmp = self.checkout.root / ".dvc" / "tmp"
        self.samples.append(
            {
                "store_files": sum(1 for p in self.checkout.store.root.rglob("*") if p.is_file()),
                "dvc_tmp": sum(1 for _ in tmp.rglob("*")),
                "temporary": len(os.listdir(self.checkout.temporary)),
                "processes": len(outcome.processes_of(self.checkout)),
            }
        )

    def end(self, fresh: Checkout) -> list[str]:
        """Bring it to an end; what is wrong then.

        Args:
            fresh: a checkout with an empty store, that gets the same parameters.
        """
        problems = [*self.refused[:40], *outcome.wait_for_end(self.checkout)]
        for command in ((*DVC, "repro"), (*NETSTAB, "store", "gc", "--yes")):
            done = self.checkout.run(*command, code=None)
            if done.code:
                what = f"at the end, {command[-2:]}: exit code {done.code}"
                problems.append(f"{what}: {done.output[-800:]}")
        status = self.checkout.run(*DVC, "status", "--json").output
        if json.loads(status):
            problems.append(f"dvc status: {status[:400]}")
        sound, aside = verify(self.checkout.store)
        if aside or self.checkout.store.damaged.exists():
            problems.append(f"store: {sound} sound, {aside} set aside")
        useless = [e for e in entries(self.checkout.ledger()) if e.wanted_for is None]
        if useless:
            problems.append(f"{len(useless)} states of no use after gc")
        self.samples.append({"sound": sound})
        return problems + self._same_as(fresh)

    def _same_as(self, fresh: Checkout) -> list[str]:
        """Hold the results against those of an empty store with the same parameters."""
        shutil.copy(self.checkout.root / "params.yaml", fresh.root / "params.yaml")
        fresh.run(*NETSTAB, "sweep")
        fresh.run(*DVC, "repro")
        mine, other = outcome.outcome(self.checkout), outcome.outcome(fresh)
        shared = mine.states.keys() & other.states.keys()
        self.samples.append({"states_compared": len(shared)})
        other_bits = [key for key in shared if mine.states[key] != other.states[key]]
        found = [f"state {key[:12]} differs" for key in other_bits]
        lacking = [name for name in other.files if mine.files.get(name) != other.files[name]]
        return found + [f"metrics/{name} differs from a fresh run's" for name in lacking]


def soak(base: Checkout, fresh: Checkout, minutes: float, draw: random.Random) -> dict[str, Any]:
    """Do random things to a checkout for some minutes; a row of what came out."""
    tried = Soak(base, draw)
    tried.begin()
    started = time.monotonic()
    living = flat.Living(base, base.root.parent / "living.json")
    try:
        while time.monotonic() - started < minutes * 60:
            tried.step()
    finally:
        growth = living.end()
    problems = [*tried.end(fresh), *growth.problems]
    row: dict[str, Any] = {
        "minutes": round((time.monotonic() - started) / 60, 1),
        **tried.seen,
        "growth": growth.row,
        "first": tried.samples[0] if tried.samples else {},
        "last": tried.samples[-3:],
    }
    return row | ({"problems": problems, "folder": str(base.root)} if problems else {})
