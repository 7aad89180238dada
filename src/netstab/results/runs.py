"""The runs' small files, read and checked. What cannot be used is named, with what to do."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import ValidationError

from netstab import paths
from netstab.errors import NetstabError, visible
from netstab.params import PARTS, Params
from netstab.results.measured import (
    UnusableFileError,
    few,
    one_line,
    read_ceiling,
    read_sharpness,
    read_stability,
    read_table,
)
from netstab.results.schema import (
    HISTORY,
    HISTORY_COLUMNS,
    MEASURES,
    PROVENANCE,
    SHARPNESS,
    STABILITY,
    Provenance,
    SharpnessFile,
)
from netstab.study.experiments import REFERENCES, Run, Variant, runs, schedule, variants
from netstab.study.keys import identity, state_key, view_identity
from netstab.study.schedule import Frozen, Schedule


@dataclass(frozen=True, slots=True)
class Fault:
    """A file of a run that is missing or cannot be used."""

    run: Run
    problem: str

    @property
    def remedy(self) -> str:
        """The command that makes the file anew."""
        return f"dvc repro {stage_name(self.run)}"

    def __str__(self) -> str:
        return f"{self.run.name}: {self.problem}; run: {self.remedy}"


@dataclass(frozen=True, slots=True)
class Collection:
    """What the expected runs left behind.

    Attributes:
        expected: every run that the parameters ask for.
        schedules: of each of their variants.
        histories: a table of `MEASURES` for each usable run, a row an epoch.
        provenance: for each run that has a readable one.
        stability: for each usable run whose `stability.csv` is sound (see `read_stability`).
        sharpness: for each usable run whose `sharpness.json` is sound.
        ceiling: two seeds compared (see `read_ceiling`); empty where there is nothing.
        ceiling_problem: why the ceiling cannot be used; empty if it can, or is not asked for.
        faults: what is missing or cannot be used.
    """

    expected: tuple[Run, ...]
    schedules: dict[Variant, Schedule]
    histories: dict[Run, pd.DataFrame]
    provenance: dict[Run, Provenance]
    stability: dict[Run, pd.DataFrame]
    sharpness: dict[Run, SharpnessFile]
    ceiling: pd.DataFrame
    ceiling_problem: str
    faults: tuple[Fault, ...]

    def of(self, variant: Variant) -> dict[int, pd.DataFrame]:
        """The usable histories of a variant, by seed."""
        return {run.seed: h for run, h in self.histories.items() if run.variant == variant}

    def disagreements(self) -> list[str]:
        """What differs between runs that should be alike (numerics, data), or lacks beside them."""
        found = [f"{self.ceiling_problem}. Run: dvc repro ceiling"] if self.ceiling_problem else []
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


def stage_name(run: Run) -> str:
    """Name of the DVC stage that makes a run, e.g. `train@expB-64-0`."""
    if run.variant.experiment in REFERENCES:
        return f"reference@{run.name}"
    if run.variant.experiment == "own":
        return f"own@{run.variant.block}-{run.seed}"
    if run.variant.experiment == "expE":
        return f"rival@{run.variant.block}-{run.seed}"
    return f"train@{run.name}"


def collect(params: Params) -> Collection:
    """Read every expected run; paths are relative to the project's root.

    Raises:
        NetstabError: no run at all can be used.
    """
    expected = tuple(runs(params))
    schedules = {variant: schedule(params, variant) for variant in variants(params)}
    histories: dict[Run, pd.DataFrame] = {}
    provenance: dict[Run, Provenance] = {}
    stability: dict[Run, pd.DataFrame] = {}
    sharpness: dict[Run, SharpnessFile] = {}
    faults: list[Fault] = []
    blocks = tuple(params.blocks)
    for run in expected:
        folder = paths.run_dir(run.name)
        try:
            expected_schedule = schedules[run.variant]
            history = _read_history(folder / HISTORY, expected_schedule)
            told = _read_provenance(folder / PROVENANCE)
            _check_key(folder / PROVENANCE, told, params, run, expected_schedule)
            histories[run], provenance[run] = history, told
        except UnusableFileError as problem:
            faults.append(Fault(run, visible(str(problem))))
            continue
        epochs = expected_schedule.epochs
        # Each alone: a damaged table of one measure leaves the other as good as it is.
        try:
            stability[run] = read_stability(folder / STABILITY, blocks, epochs)
        except UnusableFileError as problem:
            faults.append(Fault(run, visible(str(problem))))
        try:
            sharpness[run] = read_sharpness(folder / SHARPNESS, blocks, epochs)
        except UnusableFileError as problem:
            faults.append(Fault(run, visible(str(problem))))
    if not histories:
        raise NetstabError(
            f"{paths.RUNS}: holds none of the {len(expected)} runs that params.yaml asks for "
            f"({faults[0].problem}). Train them first: dvc repro"
        )
    ceiling, ceiling_problem = _ceiling(params)
    return Collection(
        expected,
        schedules,
        histories,
        provenance,
        stability,
        sharpness,
        ceiling,
        ceiling_problem,
        tuple(faults),
    )


def _ceiling(params: Params) -> tuple[pd.DataFrame, str]:
    try:
        return read_ceiling(paths.CEILING, params.ceiling_pair), ""
    except UnusableFileError as problem:
        return read_ceiling(paths.CEILING, ()), visible(str(problem))


def _read_history(path: Path, expected: Schedule) -> pd.DataFrame:
    """`history.csv` as a table of `MEASURES`, a row an epoch, held against the schedule.

    Raises:
        UnusableFileError: missing, damaged, or of a run with another schedule.
    """
    table = read_table(path, HISTORY_COLUMNS)
    for column in HISTORY_COLUMNS:
        if table[column].dtype.kind not in "iuf" or not np.isfinite(table[column]).all():
            raise UnusableFileError(f"{path} is damaged: {column} holds what is no finite number")
    if table["epoch"].tolist() != list(range(expected.epochs)):
        raise UnusableFileError(
            f"{path} is damaged or stale: epochs are not 0 to {expected.epochs - 1}"
        )
    for part in PARTS:
        wanted = [p.setting(part) for p in expected.phases for _ in range(p.start, p.end)]
        rates = [0.0 if isinstance(setting, Frozen) else setting for setting in wanted]
        frozen = [isinstance(setting, Frozen) for setting in wanted]
        other = ~np.isclose(table[f"lr_{part}"], rates, rtol=1e-6, atol=1e-12)
        other |= table[f"frozen_{part}"].to_numpy() != frozen
        if other.any():
            raise UnusableFileError(
                f"{path} is stale: from epoch {int(other.argmax())} on, {part} was not trained as "
                "params.yaml says"
            )
    return table[list(MEASURES)].astype(float)


def _read_provenance(path: Path) -> Provenance:
    try:
        return Provenance.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UnusableFileError(f"{path} is missing") from None
    except (OSError, ValidationError) as error:
        raise UnusableFileError(f"{path} is damaged: {one_line(error)}") from error


def _check_key(path: Path, told: Provenance, params: Params, run: Run, expected: Schedule) -> None:
    """Hold the key that a run was stored under against the parameters of today.

    Raises:
        UnusableFileError: the run was trained with other settings.
    """
    data, numerics = told.data.content_sha256, told.numerics_version
    who = identity(params, run.seed, data=data, numerics=numerics)
    who |= view_identity(params, run.variant, expected.epochs)
    if told.key != state_key(who, expected, expected.epochs):
        raise UnusableFileError(
            f"{path} is stale: the run was trained with other settings than params.yaml has now"
        )
