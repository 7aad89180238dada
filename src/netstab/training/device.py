"""The processor that trains, and the settings that its bits depend on."""

import os
import platform
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from netstab.errors import TrainingError, visible
from netstab.machine import usable_cores
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
    """What a segment was trained on."""

    device: str
    device_type: str
    torch: str
    threads: int
    host: str


def timestamp() -> str:
    """The time in UTC, as provenance has it: `2026-11-28T09:30:00Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def hardware(device: torch.device, threads: int, host: str | None = None) -> Hardware:
    """Describe the device for provenance; `host` is what this machine is called there."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    named = visible(name)[:NAME_LENGTH], visible(host or platform.node())[:NAME_LENGTH]
    return Hardware(named[0], device.type, torch.__version__, threads, named[1])


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
