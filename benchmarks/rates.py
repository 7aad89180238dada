"""What a device can do at most, measured: a large matrix product, a large copy."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks.common import Spread, Took
from netstab.training.device import bf16_units

MATRIX = {"cpu": 2048, "cuda": 8192}
"""Rows and columns; on larger ones the rate did not rise by more than noise."""
COPIED_MIB = {"cpu": 256, "cuda": 4096}
"""Far more than any cache holds."""
REPEATS = {"cpu": 2, "cuda": 20}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Rate:
    """A thing to time, and how much of it one call does.

    Attributes:
        case: does it once, and says how long that took.
        amount: floating-point operations, or bytes.
    """

    case: Callable[[], Took]
    amount: float

    def of(self, seconds: Spread) -> Spread:
        """Amounts a second."""
        return Spread(tuple(self.amount / s for s in seconds.values))


def wait(device: torch.device) -> None:
    """Until the device has done what it was given; a CPU has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def has_bf16(device: torch.device) -> bool:
    """Whether the device computes in bf16 itself."""
    return device.type != "cpu" or bf16_units()


def matrix_product(device: torch.device, precision: str) -> Rate:
    """A square matrix product in a precision (fp32: with TF32, where that is switched on)."""
    size, dtype = MATRIX[device.type], DTYPES[precision]
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    out = torch.empty(size, size, device=device, dtype=dtype)
    return Rate(_repeated(lambda: torch.mm(left, right, out=out), device), 2.0 * size**3)


def copy(device: torch.device) -> Rate:
    """A copy within the device's memory; what is read counts, and what is written."""
    source = torch.ones(COPIED_MIB[device.type] * 2**20, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    return Rate(_repeated(lambda: target.copy_(source), device), 2.0 * source.nbytes)


def _repeated(work: Callable[[], object], device: torch.device) -> Callable[[], Took]:
    """The work, warmed up, as a case: seconds of one of several calls in a row."""
    repeats = REPEATS[device.type]
    work()

    def case() -> Took:
        wait(device)
        started = time.perf_counter()
        for _ in range(repeats):
            work()
        wait(device)
        return Took((time.perf_counter() - started) / repeats)

    return case
