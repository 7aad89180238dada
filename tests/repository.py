"""A git repository with a synthetic study's parameters and results, as commands find a checkout."""

import copy
import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from click.testing import Result
from dvc.utils.serialize import dumps_yaml
from ruamel.yaml import YAML
from typer.testing import CliRunner

from netstab import paths
from netstab.cli import app
from netstab.params import check
from tests import small, synthetic

SMALL: dict[str, Any] = {
    "experiments": ["expB"],
    "expE": {},
    "own": {},
    "train": {"time_scale": 0.1},
    "ceiling": {"seeds": [0, 1]},
}


def netstab(*arguments: str, code: int = 0, typed: str | None = None, columns: int = 140) -> Result:
    """Run a command in this process, and insist on its exit code.

    Args:
        typed: what is typed at its questions.
        columns: of the terminal.
    """
    result = CliRunner().invoke(app, arguments, input=typed, env={"COLUMNS": str(columns)})
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


class Repository:
    """The repository, whose folder is the current one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / ".dvc").mkdir()
        (root / ".dvc" / "config").touch()
        shutil.copy(small.ROOT / "dvc.yaml", root)
        self.git("init", "--quiet", "--initial-branch", "main")

    def git(self, *arguments: str) -> str:
        """Run git; what it says."""
        who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "gc.auto=0")
        return subprocess.run(
            ["git", *who, *arguments], cwd=self.root, check=True, capture_output=True, text=True
        ).stdout.strip()

    def write(self, data: dict[str, Any] = synthetic.CIFAR10, **changes: Any) -> synthetic.Study:
        """Put a study's parameters and runs into the workspace."""
        text = dumps_yaml(small.content(**{**SMALL, "seeds": [0, 1, 2], **changes}))
        (self.root / "params.yaml").write_text(text)
        study = _study(text, json.dumps(data))
        shutil.rmtree(self.root / paths.METRICS, ignore_errors=True)
        study.write(self.root)
        return study

    def commit(self) -> str:
        """Commit the workspace; the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "study")
        return self.git("rev-parse", "HEAD")


def _study(params: str, data: str) -> synthetic.Study:
    """A study of one's own, which is made up once."""
    made = _made_up(params, data)
    return copy.deepcopy(made, {id(made.params): made.params})


@cache
def _made_up(params: str, data: str) -> synthetic.Study:
    return synthetic.Study(check(YAML(typ="safe").load(params)), json.loads(data))
