"""A copy of the working tree with a study of seconds, in which real commands run.

Tests, torture and benchmarks use it; it needs neither pytest nor torch.
"""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ruamel.yaml import YAML

from tests.spy import SPY

ROOT = Path(__file__).parent.parent
SHIPPED: dict[str, Any] = YAML(typ="safe", pure=True).load(
    (ROOT / "params.yaml").read_text(encoding="utf-8")
)
LEFT_OUT = (
    *("data/", "metrics/", "docs/", "findings/", "tests/", "torture/", "benchmarks/"),
    "dvc.lock",
)
"""No stage reads these, or the project's own study has made them."""
DVC = (sys.executable, "-m", "dvc")
NETSTAB = (sys.executable, "-c", "from netstab.cli import app; app()")
"""What the console script does, from the checkout's sources."""
DEADLINE_S = 600.0
"""For anything waited for: far more than it takes, so that only a hang gets there."""
FOREIGN = ("DVC_", "GIT_", "NETSTAB_", "PYTHON", "PYTEST_", "RAY_", "XDG_")
"""Variables of the machine's own settings begin so."""

QUICK_SHARPNESS: dict[str, Any] = {
    "every_epochs": None,
    "settle_epochs": 20,
    "blocks": "end",
    "images": 8,
    "batch_norm": "eval",
    # Converges at once: only that it is measured counts, not what is found.
    "tolerance": 0.9,
    "max_products": 10,
    "trace_samples": 2,
}
TINY: dict[str, Any] = {
    "seeds": [0],
    "experiments": [],
    "data": {"dataset": "digits", "source": None, "image_size": 8},
    "model": {"width": 2},
    "train": {"time_scale": 0.05, "batch_size": 512, "precision": "fp32", "crop_padding": 1},
    "measure": {
        "stability": {"every_epochs": 100, "images": 8},
        "field": {"every_epochs": 100, "images": 4, "seed": 0},
        "sharpness": QUICK_SHARPNESS,
        "barriers": {"images": None, "points": 11},
    },
    "expE": {},
    "own": {},
    "ceiling": {"seeds": []},
    "runtime": {"device": "cpu", "threads": 1},
}
"""The references of one seed on handwritten digits: 10 epochs of 2 steps, measured as little as
can be; the shipped interventions fall on epochs 3 and 6."""


@dataclass(frozen=True)
class Result:
    """What a command came to: its output, both streams together, and its exit code."""

    output: str
    code: int = 0

    @property
    def stages(self) -> list[str]:
        """Names of the stages that dvc ran (or, dry, would run), in order."""
        return re.findall(r"^Running stage '(.+?)'", self.output, re.MULTILINE)

    @property
    def text(self) -> str:
        """The output, with every white space a single blank: messages may be wrapped."""
        return " ".join(self.output.split())


@dataclass(frozen=True)
class Checkout:
    """A checkout of the project.

    Attributes:
        root: its folder; also everything that belongs to it lies there, ignored by git.
    """

    root: Path

    def run(self, *command: str, code: int | None = 0, **env: str) -> Result:
        """Run a command to its end, and insist on its exit code (None: any).

        Raises:
            AssertionError: it ended otherwise.
            subprocess.TimeoutExpired: it hangs.
        """
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
        if code not in (None, done.returncode):
            raise AssertionError(f"{command}: exit code {done.returncode}\n{done.stdout}")
        return Result(done.stdout, done.returncode)

    def start(self, *command: str, output: Path, **env: str) -> subprocess.Popen[bytes]:
        """Start a command in a session of its own; its output goes to a file."""
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("ab") as file:
            return subprocess.Popen(
                command,
                cwd=self.root,
                env={**self.environment(), **env},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def environment(self) -> dict[str, str]:
        """Nothing of the machine's own: no settings, no store, no name that git could sign with."""
        kept = {name: v for name, v in os.environ.items() if not name.startswith(FOREIGN)}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        own = self.root / ".netstab" / "home"
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
        }

    @property
    def log(self) -> Path:
        """What its processes do, where they are spied on; see `tests.spy`."""
        return self.root / ".netstab" / "spy.log"

    def events(self) -> list[dict[str, Any]]:
        """The log so far; a line that a kill has cut is no event."""
        try:
            lines = self.log.read_text(encoding="utf-8").split("\n")[:-1]
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines]

    def change(self, **changes: Any) -> None:
        """Change `params.yaml` as dvc does; see `changed`."""
        yaml, path = YAML(), self.root / "params.yaml"
        yaml.default_flow_style = False
        yaml.dump(changed(yaml.load(path), **changes), path)

    def commit(self, message: str) -> None:
        """Commit everything that git does not ignore."""
        self.run("git", "add", "--all")
        somebody = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "gc.auto=0")
        self.run("git", *somebody, "commit", "--quiet", "--allow-empty", "--message", message)

    def copied_to(self, root: Path) -> Self:
        """A copy of it elsewhere."""
        shutil.copytree(self.root, root, symlinks=True)
        return type(self)(root)

    def copy_working_tree(self, *, spied: bool) -> None:
        """Make its sources those of the working tree, and a git repository of them."""
        listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True)
        for name in filter(None, names.stdout.split("\0")):
            if not name.startswith(LEFT_OUT) and (ROOT / name).is_file():
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.root / name)
        if spied:
            with (self.root / "src/netstab/training/trajectory.py").open("a") as file:
                file.write(SPY)
        self.run("git", "init", "--quiet", "--initial-branch", "main")


def python(
    *arguments: str, cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run Python to its end with the tree's sources, and insist on its success."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **env},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def changed(content: Any, **changes: Any) -> Any:
    """Parameters, changed in place: `section={"key": value}`, or a whole value.

    Mappings whose keys are names of the study's own (own, expE, blocks) are replaced.
    """
    for section, change in changes.items():
        merged = isinstance(change, dict) and isinstance(content.get(section), dict)
        if merged and section not in ("own", "expE", "blocks"):
            content[section].update(change)
        else:
            content[section] = change
    return content


def content(**changes: Any) -> dict[str, Any]:
    """The shipped parameters with changes; see `changed`."""
    found: dict[str, Any] = changed(copy.deepcopy(SHIPPED), **changes)
    return found


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path from there."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}
