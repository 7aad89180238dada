"""What a stage pays beside its epochs: its process, compilation, an evaluation, saving a state."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.children import measured_child, start
from benchmarks.common import Took

if TYPE_CHECKING:
    from benchmarks.trainer import Course

PROCESS, COLLECTS, TRAINS = "start: Python alone", "start: a stage", "start: a stage that trains"
COLD, WARM = "compile, cold", "compile, cached"
EVALUATE, SAVE = "evaluate", "save a state"

TRAINING = """
import netstab.stages.train
from pathlib import Path
from netstab import params
from netstab.training import job
study = params.read(Path("params.yaml"))
job.devices.configure(study.train, study.runtime)
job.Engine(job.ResNet18(2, 3, 10), study.train, job.torch.device("cpu"))
"""
IMPORTS = {
    PROCESS: "pass",
    COLLECTS: "import netstab.stages.train",
    TRAINS: TRAINING,
}


def starts() -> dict[str, Callable[[], object]]:
    """Processes of stages: one that collects a stored run, one that gets as far as to train.

    Each is started once to warm up: files are in memory, and bytecode is written.
    """

    def case(code: str) -> Callable[[], None]:
        start(code)
        return lambda: start(code)

    return {name: case(code) for name, code in IMPORTS.items()}


def can_compile(device_type: str) -> bool:
    """Whether `torch.compile` has what it needs: a C++ compiler, or for CUDA (Triton) one for C."""
    if device_type == "cuda":
        names = [os.environ.get("CC", ""), "gcc", "clang"]
    else:
        names = [os.environ.get("CXX", ""), "g++", "clang++", "c++"]
    return any(shutil.which(name) for name in names if name)


def compiling(
    size: str, device: str, threads: int, folder: Path
) -> dict[str, Callable[[], object]]:
    """Compilation of the trunk's step in a process of its own: cache empty, and then filled."""
    number = count()
    caches: list[str] = []

    def compile_in(cache: str) -> Took:
        _, said = measured_child(
            "benchmarks.once_child", size, device, str(threads), TORCHINDUCTOR_CACHE_DIR=cache
        )
        return Took(json.loads(said.splitlines()[-1])["compile_s"])

    def cold() -> Took:
        caches.append(tempfile.mkdtemp(prefix=f"cache{next(number)}-", dir=folder))
        return compile_in(caches[-1])

    return {COLD: cold, WARM: lambda: compile_in(caches[-1])}


def within(course: "Course", folder: Path) -> dict[str, Callable[[], object]]:
    """An evaluation of all validation images, and a state saved: bytes, hash, and to the disk."""
    from benchmarks import trainer
    from netstab.store.states import Store

    at_work = trainer.Trainer(course.study, course.manifest, course.device)
    short = course.cut(trainer.WARM_UP_STEPS)
    at_work.epoch(trainer.trunk(course.study), short.training, short.validation)
    store = Store(folder / "saved")
    return {
        EVALUATE: lambda: at_work.evaluate(course.validation),
        SAVE: lambda: at_work.save(store),
    }
