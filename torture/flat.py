"""A process that trains one segment after the other: do its memory and open files stay flat?"""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from torture import forked
from torture.checkout import Checkout

WARM = 0.34
"""Share of the samples that are left out: until then caches fill."""
GROWTH_MIB = 8.0
"""What memory may have grown by, as its slope over the rest says."""
SEEDS = 1000
"""More than are trained in any soak."""


@dataclass
class Growth:
    """What became of a process.

    Attributes:
        row: how many segments, memory, slope, open files.
        problems: what grew.
    """

    row: dict[str, Any]
    problems: list[str] = field(default_factory=list)


class Living:
    """A process under way that trains the study of one seed after the other, as a sweep's does."""

    def __init__(self, base: Checkout, samples: Path) -> None:
        self.samples = samples
        self._checkout = base.copied_to(base.root.parent / "living")
        self._process = forked.start(
            self._checkout, lambda: _live(samples), samples.with_suffix(".output"), lambda: None
        )

    def end(self) -> Growth:
        """End it, and look at what it used over time."""
        died = self._process.poll()
        self._process.kill()
        self._process.wait()
        lines = self.samples.read_text(encoding="utf-8").split("\n")[:-1]
        growth = judged([json.loads(line) for line in lines])
        if died is not None:
            growth.problems.append(f"the process that trains has ended with exit code {died}")
        return growth


def judged(samples: list[dict[str, float]]) -> Growth:
    """Whether memory and open files stayed flat over the samples, one a run."""
    late = samples[int(len(samples) * WARM) :]
    if len(late) < 3:
        return Growth({"runs": len(samples)}, ["too few runs to judge memory by"])
    memory = np.array([one["rss"] for one in late]) / 2**20
    slope = float(np.polyfit(np.arange(len(late)), memory, 1)[0])
    files = [int(one["files"]) for one in late]
    row = {
        "runs": len(samples),
        "segments": int(samples[-1]["segments"]),
        "mib_first": round(float(memory[0]), 1),
        "mib_last": round(float(memory[-1]), 1),
        "mib_a_run": round(slope, 4),
        "open_files": [min(files), max(files)],
    }
    problems = []
    if slope * len(late) > GROWTH_MIB:
        problems.append(f"memory grew by {slope * len(late):.1f} MiB over {len(late)} runs")
    if max(files) > files[0]:
        problems.append(f"open files grew from {files[0]} to {max(files)}")
    return Growth(row, problems)


def _live(samples: Path) -> None:
    from netstab import params, paths
    from netstab.data.manifest import read_manifest
    from netstab.store.ledger import open_ledger
    from netstab.study.experiments import Run, variants
    from netstab.training.trainer import Trainer

    content = params.read(paths.PARAMS).model_copy(update={"seeds": tuple(range(1, SEEDS))})
    manifest = read_manifest()
    ledger = open_ledger(Path(), content=content)
    trainer, segments, process = Trainer(ledger, manifest), 0, psutil.Process()
    with samples.open("w", encoding="utf-8") as file:
        for seed in content.seeds:
            for variant in variants(content):
                record = trainer.train(Run(variant, seed), lambda *_: None, lambda *_: None)
                segments += len(record.provenance)
                used = {"rss": process.memory_info().rss, "files": process.num_fds()}
                file.write(json.dumps({**used, "segments": segments, "t": time.monotonic()}) + "\n")
                file.flush()
