"""Real `dvc` in temporary clones of the working tree, with a study that takes seconds.

Commands and stages are processes of their own, which are forked: see `forks`.

The base clone is made once for all tests (and all of xdist's workers): small parameters, a store
that one process filled, `dvc repro`, a commit. Each test works in a copy of its own.
"""

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests import forks, small
from tests.checkout import DEADLINE_S, DVC, QUICK_SHARPNESS, TINY, Checkout, Result, files_in

STUDY: dict[str, Any] = {
    **TINY,
    "experiments": ["expB"],
    "blocks": {"64": ["stem", "layer1", "layer2", "layer3"], "512": ["layer4", "head"]},
    "measure": {
        "stability": {"every_epochs": 100, "images": 16},
        "field": TINY["measure"]["field"],
        "sharpness": {**QUICK_SHARPNESS, "settle_epochs": 0},
        "barriers": TINY["measure"]["barriers"],
    },
    "expE": {
        "ema": small.SHIPPED["expE"]["ema"],
        "bnrecal": small.SHIPPED["expE"]["bnrecal"],
        "batch": {**small.SHIPPED["expE"]["batch"], "largest_batch": 1024},
    },
    "runtime": {**TINY["runtime"], "save_interval_s": 1e6},
}
BLOCKS = tuple(STUDY["blocks"])
RIVALS = tuple(STUDY["expE"])
RUNS = (
    "baseline-0",
    "outpost-0",
    *(f"{experiment}-{block}-0" for experiment in STUDY["experiments"] for block in BLOCKS),
    *(f"expE-{name}-0" for name in RIVALS),
)
MOVED = ["expB.freeze_epoch=90"]
"""An override whose runs are in the base's store already, and so cost a test no training."""
FILL = """
from pathlib import Path
from netstab import params, paths
from netstab.data.prepare import prepare
from netstab.store.ledger import open_ledger
from netstab.study.experiments import Run, variants
from netstab.sweep.single import train_run
content = params.read(paths.PARAMS)
manifest = prepare(content)
moved = content.model_copy(
    update={"expB": content.expB.model_copy(update={"freeze_epoch": 90})}
)
for study in (content, moved):
    ledger = open_ledger(Path(), content=study)
    for variant in variants(study):
        train_run(ledger, Run(variant, 0), manifest)
"""
"""Fills the store: the study, and with `MOVED` as well."""


@dataclass(frozen=True)
class Clone(Checkout):
    """A clone of the project, with the small study; its trainers are spied on."""

    def dvc(self, *arguments: str, code: int = 0, **env: str) -> Result:
        """Run `dvc`, and insist on its exit code."""
        return self.run("python", *DVC[1:], *arguments, code=code, **env)

    def git(self, *arguments: str) -> str:
        """Run `git`; what it printed."""
        return self.run("git", *arguments).output

    def python(self, *arguments: str, code: int = 0, **env: str) -> Result:
        """Run python as the stages do, and insist on its exit code."""
        return self.run("python", *arguments, code=code, **{"PYTHONPATH": "src", **env})

    def netstab(self, *words: str, code: int = 0, **env: str) -> Result:
        """Run a command of netstab, and insist on its exit code."""
        return self.python("-m", "netstab", *words, code=code, **env)

    def environment(self) -> dict[str, str]:
        """See `Checkout`; a `python` that is forked, and a place for gates."""
        own = super().environment()
        path = os.pathsep.join([str(forks.folder()), own["PATH"]])
        return {**own, "PATH": path, "SPY_GATE": str(self.gate)}

    @property
    def gate(self) -> Path:
        """While a file of this name with `-EPOCH` is there, the trainer stops before that epoch."""
        return self.root / ".netstab" / "gate"

    def open_gates(self) -> None:
        """Let every trainer go on."""
        for gate in self.gate.parent.glob(f"{self.gate.name}-*"):
            gate.unlink()

    def close_gate(self, epoch: int) -> None:
        """Let every trainer stop before an epoch; it has logged the epoch by then."""
        Path(f"{self.gate}-{epoch}").touch()

    def trained(self) -> list[dict[str, Any]]:
        """A row for every epoch trained so far: pid, seed, epoch, start, settings."""
        wanted = ("pid", "seed", "epoch", "start", "settings")
        begun = (event for event in self.events() if event["doing"] == "epoch" and event["begins"])
        return [{name: event[name] for name in wanted} for event in begun]

    def read(self, path: str) -> str:
        """The text of a file in the clone."""
        return (self.root / path).read_text()

    def append(self, path: str, text: str) -> None:
        """Add text to the end of a file."""
        (self.root / path).write_text(self.read(path) + text)

    def files(self, folder: str) -> dict[str, bytes]:
        """Every file below a folder, by its path from there."""
        return files_in(self.root / folder)

    def states(self) -> dict[str, str]:
        """Key -> SHA-256 of the tensors, as the files are, for every state in the store."""
        store = self.root / ".netstab/store/states"
        return {path.stem: json.loads(path.read_text())["sha256"] for path in store.glob("*.json")}


def wait_for(what: Callable[[], Any], why: str) -> None:
    """Wait until `what()` is true, or fail."""
    deadline = time.monotonic() + DEADLINE_S
    while not what():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {DEADLINE_S:.0f} s in vain: {why}")
        time.sleep(0.02)


def make_clone(factory: pytest.TempPathFactory, root: Path) -> Clone:
    """A copy of the base clone, which is made first if this is the first one."""
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    base, done = Clone(shared / "pipeline-base"), shared / "pipeline-base.done"
    with FileLock(shared / "pipeline-base.lock"):
        if not done.exists():
            shutil.rmtree(base.root, ignore_errors=True)
            _make_base(base)
            done.touch()
    return base.copied_to(root)


def _make_base(base: Clone) -> None:
    base.copy_working_tree(spied=True)
    base.change(**STUDY)
    base.python("-c", FILL)
    base.log.write_text("")
    base.dvc("repro")
    assert not base.trained(), "the store was filled with other keys than the stages ask for"
    base.commit("study")
    base.git("gc", "--quiet")  # fewer files to copy
