"""The runs' small files, read and checked. What cannot be used is named, with what to do."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from netstab import paths
from netstab.errors import NetstabError
from netstab.params import PARTS, Params
from netstab.study.experiments import REFERENCES, Run, Variant, runs, schedule, variants
from netstab.study.plan import identity, state_key
from netstab.study.schedule import Frozen, Schedule

MEASURES = ("train_loss", "train_top1_pct", "val_loss", "val_top1_pct", "val_top5_pct")
"""What a history records of every epoch; losses in nats, accuracies in percent."""


class Origin(BaseModel):
    """Which images a run was trained on."""

    model_config = ConfigDict(frozen=True)

    name: str
    official: bool
    content_sha256: str


class Stretch(BaseModel):
    """Epochs [start, end) of a run's past: for which run they were trained, where, how long."""

    model_config = ConfigDict(frozen=True)

    start: int = Field(alias="from")
    end: int = Field(alias="to")
    seconds: float
    device: str
    device_type: str
    torch: str
    threads: int | None = None
    trained_for: str
    finished_at: datetime


class Provenance(BaseModel):
    """`provenance.json`: what trained a run, where, and how long it took."""

    model_config = ConfigDict(frozen=True)

    key: str
    numerics_version: int
    epochs: int
    data: Origin
    segments: tuple[Stretch, ...]


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
        faults: what is missing or cannot be used.
    """

    expected: tuple[Run, ...]
    schedules: dict[Variant, Schedule]
    histories: dict[Run, pd.DataFrame]
    provenance: dict[Run, Provenance]
    faults: tuple[Fault, ...]

    def of(self, variant: Variant) -> dict[int, pd.DataFrame]:
        """The usable histories of a variant, by seed."""
        return {run.seed: h for run, h in self.histories.items() if run.variant == variant}

    def disagreements(self) -> list[str]:
        """What differs between runs that should be alike: numerics, data."""
        found = []
        for what in ("numerics version", "data"):
            groups: dict[str, list[str]] = {}
            for run, told in self.provenance.items():
                data = f"{told.data.name} ({told.data.content_sha256[:12]})"
                value = data if what == "data" else str(told.numerics_version)
                groups.setdefault(value, []).append(run.name)
            if len(groups) > 1:
                members = "; ".join(f"{_few(names)}: {value}" for value, names in groups.items())
                found.append(f"Runs differ in their {what} ({members}). Run: dvc repro")
        return found


def stage_name(run: Run) -> str:
    """Name of the DVC stage that makes a run, e.g. `train@expB-64-0`."""
    if run.variant.experiment in REFERENCES:
        return f"reference@{run.name}"
    if run.variant.experiment == "own":
        return f"own@{run.variant.block}-{run.seed}"
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
    faults: list[Fault] = []
    for run in expected:
        folder = paths.run_dir(run.name)
        try:
            expected_schedule = schedules[run.variant]
            history = _read_history(folder / "history.csv", expected_schedule)
            told = _read_provenance(folder / "provenance.json")
            _check_key(folder / "provenance.json", told, params, run.seed, expected_schedule)
            histories[run], provenance[run] = history, told
        except _UnusableFileError as problem:
            faults.append(Fault(run, str(problem)))
    if not histories:
        raise NetstabError(
            f"{paths.RUNS}: holds none of the {len(expected)} runs that params.yaml asks for "
            f"({faults[0].problem}). Train them first: dvc repro"
        )
    return Collection(expected, schedules, histories, provenance, tuple(faults))


class _UnusableFileError(Exception):
    """A file that is missing or damaged; the message says which and why."""


def _read_history(path: Path, expected: Schedule) -> pd.DataFrame:
    """`history.csv` as a table of `MEASURES`, a row an epoch, held against the schedule.

    Raises:
        _UnusableFileError: missing, damaged, or of a run with another schedule.
    """
    settings = [f"{what}_{part}" for what in ("lr", "frozen") for part in PARTS]
    columns = ["epoch", *MEASURES, *settings]
    try:
        table = pd.read_csv(path)
    except FileNotFoundError:
        raise _UnusableFileError(f"{path} is missing") from None
    except (OSError, ValueError) as error:
        raise _UnusableFileError(f"{path} is damaged: {_one_line(error)}") from error
    absent = [column for column in columns if column not in table]
    if absent:
        raise _UnusableFileError(f"{path} is damaged: no column {_few(absent)}")
    for column in columns:
        if table[column].dtype.kind not in "iuf" or not np.isfinite(table[column]).all():
            raise _UnusableFileError(f"{path} is damaged: {column} holds what is no finite number")
    if table["epoch"].tolist() != list(range(expected.epochs)):
        raise _UnusableFileError(
            f"{path} is damaged or stale: epochs are not 0 to {expected.epochs - 1}"
        )
    for part in PARTS:
        wanted = [p.setting(part) for p in expected.phases for _ in range(p.start, p.end)]
        rates = [0.0 if isinstance(setting, Frozen) else setting for setting in wanted]
        frozen = [isinstance(setting, Frozen) for setting in wanted]
        other = ~np.isclose(table[f"lr_{part}"], rates, rtol=1e-6, atol=1e-12)
        other |= table[f"frozen_{part}"].to_numpy() != frozen
        if other.any():
            raise _UnusableFileError(
                f"{path} is stale: from epoch {int(other.argmax())} on, {part} was not trained as "
                "params.yaml says"
            )
    return table[list(MEASURES)].astype(float)


def _read_provenance(path: Path) -> Provenance:
    try:
        return Provenance.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise _UnusableFileError(f"{path} is missing") from None
    except (OSError, ValidationError) as error:
        raise _UnusableFileError(f"{path} is damaged: {_one_line(error)}") from error


def _check_key(path: Path, told: Provenance, params: Params, seed: int, expected: Schedule) -> None:
    """Hold the key that a run was stored under against the parameters of today.

    Raises:
        _UnusableFileError: the run was trained with other settings.
    """
    data, numerics = told.data.content_sha256, told.numerics_version
    who = identity(params, seed, data=data, numerics=numerics)
    if told.key != state_key(who, expected, expected.epochs):
        raise _UnusableFileError(
            f"{path} is stale: the run was trained with other settings than params.yaml has now"
        )


def _few(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{names[0]} and {len(names) - 1} more"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
