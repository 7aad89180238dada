"""What has to be run on a machine with a GPU, item by item, unattended and resumable. No torch."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from xml.etree import ElementTree

import typer

from benchmarks.common import RESULTS, ROOT, child_environment, console, machine

LIMIT_S = 9 * 60.0
TAIL = 4_000
"""Characters of an item's output that are kept."""

TESTS = {
    "reference": "naive or cpus_numbers",
    "compiled-fp32-live": "compiled_matches_eager and fp32 and frozen-live",
    "compiled-fp32-eval": "compiled_matches_eager and fp32 and frozen-eval",
    "compiled-bf16-live": "compiled_matches_eager and bf16 and frozen-live",
    "compiled-bf16-eval": "compiled_matches_eager and bf16 and frozen-eval",
    "compiled-epochs-live": "compiled_epochs and frozen-live",
    "compiled-epochs-eval": "compiled_epochs and frozen-eval",
    "compiled-pieces": "compiled_batches",
    "resumed": "(resumed and False) or leaves_the_bits",
    "resumed-compiled": "resumed and True",
}
"""Parts of `pytest -m gpu`, each short enough; what is in none of them is a part as well."""


@dataclass(frozen=True, slots=True)
class Item:
    """One part of the programme, in a process of its own.

    Attributes:
        what: a sentence.
        command: arguments for Python, given whether it is a rehearsal and where results go.
        read: results from the file that the command wrote.
        may_fail: exit statuses beside 0 with which it has come to its end.
        may_be_empty: whether it is complete without a single test.
    """

    what: str
    command: Callable[[bool, Path], list[str]]
    read: Callable[[Path], Any] = lambda path: json.loads(path.read_text(encoding="utf-8"))
    may_fail: tuple[int, ...] = ()
    may_be_empty: bool = False


NO_TESTS = 5
"""Exit status of pytest."""


def _tests(expression: str, *, may_be_empty: bool = False) -> Item:
    def command(rehearse: bool, path: Path) -> list[str]:
        rows = "not gpu" if rehearse else "gpu"
        options = ["-m", rows, "-k", expression, "-p", "no:cacheprovider", "--tb=short"]
        # Packages that this project has not been tested with may warn; that is no failure.
        options += ["-W", "default"]
        return ["-m", "pytest", "tests/test_gpu.py", *options, f"--junitxml={path}"]

    what = f"pytest -m gpu -k '{expression}'"
    return Item(what, command, _read_junit, (1, NO_TESTS), may_be_empty)


def _read_junit(path: Path) -> dict[str, Any]:
    cases = list(ElementTree.parse(path).iter("testcase"))
    failed = {
        case.get("name", ""): (found.get("message") or "")[:300]
        for case in cases
        for found in (*case.iter("failure"), *case.iter("error"))
    }
    skipped = sum(1 for case in cases if case.find("skipped") is not None)
    seconds = {case.get("name", ""): float(case.get("time", 0)) for case in cases}
    return {"tests": len(cases), "skipped": skipped, "failed": failed, "seconds": seconds}


def _child(what: str, *arguments: str) -> Item:
    def command(rehearse: bool, path: Path) -> list[str]:
        how = ["--rehearse"] if rehearse else []
        return ["-m", "benchmarks.gpu_child", *arguments, *how, "--json", str(path)]

    return Item(what, command)


def _epoch(rehearse: bool, path: Path) -> list[str]:
    full = ["--size", "article", "--device", "cuda", "--rounds", "3", "--workers", "8"]
    tiny = ["--size", "demo", "--device", "cpu", "--rounds", "1", "--workers", "0", "--steps", "2"]
    return ["-m", "benchmarks.epoch", *(tiny if rehearse else full), "--json", str(path)]


ITEMS: dict[str, Item] = {
    **{f"tests-{name}": _tests(expression) for name, expression in TESTS.items()},
    "tests-others": _tests(" and ".join(f"not ({e})" for e in TESTS.values()), may_be_empty=True),
    "epoch": Item("An epoch against the plain loop, and epochs with frozen parts.", _epoch),
    "ways": _child("A trunk epoch, eager and compiled.", "ways"),
    "ways-64": _child("The same with block 64 alone trained.", "ways", "--block", "64"),
    "ways-512": _child("The same with block 512 alone trained.", "ways", "--block", "512"),
    "deterministic": _child("Its price, and whether runs agree to the bit.", "deterministic"),
    "together-eager": _child("1, 2, 3 processes on one GPU, eager.", "together", "--way", "eager"),
    "together-compiled": _child("The same, compiled.", "together", "--way", "compiled"),
    "memory": _child("Peak memory of training, each way.", "memory"),
}


def main(
    items: Annotated[list[str] | None, typer.Argument(help="Which; all if none is named.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the result files.")] = RESULTS / "gpu",
    again: Annotated[bool, typer.Option(help="Run items that are complete as well.")] = False,
    rehearse: Annotated[
        bool, typer.Option(help="On the CPU at a tiny size: does the programme work?")
    ] = False,
    limit_s: Annotated[float, typer.Option(min=1, help="For each item.")] = LIMIT_S,
) -> None:
    """Run the GPU programme; what is complete is passed over, so call it again to go on."""
    unknown = [name for name in items or () if name not in ITEMS]
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}; known are {', '.join(ITEMS)}")
    out.mkdir(parents=True, exist_ok=True)
    good = [_one(name, out, again, rehearse, limit_s) for name in items or ITEMS]
    raise typer.Exit(0 if all(good) else 1)


def _one(name: str, out: Path, again: bool, rehearse: bool, limit_s: float) -> bool:
    """Run an item, unless its result is there; whether all went well."""
    path = out / f"{name}.json"
    known = None if again else _complete(path, rehearse)
    if known is None:
        console.print(f"{name}: {ITEMS[name].what}")
        known = _run(ITEMS[name], rehearse, limit_s)
        new = path.with_suffix(".new")
        content = {"item": name, "what": ITEMS[name].what, **known}
        new.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        new.replace(path)
    else:
        console.print(f"{name}: is there ({path.name})")
    failed = known["results"].get("failed") if known["complete"] else None
    good = known["complete"] and not failed
    console.print(f"  {'good' if good else 'NOT GOOD'}, {known['seconds']:.0f} s")
    return bool(good)


def _complete(path: Path, rehearse: bool) -> dict[str, Any] | None:
    """A result that came to its end earlier; a rehearsal counts for rehearsals alone."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if found.get("complete") and found.get("rehearsal") == rehearse else None


def _run(item: Item, rehearse: bool, limit_s: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        raw, log = Path(folder) / "results", Path(folder) / "log"
        arguments = item.command(rehearse, raw)
        started = time.monotonic()
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=child_environment(ROOT / "src", ROOT),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status: int | None = process.wait(limit_s)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                _end(process)
        ended = status == 0 or status in item.may_fail
        results = item.read(raw) if ended and raw.exists() else {}
        # A test that is passed over for want of a GPU says nothing about one; nor do no tests. On
        # the CPU many items have none.
        none = results.get("tests") == 0 and not item.may_be_empty
        complete = bool(results) and (rehearse or not (none or results.get("skipped")))
        return {
            "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "rehearsal": rehearse,
            "complete": complete,
            "exit_status": status if status is not None else f"stopped after {limit_s:g} s",
            "seconds": time.monotonic() - started,
            "arguments": [a.replace(folder, "") for a in arguments],
            "machine": machine(),
            "results": results,
            "output": log.read_text(encoding="utf-8", errors="replace")[-TAIL:],
        }


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the process and whatever it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    typer.run(main)
