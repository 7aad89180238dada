"""What every command keeps to: exit codes, streams, version, `python -m netstab`, completion."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

import netstab
from netstab import paths
from netstab.cli import app
from netstab.errors import NetstabError
from netstab.exits import exit_codes
from tests import small
from tests.checkout import python

ARGUMENTS = {
    ("study",): ("demo",),
    ("compare",): ("main",),
    ("rerun",): ("study.zip", "baseline-0"),
    ("store", "export"): ("pieces",),
    ("store", "import"): ("pieces",),
}
"""What a command needs beside its name."""


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command by the words that call it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


EVERY = list(commands(typer.main.get_command(app)))


def call(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, words)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is no checkout."""
    for name in ("DVC_ROOT", "NETSTAB_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_every_command_is_found() -> None:
    assert {("plan",), ("sweep",), ("collect",), ("study",), ("claims",)} <= set(EVERY)
    assert {path[1] for path in EVERY if path[0] == "store"} >= {"ls", "verify", "gc"}
    assert ARGUMENTS.keys() <= set(EVERY)


# Exit codes


def test_exit_codes_are_written_down() -> None:
    _, said, _ = call("--help")
    told = "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 130 stopped by Ctrl-C, 143 by "
    assert f"{told}SIGTERM, 129 by SIGHUP." in " ".join(said.split())


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_help_is_a_result_and_exits_with_0(path: tuple[str, ...]) -> None:
    code, result, messages = call(*path, "--help")
    assert (code, messages) == (0, "")
    assert f"netstab {' '.join(path)}" in " ".join(result.split()) or "Usage:" in result


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_what_is_refused_exits_with_1_and_says_why_on_stderr(path: tuple[str, ...]) -> None:
    code, result, messages = call(*path, *ARGUMENTS.get(path, ()))
    assert (code, result) == (1, "")
    assert messages == (
        f"{Path.cwd()}: no params.yaml and dvc.yaml here or above. "
        "Change into a checkout of netstab and try again.\n"
    )


@pytest.mark.parametrize("path", [(), ("store",), *EVERY], ids=" ".join)
def test_wrong_usage_exits_with_2_and_says_so_on_stderr(path: tuple[str, ...]) -> None:
    code, result, messages = call(*path, *ARGUMENTS.get(path, ()), "--nonsense")
    assert (code, result) == (2, "")
    assert "--nonsense" in messages


@pytest.mark.parametrize("path", [(), ("store",), *ARGUMENTS], ids=" ".join)
def test_a_command_without_what_it_needs_is_wrong_usage(path: tuple[str, ...]) -> None:
    code, result, messages = call(*path)
    assert code == 2
    # Of a group of commands its help is shown, which is a result.
    assert "Usage: " in (messages if path in ARGUMENTS else result)


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_ctrl_c_exits_with_130_and_says_so_on_stderr(
    path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(start: Path | None = None) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(paths, "project_root", interrupted)
    code, result, messages = call(*path, *ARGUMENTS.get(path, ()))
    assert (code, result) == (130, "")
    assert messages == "stopped; the same command goes on from what is stored\n"


@pytest.mark.parametrize(
    ("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
@pytest.mark.parametrize("send", [os.kill, os.killpg])
def test_whoever_ends_a_command_lets_its_dvc_end_by_itself(
    how: int, code: int, send: Callable[[int, int], None], tmp_path: Path
) -> None:
    # Stands in for dvc: says on stdout that it is there, and takes longer to end than a process
    # that subprocess.run kills at an interrupt is given.
    (tmp_path / "dvc.py").write_text(
        "import signal, sys, time\n"
        "def stop(*_):\n"
        "    time.sleep(1)\n"
        "    print('saved', flush=True)\n"
        "    sys.exit(255)\n"
        "signal.signal(signal.SIGINT, stop)\n"
        "print('at work', flush=True)\n"
        "time.sleep(60)\n"
    )
    command = (
        "from pathlib import Path\n"
        "from netstab import cli\n"
        "from netstab.commands.dvc import run_dvc\n"
        "@cli.app.command()\n"
        "def wait():\n"
        "    with cli.exit_codes():\n"
        "        print(run_dvc(Path(), []))\n"
        "cli.app(['wait'])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", command],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(small.ROOT / "src")])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "at work\n"
    send(process.pid, how)
    result, messages = process.communicate(timeout=60)
    assert result == ""
    assert messages == "saved\nstopped; the same command goes on from what is stored\n"
    assert process.returncode == code


def test_a_question_is_no_result_and_ctrl_c_at_it_exits_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from netstab import cli

    def interrupted(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupted)
    with pytest.raises(SystemExit) as ended, exit_codes():
        cli._confirmed("Remove them?")
    assert ended.value.code == 130
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("Remove them?")


def test_how_far_a_sweep_is_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*given: object, **_: object) -> None:
        (console,) = (value for value in given if isinstance(value, Console))
        console.print("12 of 306 epochs done")

    monkeypatch.setattr("netstab.commands.sweep.run", run)
    assert call("sweep") == (0, "", "12 of 306 epochs done\n")


def test_what_dvc_says_is_no_result(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from netstab.commands.dvc import run_dvc

    assert run_dvc(tmp_path, ["--version"]) == 0
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.strip()[0].isdigit()


# Version and completion


def test_the_version_is_printed() -> None:
    assert call("--version") == (0, f"netstab {netstab.__version__}\n", "")


def started(*words: str, **environment: str) -> str:
    """What `python -m netstab` prints."""
    return python("-m", "netstab", *words, **environment).stdout


def test_python_m_netstab_is_the_same_command_line() -> None:
    assert started("--version") == f"netstab {netstab.__version__}\n"
    assert "Usage: netstab [OPTIONS] COMMAND" in started("--help")


def test_a_shell_completes_commands_and_their_options() -> None:
    def completed(line: str) -> list[str]:
        words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
        return started(_NETSTAB_COMPLETE="complete_bash", **words).split()

    names = dict.fromkeys(path[0] for path in EVERY)
    assert completed("netstab s") == [name for name in names if name.startswith("s")]
    assert completed("netstab store ") == [path[1] for path in EVERY if path[0] == "store"]
    assert "--gpus-per-worker" in completed("netstab plan --")
    # Typer looks for the shell among the parent processes; a test may have another one.
    named = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    assert "_NETSTAB_COMPLETE" in started("--show-completion", "bash", **named)


def test_a_refusal_hides_no_fault_of_ours() -> None:

    with pytest.raises(ZeroDivisionError), exit_codes():
        raise ZeroDivisionError
    with pytest.raises(SystemExit) as ended, exit_codes():
        raise NetstabError("no")
    assert ended.value.code == 1


# Encodings


ENCODINGS = [
    {"PYTHONIOENCODING": "latin-1"},
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
]
"""Of terminals and logs, by what sets them; the last is what an old batch system leaves."""


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_output_fails_of_no_encoding(encoding: dict[str, str]) -> None:
    code = (
        "import sys\n"
        "from netstab.exits import exit_codes\n"
        "with exit_codes():\n"
        "    for stream in (sys.stdout, sys.stderr):\n"
        "        print('\\u2212 1.5 \\u2192 2 \\u2013 \\u4e00', file=stream)\n"
        "print('caf\\udce9')\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "PYTHON"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "PYTHONPATH": str(small.ROOT / "src"), **encoding},
        capture_output=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == (b"- 1.5 > 2 - ?\ncaf?\n", b"- 1.5 > 2 - ?\n")


def test_verdicts_are_shown_on_an_ascii_terminal() -> None:
    mini = str(small.ROOT / "docs" / "mini")
    shown = started("claims", "D1", "--results", mini, PYTHONIOENCODING="ascii")
    assert "within ? 0.3" in " ".join(shown.split())
