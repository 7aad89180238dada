"""`python -m torture.fuzz [TARGET ...] --way atheris --runs 10000`: figures to `results/`."""

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import Annotated, Any

import typer

from torture.fuzz.bounds import MOST_GROWTH, MOST_SECONDS
from torture.fuzz.drawn import drawn
from torture.fuzz.targets import TARGETS

RESULTS = Path(__file__).parents[1] / "results"
PROCESS_MIB = 2048
"""Memory at which libFuzzer ends a process; the libraries alone take some 600 MiB."""
RUNS = {"pickle": 3000, "image": 2500, "manifest": 2000, "archive": 1500, "results": 250}
"""Inputs where `--runs` says nothing: the more, the cheaper; together more than 10,000."""
USUAL_RUNS = 600


def main(
    names: Annotated[list[str] | None, typer.Argument(help="Of targets; all.")] = None,
    way: Annotated[str, typer.Option(help="atheris or hypothesis.")] = "atheris",
    runs: Annotated[int, typer.Option(help="Inputs of each target; 0: as many as fit it.")] = 0,
    start: Annotated[int, typer.Option("--seed", help="Of chance.")] = 1,
) -> None:
    """Try generated inputs; exit 1 if any did what it must not."""
    unknown = set(names or []) - TARGETS.keys()
    if unknown or way not in ("atheris", "hypothesis"):
        sys.exit(f"{', '.join(unknown) or way}: is none; targets are {', '.join(TARGETS)}")
    found = {}
    for name in names or TARGETS:
        count = runs or RUNS.get(name, USUAL_RUNS)
        began = time.monotonic()
        told = (_covered if way == "atheris" else _drawn)(name, count, start)
        took = round(time.monotonic() - began, 1)
        found[name] = {**told, "seed": start, "took_s": took}
        print(f"{name}: {json.dumps({k: v for k, v in found[name].items() if k != 'findings'})}")
        for wrong in found[name]["findings"]:
            print(f"  {wrong}")
        _write(way, found)
    sys.exit(any(told["findings"] for told in found.values()))


def _drawn(name: str, runs: int, start: int) -> dict[str, Any]:
    """Inputs whose choices hypothesis draws."""
    with tempfile.TemporaryDirectory(prefix="netstab-fuzz-") as folder:
        tally = drawn(TARGETS[name], runs, start, Path(folder) / "input")
    return _told(asdict(tally), {k: v.hex() for k, v in tally.findings.items()})


def _covered(name: str, runs: int, start: int) -> dict[str, Any]:
    """Inputs that coverage guides, in a process of their own."""
    with tempfile.TemporaryDirectory(prefix="netstab-fuzz-") as folder:
        corpus, status = Path(folder) / "corpus", Path(folder) / "status.json"
        corpus.mkdir()
        for number in range(40):
            (corpus / str(number)).write_bytes(TARGETS[name].make(Random(start * 1000 + number)))
        command = [sys.executable, "-m", "torture.fuzz.covered", name, str(status)]
        command += [f"-runs={runs}", f"-seed={start}", f"-rss_limit_mb={PROCESS_MIB}"]
        command += [f"-timeout={2 * MOST_SECONDS:.0f}", f"-artifact_prefix={folder}/crash-"]
        command += ["-print_final_stats=1", "-verbosity=1", str(corpus)]
        environment = {**os.environ, "TMPDIR": folder}
        log = subprocess.run(
            command, capture_output=True, text=True, errors="replace", env=environment, check=False
        )
        told = json.loads(status.read_text(encoding="utf-8")) if status.exists() else {}
        findings = told.pop("findings", {})
        crashes = sorted(Path(folder).glob("crash-*"))
        if log.returncode or crashes:
            input_ = crashes[0].read_bytes().hex() if crashes else ""
            findings[f"the process ended with {log.returncode}: {log.stderr[-300:]}"] = input_
    edges = re.findall(r"cov: (\d+)", log.stderr)
    features = re.findall(r"ft: (\d+)", log.stderr)
    executed = re.findall(r"number_of_executed_units: (\d+)", log.stderr)
    return _told(told, findings) | {
        "executed": int(executed[-1]) if executed else None,
        "edges_at_first": int(edges[0]) if edges else None,
        "edges": int(edges[-1]) if edges else None,
        "features": int(features[-1]) if features else None,
    }


def _told(tally: dict[str, Any], findings: dict[str, str]) -> dict[str, Any]:
    return {
        "inputs": tally.get("inputs", 0),
        "accepted": tally.get("accepted", 0),
        "refused": tally.get("refused", 0),
        "slowest_s": round(tally.get("seconds", 0.0), 2),
        "most_memory_mib": round(tally.get("growth", 0) / 2**20, 1),
        "findings": {wrong: text[:4000] for wrong, text in findings.items()},
    }


def _write(way: str, found: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"fuzz-{way}.json"
    if path.exists():  # of targets that were tried before, and not now
        found = json.loads(path.read_text(encoding="utf-8"))["targets"] | found
    told = {
        "way": f"{way} {version(way)}",
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.system()}, {platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "limits": {"seconds": MOST_SECONDS, "memory_mib": MOST_GROWTH // 2**20},
        "inputs": sum(t["inputs"] for t in found.values()),
        "findings": sum(len(t["findings"]) for t in found.values()),
        "targets": found,
    }
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
