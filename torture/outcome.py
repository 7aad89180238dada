"""What a checkout's processes came to: to be held against an undisturbed one, to the bit."""

import hashlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from netstab.files import ABANDONED_S
from netstab.plain_json import digest
from netstab.store.housekeeping import garbage, verify
from netstab.store.measurements import Measurements
from netstab.store.states import Store
from tests.checkout import DEADLINE_S
from torture.checkout import Checkout

NOT_RESULTS = ("provenance.json", "report.html")
"""They tell of when and how long, which no two runs have in common."""


@dataclass(frozen=True)
class Outcome:
    """Digests by name: of states (tensors and history), of measurements, of the results' files."""

    states: dict[str, str]
    measurements: dict[str, str]
    files: dict[str, str]

    def differences(self, expected: "Outcome") -> list[str]:
        """What is otherwise than it is expected to be."""
        found = []
        for what in ("states", "measurements", "files"):
            mine, other = getattr(self, what), getattr(expected, what)
            for name in sorted(mine.keys() | other.keys()):
                if mine.get(name) != other.get(name):
                    fault = "is too much" if name not in other else "differs"
                    fault = fault if name in mine else "is missing"
                    found.append(f"{what}: {name[:60]} {fault}")
        return found


def states_of(store: Store) -> dict[str, str]:
    """Key -> digest of tensors' hash, history and kind, of every state."""
    records = (store.record(key) for key in store.listing())
    return {r.key: digest([r.sha256, r.history, r.epoch, r.interim]) for r in records if r}


def outcome(checkout: Checkout) -> Outcome:
    """What a checkout has come to."""
    measurements = Measurements(checkout.store)
    entries = {key: measurements.read(key) for key in measurements.listing()}
    root = checkout.root / "metrics"
    paths = (path for path in sorted(root.rglob("*")) if path.is_file())
    return Outcome(
        states_of(checkout.store),
        {
            k: digest({n: v for n, v in e.items() if n != "provenance"})
            for k, e in entries.items()
            if e
        },
        {
            str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in paths
            if path.name not in NOT_RESULTS and "figures" not in path.parts
        },
    )


def faults(checkout: Checkout, expected: Outcome) -> list[str]:
    """What is wrong with a checkout after the last call has ended; empty if nothing is."""
    store = checkout.store
    found = outcome(checkout).differences(expected)
    sound, aside = verify(store)
    if aside or not sound:
        found.append(f"store verify: {sound} sound, {aside} set aside")
    if store.damaged.exists():
        found.append(f"set aside: {[path.name for path in store.damaged.iterdir()]}")
    if store.in_use():
        found.append("a lock is held by nobody that is there")
    return found + _left_behind(checkout)


def _left_behind(checkout: Checkout) -> list[str]:
    """Half-written files that nothing will ever collect."""
    store = checkout.store
    halves = set(half_written(checkout.root))
    in_store = {path for path in halves if store.root in path.parents}
    found = [f"left behind: {path.relative_to(checkout.root)}" for path in halves - in_store]
    # As they will be when they are old.
    _age(in_store)
    missed = in_store - set(garbage(checkout.ledger()))
    return found + [f"not collected by gc: {path.name}" for path in missed]


def half_written(root: Path) -> list[Path]:
    """Files and folders that are on the way to their place."""
    endings = (".part", ".new", ".old")
    inside = (path for path in root.rglob(".*") if path.name.endswith(endings))
    return [path for path in inside if ".git" not in path.parts and ".dvc" not in path.parts]


def _age(paths: Iterable[Path]) -> None:
    old = time.time() - 2 * ABANDONED_S
    for path in paths:
        os.utime(path, (old, old))


def processes_of(checkout: Checkout) -> list[psutil.Process]:
    """Processes that were started in a checkout and still run."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            # A forked one has the environment of its parent in there, but a session of its own.
            forked = os.getsid(process.pid) in checkout.sessions
            if forked or process.environ().get("TORTURED") == str(checkout.root):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError):
            continue
    return found


def wait_for_end(checkout: Checkout) -> list[str]:
    """Wait until no process of a checkout is left; what is, and goes on, is a fault."""
    deadline = time.monotonic() + DEADLINE_S
    while left := processes_of(checkout):
        if time.monotonic() > deadline:
            named = [" ".join(process.cmdline())[:120] for process in left]
            for process in left:
                process.kill()
            return [f"an orphan that does not end: {one}" for one in named]
        time.sleep(0.05)
    return []
