"""A checkout of the project with a study of seconds, to be tortured."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from netstab import params, paths
from netstab.data.dataset import Dataset
from netstab.data.manifest import read_manifest
from netstab.store.ledger import Ledger, versions
from netstab.store.states import Store
from torture.spy import SPY

ROOT = Path(__file__).parent.parent
LEFT_OUT = ("data/", "metrics/", "docs/", "tests/", "torture/", "benchmarks/", "dvc.lock")
SAVE_INTERVAL_S = 0.3
STUDY: dict[str, Any] = {
    "seeds": [0],
    "experiments": [],
    "data": {"dataset": "digits", "source": None, "image_size": 8},
    "model": {"width": 2},
    # 6 epochs of 6 steps; the shipped interventions fall on epochs 2 and 4.
    "train": {"time_scale": 0.03, "batch_size": 288, "precision": "fp32", "crop_padding": 1},
    "blocks": {"64": ["stem", "layer1", "layer2"], "512": ["layer3", "layer4", "head"]},
    "own": {},
    "expE": {"ema": {"start_epoch": 60, "decay": 0.99, "batch_norm_images": 128}},
    "measure": {
        "stability": {"every_epochs": 100, "images": 8},
        "sharpness": {
            "every_epochs": None,
            "settle_epochs": 20,
            "blocks": "end",
            "images": 8,
            "batch_norm": "eval",
            "tolerance": 0.9,
            "max_products": 10,
            "trace_samples": 2,
        },
    },
    "ceiling": {"seeds": []},
    "runtime": {
        "device": "cpu",
        "threads": 1,
        "workers": 2,
        "save_interval_s": SAVE_INTERVAL_S,
    },
}
NETSTAB = (sys.executable, "-c", "from netstab.cli import app; app()")
TRAIN = (sys.executable, "-m", "netstab.stages.train")
DVC = (sys.executable, "-m", "dvc")
DEADLINE_S = 300.0
"""For anything that is waited for: many times what it takes, so that only a hang gets there."""


@dataclass(frozen=True)
class Checkout:
    """A checkout, its store, and the log of what its processes do.

    Attributes:
        root: its folder.
        sessions: of the processes that were forked for it.
    """

    root: Path
    sessions: set[int] = field(default_factory=set)

    @property
    def store(self) -> Store:
        """Its store of states."""
        return Store(self.root / ".netstab" / "store")

    @property
    def log(self) -> Path:
        """What its processes did; see `torture.spy`."""
        return self.root / ".netstab" / "torture.log"

    @property
    def temporary(self) -> Path:
        """Its processes' folder for temporary files."""
        folder = self.root / ".netstab" / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def ledger(self) -> Ledger:
        """What its parameters ask for."""
        content = params.read(self.root / paths.PARAMS)
        dataset = Dataset.prepared(read_manifest(self.root))
        return Ledger(content, dataset, self.store, *versions())

    def environment(self) -> dict[str, str]:
        """Nothing of the machine's own settings, and a mark by which its processes are found."""
        foreign = ("DVC_", "GIT_", "NETSTAB_", "PYTHON", "PYTEST_", "XDG_", "RAY_")
        kept = {n: v for n, v in os.environ.items() if not n.startswith(foreign)}
        own = self.root / ".netstab" / "home"
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        return kept | {
            "PATH": path,
            "PYTHONPATH": "src",
            "HOME": str(own),
            "TMPDIR": str(self.temporary),
            "COLUMNS": "200",
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "DVC_SITE_CACHE_DIR": str(own / "dvc"),
            "DVC_GLOBAL_CONFIG_DIR": str(own / "none"),
            "DVC_SYSTEM_CONFIG_DIR": str(own / "none"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            "TORTURE_LOG": str(self.log),
            "TORTURED": str(self.root),
        }

    def start(self, *command: str, said: Path) -> subprocess.Popen[bytes]:
        """Start a command in a session of its own; what it says goes to a file."""
        said.parent.mkdir(parents=True, exist_ok=True)
        with said.open("ab") as file:
            return subprocess.Popen(
                command,
                cwd=self.root,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, *command: str, deadline_s: float = DEADLINE_S) -> tuple[int, str]:
        """Run a command to its end; its exit code and what it said.

        Raises:
            subprocess.TimeoutExpired: it hangs.
        """
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=deadline_s,
            check=False,
        )
        return done.returncode, done.stdout

    def must(self, *command: str) -> str:
        """Run a command that has to succeed; what it said.

        Raises:
            RuntimeError: it did not.
        """
        code, said = self.run(*command)
        if code:
            raise RuntimeError(f"{command}: exit code {code}\n{said}")
        return said

    def copied_to(self, root: Path) -> "Checkout":
        """A copy of it elsewhere."""
        shutil.copytree(self.root, root, symlinks=True)
        return Checkout(root)

    def change(self, **changes: Any) -> None:
        """Change `params.yaml` as dvc does: `section={"key": value}`, or a whole value."""
        yaml, path = YAML(), self.root / paths.PARAMS
        yaml.default_flow_style = False
        content = yaml.load(path)
        for section, change in changes.items():
            if isinstance(change, dict) and section not in ("own", "expE", "blocks"):
                content[section].update(change)
            else:
                content[section] = change
        yaml.dump(content, path)

    def commit(self, message: str) -> None:
        """Commit everything that git does not ignore."""
        self.must("git", "add", "--all")
        somebody = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "gc.auto=0")
        self.must("git", *somebody, "commit", "--quiet", "--allow-empty", "--message", message)


def make(root: Path, *, spied: bool = True, **changes: Any) -> Checkout:
    """A checkout of the working tree with the small study, its images prepared; committed."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, names.stdout.split("\0")):
        if not name.startswith(LEFT_OUT) and (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name)
    checkout = Checkout(root)
    if spied:
        with (root / "src/netstab/training/trajectory.py").open("a") as file:
            file.write(SPY)
    checkout.change(**{**STUDY, **changes})
    checkout.must("git", "init", "--quiet", "--initial-branch", "main")
    checkout.must(*DVC, "repro", "--quiet", "data")
    checkout.commit("study")
    return checkout
