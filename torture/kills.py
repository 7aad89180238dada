"""Kills at random moments: the next call ends, with the same bits, and little is trained twice."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

from tests.checkout import DEADLINE_S, DVC, NETSTAB, Result
from torture import forked, log, outcome
from torture.checkout import SAVE_INTERVAL_S, TRAIN, Checkout

SLACK_S = 0.05
"""Between an epoch's end in the log and the look at the clock that decides on a save."""
FORKED = 0.95
"""Share of trainers and sweeps that are forked off a process that has torch in memory already."""
Process = subprocess.Popen[bytes] | forked.Forked
Victims = Callable[[Process, Checkout], list[psutil.Process]]


def _itself(started: Process, _: Checkout) -> list[psutil.Process]:
    return [psutil.Process(started.pid)]


def _group(started: Process, checkout: Checkout) -> list[psutil.Process]:
    """All of a checkout's processes, the first one last, so that none is started meanwhile."""
    found = outcome.processes_of(checkout)
    return sorted(found, key=lambda process: process.pid == started.pid)


def _worker(started: Process, _: Checkout) -> list[psutil.Process]:
    """Any of the processes in which a sweep trains."""
    children = psutil.Process(started.pid).children()
    forks = isinstance(started, forked.Forked)
    return [c for c in children if forks or "spawn_main" in " ".join(c.cmdline())]


def _ray_worker(_: Process, checkout: Checkout) -> list[psutil.Process]:
    found = outcome.processes_of(checkout)
    return [process for process in found if "ray::" in " ".join(process.cmdline())]


@dataclass(frozen=True)
class Kind:
    """What is started, and who of it is killed.

    Attributes:
        command: that is started, and started again.
        victims: who can be killed; all of them are, or one that is drawn.
        one: whether one is drawn.
        filled: whether the store has everything already, and it is only collected.
        mends: whether it may see to the loss itself, and end well.
        then: what finishes views and measurements of other runs that were on their way with it:
            a kill may leave them to their own stages.
        forks: main function of the command, as most trials start it; see `torture.forked`.
    """

    command: tuple[str, ...]
    victims: Victims = _itself
    one: bool = False
    filled: bool = False
    mends: bool = False
    then: Callable[[], object] | None = None
    forks: Callable[[], object] | None = None

    def start(self, checkout: Checkout, output: Path, *, fork: bool) -> Process:
        """Start it in a checkout."""
        if fork:
            assert self.forks
            return forked.start(checkout, self.forks, output)
        return checkout.start(*self.command, output=output)

    def call(self, checkout: Checkout, *, fork: bool) -> Result:
        """Run it to its end."""
        if fork:
            assert self.forks
            done = forked.run(checkout, self.forks, code=None)
        else:
            done = checkout.run(*self.command, code=None)
        return forked.run(checkout, self.then, code=None) if self.then and not done.code else done


KINDS: dict[str, list[Kind]] = {
    "stage": [
        Kind((*TRAIN, "outpost", "0"), forks=forked.stage("outpost"), then=forked.stages),
        Kind(
            (*TRAIN, "baseline", "0"),
            forks=forked.stage("baseline"),
            then=forked.stages,
        ),
        Kind((*TRAIN, "expE-ema", "0"), forks=forked.stage("expE-ema"), then=forked.stages),
    ],
    "sweep": [Kind((*NETSTAB, "sweep"), forks=forked.sweep)],
    "worker": [Kind((*NETSTAB, "sweep"), _worker, one=True, forks=forked.sweep)],
    "dvc": [
        Kind((*DVC, "repro", "reference@outpost-0")),
        Kind((*DVC, "repro"), filled=True),
    ],
    "dvc-group": [
        Kind((*DVC, "repro", "reference@outpost-0"), _group),
        Kind((*DVC, "repro"), _group, filled=True),
    ],
    "brief": [Kind((*TRAIN, "outpost", "0"), forks=forked.stage("outpost"), then=forked.stages)],
    "ray": [Kind((*NETSTAB, "sweep", "--ray"), _ray_worker, one=True, mends=True)],
}
APART = ("brief", "ray")
"""Kinds that are killed only where they are named."""
WHEN = ("any", "any", "training", "saving", "saving", "measuring", "collecting")
"""At any time of the whole call, or soon after one of these begins."""
SOON_S = {"training": 0.5, "saving": 0.06, "measuring": 0.1, "collecting": 0.02}


@dataclass
class Trial:
    """One call that is killed, and the call after it."""

    base: Checkout
    kind: str
    number: int
    seed: int
    folder: Path
    references: dict[tuple[str, ...], "Reference"]
    problems: list[str] = field(default_factory=list)

    @cached_property
    def draw(self) -> random.Random:
        """Every choice of this trial."""
        return random.Random(f"{self.seed} {self.kind} {self.number}")

    def run(self) -> dict[str, Any]:
        """Run it; a row of what came out. The folder stays where something was wrong."""
        started, way = time.monotonic(), self.draw.choice(KINDS[self.kind])
        fork = way.forks is not None and self.draw.random() < FORKED
        reference = self.references[way.command]
        checkout = self.base.copied_to(self.folder)
        if way.filled:
            shutil.copytree(reference.store, checkout.store.root)
        output = self.folder / ".netstab" / "output"
        when = self._until(way, reference, checkout, output, fork=fork)
        row: dict[str, Any] = {"number": self.number, "command": " ".join(way.command[-2:])}
        row |= {"forked": fork}
        row |= {"when": when[0], "doing": when[1]} if when else {"doing": "was over before"}
        try:
            done = way.call(checkout, fork=fork)
            if done.code:
                last = done.output[-800:]
                self.problems.append(f"the next call: exit code {done.code}: {last}")
        except (subprocess.TimeoutExpired, TimeoutError):
            self.problems.append(f"the next call has not ended after {DEADLINE_S:.0f} s")
        self.problems += outcome.wait_for_end(checkout)
        if not self.problems:
            self.problems += outcome.faults(checkout, reference.outcome)
        if when:
            cost = log.lost(log.events(checkout), when[2], when[3])
            row |= {"epochs": cost.epochs, "lost_s": cost.seconds, "waiting_s": cost.waiting}
            if cost.waiting > SAVE_INTERVAL_S + SLACK_S:
                self.problems.append(f"{cost.waiting:.2f} s of whole epochs were lost")
        if self.problems:
            row |= {"problems": self.problems, "folder": str(self.folder)}
        else:
            shutil.rmtree(self.folder)
        return row | {"took_s": time.monotonic() - started}

    def _until(
        self, way: Kind, reference: "Reference", checkout: Checkout, output: Path, *, fork: bool
    ) -> tuple[str, str, set[int], float] | None:
        """Start, and kill when it is time: when, what it was doing, who, and the time of it."""
        when = self.draw.choice(WHEN)
        if when not in reference.events:
            when = "any"
        count = self.draw.randint(1, max(1, reference.events.get(when, 1)))
        soon = self.draw.uniform(0, SOON_S.get(when, reference.seconds))
        first = way.start(checkout, output, fork=fork)
        if when != "any":
            self._wait(first, checkout, when, count)
        deadline = time.monotonic() + soon
        while time.monotonic() < deadline and first.poll() is None:
            time.sleep(0.002)
        try:
            victims = way.victims(first, checkout) if first.poll() is None else []
        except psutil.NoSuchProcess:
            victims = []
        if way.one and victims:
            # Many of them may be idle: one that has begun what was waited for.
            begun = {e["pid"] for e in log.events(checkout) if e["begins"] and e["doing"] == when}
            victims = [self.draw.choice([v for v in victims if v.pid in begun] or victims)]
        # Of a child that has ended but was not waited for, nothing is killed.
        at, killed = time.monotonic(), {v.pid for v in victims}
        for victim in victims:
            try:
                os.kill(victim.pid, signal.SIGKILL)
            except ProcessLookupError:
                killed.discard(victim.pid)
        try:
            code = first.wait(DEADLINE_S)
        except (subprocess.TimeoutExpired, TimeoutError):
            self.problems.append("it hangs after one of its processes was killed")
            first.kill()
            code = first.wait()
        if not killed or (first.pid in killed and code != -signal.SIGKILL):
            return None
        if first.pid not in killed and code == 0 and not way.mends:
            self.problems.append("it lost a process, and ended with exit code 0")
        dying = killed if way.one else killed | _trainers(checkout, at)
        return when, log.doing(log.events(checkout), dying, at), dying, at

    def _wait(self, first: Process, checkout: Checkout, when: str, count: int) -> None:
        while first.poll() is None:
            begun = [e for e in log.events(checkout) if e["doing"] == when and e["begins"]]
            if len(begun) >= count:
                return
            time.sleep(0.005)


def _trainers(checkout: Checkout, at: float) -> set[int]:
    """The processes that trained: dead with the one that was killed, or orphans, who lose none."""
    return {event["pid"] for event in log.events(checkout) if event["t"] <= at}


@dataclass(frozen=True)
class Reference:
    """An undisturbed call: what it came to, how long it took, and how often it did what."""

    outcome: outcome.Outcome
    seconds: float
    events: dict[str, int]
    store: Path


def reference(base: Checkout, way: Kind, folder: Path) -> Reference:
    """Make the call undisturbed; twice, so that it is known that it comes to the same bits.

    Raises:
        RuntimeError: it does not, or fails.
    """
    found: list[outcome.Outcome] = []
    for number in range(2):
        checkout = base.copied_to(folder / str(number))
        if way.filled:
            checkout.run(*NETSTAB, "sweep")
        started = time.monotonic()
        done = way.call(checkout, fork=way.forks is not None)
        if done.code:
            raise RuntimeError(f"{way.command}: exit code {done.code}\n{done.output}")
        seconds = time.monotonic() - started
        found.append(outcome.outcome(checkout))
    if differences := found[0].differences(found[1]):
        raise RuntimeError(f"{way.command} comes to other bits each time: {differences}")
    events: dict[str, int] = {}
    for event in log.events(checkout):
        if event["begins"] and not way.filled:
            events[event["doing"]] = events.get(event["doing"], 0) + 1
    return Reference(found[0], seconds, events, checkout.store.root)
