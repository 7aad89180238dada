"""What `benchmarks.epoch` times: epochs, matrix products, an evaluation, a save; and a profile."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity

from benchmarks.plain_loop import PlainLoop
from benchmarks.trainer import WARM_UP_STEPS, Workload, trunk
from netstab.data.tensors import load
from netstab.params import Params
from netstab.store.states import Store
from netstab.study.plan import tree
from netstab.study.schedule import Frozen, Phase
from netstab.training.device import bf16_units

PLAIN = "plain loop"
MATRIX = {"cpu": 2048, "cuda": 8192}
"""Rows and columns of a matrix product; larger ones are no faster beyond noise."""
PRODUCTS = {"cpu": 2, "cuda": 20}
"""Products in a row."""
PROFILED_STEPS = 10

Case = Callable[[], object]
Epochs = dict[str, tuple[Case, Phase]]
"""By name: what trains an epoch and evaluates, and the phase that it trains."""


def epochs(workload: Workload, folder: Path, workers: int) -> Epochs:
    """Epochs, warmed up: netstab's as the size trains it and in fp32, plain loops, frozen ones."""
    study, whole = workload.study, trunk(workload.study)
    precisions = dict.fromkeys((study.train.precision, "fp32"))
    found: Epochs = {f"netstab {p}": (workload.epochs(whole, p), whole) for p in precisions}
    arrays, bf16 = load(workload.manifest, folder), has_bf16(workload.device)
    tuned = {"bf16": bf16, "channels_last": True}
    for name, how in {PLAIN: {}, f"{PLAIN}, {'bf16' if bf16 else 'fp32'} NHWC": tuned}.items():
        PlainLoop(workload.cut(WARM_UP_STEPS), arrays, workers, **how).epoch()
        found[name] = PlainLoop(workload, arrays, workers, **how).epoch, whole
    frozen = ways_of_freezing(study)
    return found | {name: (workload.epochs(phase), phase) for name, phase in frozen.items()}


def ways_of_freezing(study: Params) -> dict[str, Phase]:
    """A phase for every way in which the plan freezes parts, by the first variant that does so.

    Rates and large batches cost the same.
    """
    found: dict[tuple[Frozen | None, ...], tuple[str, Phase]] = {}
    for variant, schedule in tree(study).schedules.items():
        for phase in schedule.phases:
            way = tuple(s if isinstance(s, Frozen) else None for s in phase.settings)
            if any(way):
                found.setdefault(way, (variant.name, phase))
    return dict(found.values())


def others(workload: Workload, folder: Path) -> dict[str, Case]:
    """An evaluation of all validation images, and a state saved: bytes, hash, and to the disk."""
    trained, store = workload.warmed_up(trunk(workload.study)), Store(folder / "saved")
    return {
        "evaluate": lambda: trained.evaluate(workload.validation),
        "save a state": lambda: trained.save(store),
    }


def has_bf16(device: torch.device) -> bool:
    """Whether the device computes in bf16 itself."""
    return device.type != "cpu" or bf16_units()


def products(device: torch.device) -> dict[str, Case]:
    """Square matrix products in each precision that the device has itself, warmed up."""
    dtypes = {"fp32": torch.float32} | ({"bf16": torch.bfloat16} if has_bf16(device) else {})
    size, found = MATRIX[device.type], dict[str, Case]()
    for precision, dtype in dtypes.items():
        three = [torch.randn(size, size, device=device).to(dtype) for _ in range(3)]
        found[precision] = case = partial(_multiply, *three)
        case()
    return found


def _multiply(left: Tensor, right: Tensor, out: Tensor) -> None:
    for _ in range(PRODUCTS[out.device.type]):
        torch.mm(left, right, out=out)
    if out.device.type == "cuda":
        torch.cuda.synchronize(out.device)


def product_flop(device: torch.device) -> float:
    """Operations of one of the products' cases."""
    return 2.0 * MATRIX[device.type] ** 3 * PRODUCTS[device.type]


def profiled(workload: Workload, folder: Path) -> str:
    """Trace some steps of the trunk, and an evaluation in proportion, into the folder.

    Returns:
        The costliest kernels (on the CPU: operators), by their own time.
    """
    epoch = workload.cut(PROFILED_STEPS).epochs(trunk(workload.study))
    cuda = workload.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    with torch.profiler.profile(activities=activities) as profiler:
        epoch()
        if cuda:
            torch.cuda.synchronize(workload.device)
    folder.mkdir(parents=True, exist_ok=True)
    profiler.export_chrome_trace(str(folder / "trace.json"))
    own = "self_device_time_total" if cuda else "self_cpu_time_total"
    return str(profiler.key_averages().table(sort_by=own, row_limit=10))
