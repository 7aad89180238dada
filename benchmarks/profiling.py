"""Where the time of a step goes: a chrome trace, and the ten costliest kernels or operators."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from torch.profiler import ProfilerActivity, profile

from benchmarks import trainer
from benchmarks.common import make_table
from benchmarks.trainer import Course

TRACE = "trace.json"
COSTLIEST = 10
STEPS = 10


@dataclass(frozen=True, slots=True)
class Cost:
    """What a kernel (on the CPU: an operator) took in all.

    Attributes:
        name: of it.
        calls: number of them.
        total_ms: its own time, without what it calls.
        share: of the time of all.
    """

    name: str
    calls: int
    total_ms: float
    share: float


def traced(work: Callable[[], object], device: torch.device, folder: Path) -> list[Cost]:
    """Do some work under the profiler; write its trace into the folder.

    Returns:
        The costliest kernels (on the CPU: operators), by their own time.
    """
    cuda = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    with profile(activities=activities) as profiler:
        work()
        if cuda:
            torch.cuda.synchronize(device)
    folder.mkdir(parents=True, exist_ok=True)
    profiler.export_chrome_trace(str(folder / TRACE))
    return costliest(profiler.key_averages(), device.type)


def costliest(averages: Any, device_type: str) -> list[Cost]:
    """The costliest of the profiler's averages on one type of device."""
    wanted = {"cpu": torch.autograd.DeviceType.CPU, "cuda": torch.autograd.DeviceType.CUDA}
    # On CUDA an operator is given its kernels' time too: kernels alone are counted.
    found = [
        (average.key, average.count, _own_us(average, device_type))
        for average in averages
        if average.device_type == wanted[device_type]
    ]
    total = sum(own for *_, own in found) or 1.0
    found.sort(key=lambda one: one[2], reverse=True)
    return [Cost(n, calls, own / 1e3, own / total) for n, calls, own in found[:COSTLIEST]]


def _own_us(average: Any, device_type: str) -> float:
    own = average.self_cpu_time_total if device_type == "cpu" else average.self_device_time_total
    return float(own)


@dataclass(frozen=True, slots=True)
class Profile:
    """What was traced.

    Attributes:
        costs: the costliest.
        steps: that were trained.
        device_type: cpu or cuda.
    """

    costs: list[Cost]
    steps: int
    device_type: str

    def table(self) -> Table:
        """The costliest, with their time a step."""
        what = "operators" if self.device_type == "cpu" else "kernels"
        made = make_table(
            f"{self.steps} steps of the trunk, and evaluation: the costliest {what}",
            *("own time", "calls", "ms a step", "share"),
        )
        for cost in self.costs:
            name = cost.name if len(cost.name) <= 60 else f"{cost.name[:57]}..."
            a_step = f"{cost.total_ms / self.steps:.3g}"
            made.add_row(name, f"{cost.calls:,}", a_step, f"{cost.share:.1%}")
        return made

    def as_json(self) -> dict[str, Any]:
        """The costliest as data."""
        return {"steps": self.steps, "costliest": [asdict(cost) for cost in self.costs]}


def trunk(course: Course, folder: Path) -> Profile:
    """Trace some steps of the trunk, and an evaluation in proportion; see `traced`."""
    short = course.cut(STEPS)
    work = short.epochs(trainer.trunk(course.study))
    costs = traced(work, course.device, folder)
    return Profile(costs, short.amount.steps, course.device.type)
