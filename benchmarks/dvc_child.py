"""Record every stage of the working directory in `dvc.lock`, and tell how long that takes.

Prints JSON: `stages`; `load_s` for reading the pipeline; `save_s` for hashing all dependencies
and outs; `write_all_s` for writing the lock once; `write_one_s` for writing it with one stage
changed, which `dvc repro` does after every stage that it runs.
"""

import json
import time
from collections.abc import Callable
from typing import TypeVar

from dvc.repo import Repo
from dvc.stage import PipelineStage

Result = TypeVar("Result")


def main() -> None:
    """Load, save, write, write once more."""
    repo = Repo()
    with repo.lock:
        load_s, stages = _timed(lambda: [s for s in repo.index.stages if _is_stage(s)])
        save_s, _ = _timed(lambda: [stage.save() for stage in stages])
        lockfile = stages[0].dvcfile._lockfile
        write_all_s, _ = _timed(lambda: lockfile.dump_stages(stages))
        write_one_s, _ = _timed(lambda: lockfile.dump_stages(stages[-1:]))
    times = {"load_s": load_s, "save_s": save_s}
    times |= {"write_all_s": write_all_s, "write_one_s": write_one_s}
    print(json.dumps({"stages": len(stages), **times}))


def _is_stage(stage: object) -> bool:
    return isinstance(stage, PipelineStage)


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


if __name__ == "__main__":
    main()
