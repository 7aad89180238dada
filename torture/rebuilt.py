"""Damaged files end to end: whatever is damaged, the next call comes to the same bits."""

import random
import shutil
import time
from pathlib import Path
from typing import Any

from netstab.store.measurements import Measurements
from netstab.store.records import Record
from tests.checkout import DVC
from torture import forked, outcome
from torture.checkout import Checkout
from torture.damage import damages
from torture.outcome import Outcome

VARIANT = "outpost"


def stage_rebuilds(
    trained: Checkout, expected: Outcome, folder: Path, draw: random.Random
) -> dict[str, Any]:
    """Damage one file of a store; a stage that needs it sets it aside, and makes it again."""
    started = time.monotonic()
    checkout = trained.copied_to(folder)
    store, measurements = checkout.store, Measurements(checkout.store)
    records = [r for key in sorted(store.listing()) if (r := store.record(key))]
    record = draw.choice(records)
    files = [
        *store.files(record),
        measurements.root / f"{draw.choice(sorted(measurements.listing()))}.json",
    ]
    path = draw.choice(files)
    if path.parent == store.states:
        _make_needed(checkout, records, record)
    way, content = draw.choice(list(damages(path.read_bytes(), draw, 5)))
    path.write_bytes(content)
    output, problems = "", []
    if path.suffix == ".safetensors" and record.epoch == max(r.epoch for r in records):
        # Of a finished run only the record is read: what its tensors are, verify finds.
        done = forked.run(checkout, forked.command("store", "verify"), code=None)
        output = done.output
        problems += [] if done.code == 1 else [f"store verify: exit code {done.code}"]
    done = forked.run(checkout, forked.stage(VARIANT), code=None)
    output += done.output
    problems += [] if done.code == 0 else [f"exit code {done.code}: {done.output[-600:]}"]
    if path.exists() and path.read_bytes() != content and "is set aside in" not in output:
        problems.append("made again without a word")
    shutil.rmtree(store.damaged, ignore_errors=True)
    problems += outcome.faults(checkout, expected)
    kind = "measurement" if path.parent != store.states else path.suffix[1:]
    row: dict[str, Any] = {"kind": f"stage: {kind}", "way": way, "damages": 1}
    if problems:
        row |= {"problems": problems, "folder": str(folder)}
    else:
        shutil.rmtree(folder)
    return row | {"took_s": time.monotonic() - started}


def _make_needed(checkout: Checkout, records: list[Record], damaged: Record) -> None:
    """Take away whatever is behind a state, so that the run has to go on from it."""
    for record in records:
        if record.epoch > damaged.epoch:
            checkout.store.remove(record.key)
    shutil.rmtree(checkout.root / "metrics", ignore_errors=True)


def pipeline_rebuilds(whole: Checkout, folder: Path, draw: random.Random) -> dict[str, Any]:
    """Damage every file that the pipeline leaves, each in a drawn way; `dvc repro` mends them."""
    started = time.monotonic()
    checkout = whole.copied_to(folder)
    paths = [p for d in ("metrics", "data") for p in (checkout.root / d).rglob("*") if p.is_file()]
    chosen = [p for p in sorted(paths) if p.name != ".gitignore" and p.stat().st_size]
    before = {path: path.read_bytes() for path in chosen}
    for path in chosen:
        others = [p for p in chosen if p.suffix == path.suffix and p != path] or [path]
        ways = [*damages(before[path], draw, 3), ("another's", before[draw.choice(others)])]
        path.write_bytes(draw.choice(ways)[1])
    done = checkout.run(*DVC, "repro", code=None)
    problems = [] if done.code == 0 else [f"exit code {done.code}: {done.output[-600:]}"]
    problems += [
        f"{path.relative_to(checkout.root)} is not as it was"
        for path in chosen
        if not path.exists() or path.read_bytes() != before[path]
    ]
    row: dict[str, Any] = {"kind": "dvc repro", "damages": len(chosen)}
    if problems:
        row |= {"problems": problems, "folder": str(folder)}
    else:
        shutil.rmtree(folder)
    return row | {"took_s": time.monotonic() - started}
