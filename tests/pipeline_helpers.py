"""Real `dvc` in temporary clones of the working tree, with a study that takes seconds.

The base clone is made once for all tests (and all of xdist's workers): small parameters, a store
that one process filled, `dvc repro`, a commit. Each test works in a copy of its own.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from ruamel.yaml import YAML

from tests import small
from tests.pipeline_scripts import FILL, SPY

DEADLINE_S = 600.0
"""For anything waited for: far more than it takes, so that only a hang gets there."""

LEFT_OUT = ("data/", "metrics/", "docs/", "tests/", "torture/", "benchmarks/", "dvc.lock")
"""No stage reads these, or the project's own study has made them."""
STUDY: dict[str, Any] = {
    "seeds": [0],
    "experiments": ["expB"],
    "blocks": {"64": ["stem", "layer1", "layer2", "layer3"], "512": ["layer4", "head"]},
    "data": {"dataset": "digits", "source": None, "image_size": 8},
    "model": {"width": 2},
    # 10 epochs of 2 steps; shipped interventions fall on epochs 3 and 6.
    "train": {"time_scale": 0.05, "batch_size": 512, "precision": "fp32", "crop_padding": 1},
    "measure": {
        "stability": {"every_epochs": 100, "images": 16},
        "sharpness": {
            "every_epochs": None,
            "settle_epochs": 0,
            "blocks": "end",
            "images": 8,
            "batch_norm": "eval",
            # Converges at once: what is found is not looked at here.
            "tolerance": 0.9,
            "max_products": 10,
            "trace_samples": 2,
        },
    },
    "expE": {
        "ema": small.SHIPPED["expE"]["ema"],
        "bnrecal": small.SHIPPED["expE"]["bnrecal"],
        "batch": {**small.SHIPPED["expE"]["batch"], "largest_batch": 1024},
    },
    "own": {},
    "ceiling": {"seeds": []},
    "runtime": {"device": "cpu", "threads": 1, "save_interval_s": 1e6},
}
DVC = (sys.executable, "-m", "dvc")
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


@dataclass(frozen=True, slots=True)
class Result:
    """What a command said, both streams together."""

    said: str

    @property
    def stages(self) -> list[str]:
        """Names of the stages that dvc ran (or, dry, would run), in order."""
        return re.findall(r"^Running stage '(.+?)'", self.said, re.MULTILINE)

    @property
    def text(self) -> str:
        """What was said, with every white space a single blank: messages may be wrapped."""
        return " ".join(self.said.split())


@dataclass(frozen=True)
class Clone:
    """A clone of the project, with the small study."""

    root: Path

    def dvc(self, *arguments: str, code: int = 0, **env: str) -> Result:
        """Run `dvc`, and insist on its exit code."""
        return self.run(*DVC, *arguments, code=code, **env)

    def git(self, *arguments: str) -> str:
        """Run `git`; what it printed."""
        return self.run("git", *arguments).said

    def python(self, *arguments: str, code: int = 0, **env: str) -> Result:
        """Run python as the stages do, and insist on its exit code."""
        return self.run(sys.executable, *arguments, code=code, **{"PYTHONPATH": "src", **env})

    def run(self, *command: str, code: int = 0, **env: str) -> Result:
        """Run a command in the clone, and insist on its exit code."""
        done = subprocess.run(
            command,
            cwd=self.root,
            env={**self.environment(), **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert done.returncode == code, f"{command}: exit code {done.returncode}\n{done.stdout}"
        return Result(done.stdout)

    def environment(self) -> dict[str, str]:
        """Nothing of the machine's own: no settings, no store, no name that git could sign with."""
        own = self.root.parent / f"{self.root.name}.env"
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DVC_", "GIT_", "NETSTAB_", "PYTHON", "PYTEST_", "XDG_"))
        }
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        return kept | {
            "PATH": path,
            "HOME": str(own),
            "COLUMNS": "200",
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "DVC_SITE_CACHE_DIR": str(own / "dvc"),
            "DVC_GLOBAL_CONFIG_DIR": str(own / "none"),
            "DVC_SYSTEM_CONFIG_DIR": str(own / "none"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            "SPY_LOG": str(self.log),
            "SPY_GATE": str(self.gate),
        }

    @property
    def log(self) -> Path:
        """Where the spy in the clone's trainer writes a row for every epoch trained."""
        return self.root.parent / f"{self.root.name}.epochs"

    @property
    def gate(self) -> Path:
        """While a file of this name with `-EPOCH` is there, the trainer stops before that epoch."""
        return self.root.parent / f"{self.root.name}.gate"

    def open_gates(self) -> None:
        """Let every trainer go on."""
        for gate in self.gate.parent.glob(f"{self.gate.name}-*"):
            gate.unlink()

    def close_gate(self, epoch: int) -> None:
        """Let every trainer stop before an epoch; it has written the epoch's row by then."""
        Path(f"{self.gate}-{epoch}").touch()

    def trained(self) -> list[dict[str, Any]]:
        """A row for every epoch trained so far: pid, seed, epoch, start, settings."""
        return [json.loads(row) for row in self.log.read_text().splitlines()]

    def change(self, **changes: Any) -> None:
        """Change `params.yaml` as dvc does: `section={"key": value}`, or a whole value."""
        yaml = YAML()
        yaml.default_flow_style = False
        content = yaml.load(self.read("params.yaml"))
        for section, change in changes.items():
            if isinstance(change, dict) and section not in ("own", "expE", "blocks"):
                content[section].update(change)
            else:
                content[section] = change
        yaml.dump(content, self.root / "params.yaml")

    def read(self, path: str) -> str:
        """The text of a file in the clone."""
        return (self.root / path).read_text()

    def append(self, path: str, text: str) -> None:
        """Add text to the end of a file."""
        (self.root / path).write_text(self.read(path) + text)

    def commit(self, message: str) -> None:
        """Commit everything."""
        self.git("add", "--all")
        somebody = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        self.git(*somebody, "commit", "--quiet", "--message", message)

    def files(self, folder: str) -> dict[str, bytes]:
        """Every file below a folder, by its path from there."""
        root = self.root / folder
        found = (path for path in sorted(root.rglob("*")) if path.is_file())
        return {str(path.relative_to(root)): path.read_bytes() for path in found}

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
    shutil.copytree(base.root, root, symlinks=True)
    clone = Clone(root)
    clone.log.touch()
    return clone


def lent_clone(factory: pytest.TempPathFactory, folder: Path) -> Iterator[Clone]:
    """A clone for one test; afterwards its trainers go on to their end, and its files go."""
    clone = make_clone(factory, folder / "clone")
    yield clone
    clone.open_gates()
    shutil.rmtree(clone.root, ignore_errors=True)


def _make_base(base: Clone) -> None:
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=small.ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, names.stdout.split("\0")):
        source = small.ROOT / name
        if name.startswith(LEFT_OUT) or not source.is_file():
            continue
        target = base.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
    base.append("src/netstab/training/engine.py", SPY)
    base.change(**STUDY)
    base.git("init", "--quiet", "--initial-branch", "main")
    base.log.touch()
    base.run(sys.executable, "-c", FILL, PYTHONPATH="src")
    base.log.write_text("")
    base.dvc("repro")
    assert not base.trained(), "the store was filled with other keys than the stages ask for"
    base.commit("study")
