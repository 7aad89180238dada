"""This machine: cores and memory, and whether it seems to have a GPU. Nothing here asks torch."""

import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

MEMBERSHIP = Path("/proc/self/cgroup")
"""The control groups of this process, a line each: `ID:CONTROLLERS:PATH`; version 2 names none."""
CGROUPS = Path("/sys/fs/cgroup")
"""Where control groups are mounted: version 2 itself, of version 1 a folder a controller."""


def looks_like_gpu() -> bool:
    """Whether this machine seems to have a CUDA device."""
    return shutil.which("nvidia-smi") is not None


def own_cores() -> frozenset[int]:
    """Numbers of the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def usable_cores() -> int:
    """Number of cores that this process may run on: of those of its affinity what its quota pays.

    A quota of 1.5 cores is worth two: threads of which one waits at times.
    """
    quotas = [math.ceil(quota) for group in _groups("cpu") if (quota := _quota(group))]
    return min([len(own_cores()), *quotas])


def available_memory() -> int:
    """Bytes that processes can take before one is killed: the machine's, or a container's rest."""
    import psutil  # only here: every stage starts with this module

    available: int = psutil.virtual_memory().available
    rests = [rest for group in _groups("memory") for rest in _rests(group)]
    return max(0, min([available, *rests]))


def _groups(controller: str) -> Iterator[Path]:
    """Folders of the control groups that limit this process, from its own to the outermost.

    Within a container the outermost is the container's own, whatever its path is called outside.
    """
    for line in _text(MEMBERSHIP).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        mount = CGROUPS / controller if controllers else CGROUPS
        own = mount / path.lstrip("/")
        yield from (group for group in (own, *own.parents) if group.is_relative_to(mount))


def _quota(group: Path) -> float | None:
    """Cores that a control group may keep busy; None without a limit."""
    told = _text(group / "cpu.max")  # such as `150000 100000`, or `max 100000`
    told = told or " ".join(_text(group / f"cpu.cfs_{what}_us") for what in ("quota", "period"))
    match told.split():
        case [quota, period] if quota.isdecimal():  # without a limit it is -1 in version 1
            return int(quota) / int(period)
    return None


def _rests(group: Path) -> Iterator[int]:
    """Bytes that a control group has left: its limit without what is used and cannot be freed."""
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        numbers = [_text(group / name).strip() for name in (limit, used)]
        if all(number.isdecimal() for number in numbers):  # without a limit it is `max`
            yield int(numbers[0]) - int(numbers[1]) + _cached(group)


def _cached(group: Path) -> int:
    """Bytes of files that the kernel drops where memory is short; they count as used."""
    told = dict(line.split() for line in _text(group / "memory.stat").splitlines())
    return int(told.get("total_inactive_file", told.get("inactive_file", 0)))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
