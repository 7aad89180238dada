"""The processor that trains, and the settings that its bits depend on."""

import ctypes
import os
import platform
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import torch

from netstab import locks
from netstab.errors import TrainingError, visible
from netstab.machine import own_cores, usable_cores
from netstab.params import Params, Runtime, Train


def choose(runtime: Runtime) -> torch.device:
    """The device that `runtime.device` asks for; `auto` prefers CUDA.

    Raises:
        TrainingError: a CUDA device is asked for, and there is none (or not that many).
    """
    available = torch.cuda.is_available()
    if runtime.device == "auto":
        return torch.device("cuda" if available else "cpu")
    device = torch.device(runtime.device)
    if device.type == "cuda" and (device.index or 0) >= (
        torch.cuda.device_count() if available else 0
    ):
        raise TrainingError(
            f"runtime.device: {runtime.device} is not there; "
            "set it to auto or cpu, or make the device visible"
        )
    return device


def bf16_units(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the CPU computes in bf16 itself; assumed where the processor cannot be looked up."""
    try:
        words = set(cpuinfo.read_text().split())
    except OSError:
        return True
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})


def set_up(params: Params) -> tuple[torch.device, int]:
    """The device that the parameters ask for, set up for them, and the number of CPU threads.

    Raises:
        TrainingError: see `choose`.
    """
    return choose(params.runtime), configure(params.train, params.runtime)


def configure(train: Train, runtime: Runtime) -> int:
    """Set what numbers depend on beside the code; returns the number of CPU threads.

    Threads, TF32, determinism and the choice of cuDNN's algorithms, set explicitly in every
    process, since each changes rounding.
    """
    threads = runtime.threads or usable_cores()
    torch.set_num_threads(threads)
    fp32 = "tf32" if train.tf32 else "ieee"
    # Parts of torch's compiler read the old setting, and refuse one that contradicts the new
    # (pytorch#166387). The old one speaks of the CPU as well, which is to have no TF32.
    with warnings.catch_warnings():
        # Torch 2.9 advises the new one.
        warnings.filterwarnings("ignore", "Please use the new API settings to control TF32")
        torch.set_float32_matmul_precision("high" if train.tf32 else "highest")
    torch.backends.mkldnn.matmul.fp32_precision = "ieee"  # type: ignore[attr-defined]
    torch.backends.cuda.matmul.fp32_precision = fp32
    torch.backends.cudnn.conv.fp32_precision = fp32  # type: ignore[attr-defined]
    if train.deterministic:
        # Read by cuBLAS when it is first used: two buffers of 4 MiB give it a fixed workspace.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if train.deterministic != torch.are_deterministic_algorithms_enabled():
        # This imports torch's compiler: seconds, in every process that trains.
        torch.use_deterministic_algorithms(train.deterministic)
    torch.backends.cudnn.benchmark = not train.deterministic
    return threads


NAME_LENGTH = 200
"""Characters of a device's or machine's name that are kept."""


@dataclass(frozen=True, slots=True)
class Hardware:
    """What a segment was trained on; see `schema.TrainedSegment`."""

    device: str
    device_type: str
    torch: str
    threads: int
    host: str
    cpu_capability: str
    onednn_isa: str


def timestamp() -> str:
    """The time in UTC, as provenance has it: `2026-11-28T09:30:00Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def hardware(device: torch.device, threads: int, host: str | None = None) -> Hardware:
    """Describe the device for provenance; `host` is what this machine is called there."""
    on_gpu = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if on_gpu else _processor()
    return Hardware(
        visible(name)[:NAME_LENGTH],
        device.type,
        torch.__version__,
        threads,
        visible(host or platform.node())[:NAME_LENGTH],
        "" if on_gpu else torch.backends.cpu.get_cpu_capability(),
        "" if on_gpu else onednn_isa(),
    )


def turn(hardware: Hardware) -> AbstractContextManager[None]:
    """Compute while no other process does on these cores, where two of so many threads do not fit.

    Of two at once every thread waits, at each of its many steps, for one that has no core: an epoch
    takes many times as long (docs/PERFORMANCE.md). Fewer threads would come to other bits. Other
    cores, such as those of another job on the same node, are nobody's hindrance.
    """
    cores = own_cores()
    if hardware.device_type != "cpu" or hardware.threads == 1 or 2 * hardware.threads <= len(cores):
        return nullcontext()
    return locks.turn(f"cores-{sum(1 << core for core in cores):x}")


@cache
def onednn_isa() -> str:
    """The instruction set that oneDNN, which convolves on the CPU, uses; empty if it does not say.

    It tells it on this process's standard output alone, once: with the first thing that it does
    while it is verbose, here a copy of one number.
    """
    onednn = torch.backends.mkldnn
    if not onednn.is_available():  # type: ignore[no-untyped-call]
        return ""
    try:
        with tempfile.TemporaryFile() as told, _standard_output(told.fileno()):
            with onednn.verbose(onednn.VERBOSE_ON):  # type: ignore[no-untyped-call]
                torch.zeros(1).to_mkldnn()
            ctypes.CDLL(None).fflush(None)  # of C's buffers
            told.seek(0)
            found = re.search(r",cpu,isa:(.+)", told.read().decode(errors="replace"))
    except OSError:  # standard output is closed, or there is no room for a file
        return ""
    return found[1].strip() if found else ""


@contextmanager
def _standard_output(number: int) -> Iterator[None]:
    """Send what anything in this process writes there to another file."""
    if sys.stdout:
        sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(number, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
