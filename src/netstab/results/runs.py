"""The runs' small files, read and checked. What cannot be used is named, with what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from netstab import paths, source_code
from netstab.errors import NetstabError, visible
from netstab.params import Params
from netstab.results.barriers import Barriers, collect_barriers, trained_like
from netstab.results.read import (
    FailedRunError,
    UnusableFileError,
    read_ceiling,
    read_history,
    read_json,
    read_sharpness,
    read_shifts,
)
from netstab.results.schema import (
    FIELD,
    HISTORY,
    PROVENANCE,
    SHARPNESS,
    STABILITY,
    Provenance,
    SharpnessFile,
    TrainedSegment,
)
from netstab.study.experiments import Run, Variant, runs, schedule, variants
from netstab.study.schedule import Schedule
from netstab.study.stages import stage_name
from netstab.text import few


@dataclass(frozen=True, slots=True)
class Fault:
    """A file of a run that is missing or cannot be used, or a run that could not be trained.

    Attributes:
        run: whose.
        problem: what is wrong; of a run that could not be trained also what to do.
        failed: whether the run could not be trained.
    """

    run: Run
    problem: str
    failed: bool = False

    @property
    def remedy(self) -> str:
        """The command that makes the file anew; empty where none does."""
        return "" if self.failed else f"dvc repro {stage_name(self.run)}"

    def __str__(self) -> str:
        told = f"{self.run.name}: {self.problem}"
        return f"{told}; run: {self.remedy}" if self.remedy else told


@dataclass(frozen=True, slots=True)
class Collection:
    """What the expected runs left behind.

    Attributes:
        expected: every run that the parameters ask for.
        schedules: of each of their variants.
        histories: a table of `MEASURES` for each usable run, a row an epoch.
        provenance: for each run that has a readable one.
        stability: for each usable run whose `stability.csv` is sound (see `read_shifts`).
        field: for each usable run whose `field.csv` is sound; empty where none is asked for.
        sharpness: for each usable run whose `sharpness.json` is sound.
        ceiling: two seeds compared (see `read_ceiling`); empty where there is nothing.
        ceiling_problem: why the ceiling cannot be used, and what to do; empty if it can, or is not
            asked for.
        barriers: loss between states of a seed; those of runs that are there.
        faults: what is missing or cannot be used.
    """

    expected: tuple[Run, ...]
    schedules: dict[Variant, Schedule]
    histories: dict[Run, pd.DataFrame]
    provenance: dict[Run, Provenance]
    stability: dict[Run, pd.DataFrame]
    field: dict[Run, pd.DataFrame]
    sharpness: dict[Run, SharpnessFile]
    ceiling: pd.DataFrame
    ceiling_problem: str
    barriers: Barriers
    faults: tuple[Fault, ...]

    @property
    def segments(self) -> list[TrainedSegment]:
        """What was trained for the runs, each segment once, in the order of finishing."""
        each = dict.fromkeys(s for told in self.provenance.values() for s in told.segments)
        return sorted(each, key=lambda segment: segment.finished)

    def of(self, variant: Variant) -> dict[int, pd.DataFrame]:
        """The usable histories of a variant, by seed."""
        return {run.seed: h for run, h in self.histories.items() if run.variant == variant}

    def disagreements(self) -> list[str]:
        """What differs between runs that should be alike (numerics, data), or lacks beside them."""
        found = [line for line in (self.ceiling_problem, self.barriers.problem) if line]
        for what in ("numerics version", "data"):
            groups: dict[str, list[str]] = {}
            for run, told in self.provenance.items():
                data = f"{visible(told.data.name)} ({told.data.content_sha256[:12]})"
                value = data if what == "data" else str(told.numerics_version)
                groups.setdefault(value, []).append(run.name)
            if len(groups) > 1:
                members = "; ".join(f"{few(names)}: {value}" for value, names in groups.items())
                found.append(f"Runs differ in their {what} ({members}). Run: dvc repro")
        return found


def collect(params: Params, results: Path = paths.METRICS) -> Collection:
    """Read every expected run.

    Args:
        params: the parameters.
        results: the folder with `runs/`, `ceiling.json` and `barriers.json`.

    Raises:
        NetstabError: no run at all can be used.
    """
    expected = tuple(runs(params))
    schedules = {variant: schedule(params, variant) for variant in variants(params)}
    histories: dict[Run, pd.DataFrame] = {}
    provenance: dict[Run, Provenance] = {}
    stability: dict[Run, pd.DataFrame] = {}
    field: dict[Run, pd.DataFrame] = {}
    sharpness: dict[Run, SharpnessFile] = {}
    faults: list[Fault] = []
    blocks = tuple(params.blocks)
    code = source_code.digest(params.model.name) if params.model.is_own else None
    for run in expected:
        folder, planned = results / paths.RUNS.name / run.name, schedules[run.variant]
        with _noted(run, faults):
            told = read_json(folder / PROVENANCE, Provenance)
            # One that could not be trained has no history.
            history = read_history(folder / HISTORY, planned) if told.failure is None else None
            if told.key != trained_like(told, params, run, planned, planned.epochs, code):
                raise UnusableFileError(
                    f"{folder / PROVENANCE} is stale: the run was trained with other settings than "
                    "params.yaml has now"
                )
            if history is None:
                raise FailedRunError(told.failure)
            histories[run], provenance[run] = history, told
            # Each alone: a damaged table of one measure leaves the other as good as it is.
            with _noted(run, faults):
                stability[run] = read_shifts(folder / STABILITY, blocks, planned.epochs)
            with _noted(run, faults):
                if params.measure.field.every_epochs is not None:
                    field[run] = read_shifts(folder / FIELD, blocks, planned.epochs)
            with _noted(run, faults):
                sharpness[run] = read_sharpness(folder / SHARPNESS, blocks, planned.epochs)
    if not histories:
        raise NetstabError(
            f"{results / paths.RUNS.name}: holds none of the {len(expected)} runs that "
            f"params.yaml asks for ({faults[0].problem}). Train them first: dvc repro"
        )
    ceiling, ceiling_problem = _ceiling(params, results / paths.CEILING.name)
    return Collection(
        expected,
        schedules,
        histories,
        provenance,
        stability,
        field,
        sharpness,
        ceiling,
        ceiling_problem,
        collect_barriers(results / paths.BARRIERS.name, params, schedules, provenance, code),
        tuple(faults),
    )


@contextmanager
def _noted(run: Run, faults: list[Fault]) -> Iterator[None]:
    """What cannot be used becomes a fault of the run."""
    try:
        yield
    except FailedRunError as problem:
        faults.append(Fault(run, visible(str(problem)), failed=True))
    except UnusableFileError as problem:
        faults.append(Fault(run, visible(str(problem))))


def _ceiling(params: Params, path: Path) -> tuple[pd.DataFrame, str]:
    try:
        return read_ceiling(path, params.ceiling_pair), ""
    except FailedRunError as problem:
        told = f"Two seeds cannot be compared (ceiling): {problem}"
    except UnusableFileError as problem:
        told = f"{problem}. Run: dvc repro ceiling"
    return read_ceiling(path, ()), visible(told)
