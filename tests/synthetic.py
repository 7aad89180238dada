"""A synthetic study: plausible runs that follow the schedules and share their pasts."""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from pydantic import BaseModel

from netstab import paths
from netstab.evidence.results import Results
from netstab.params import Ema, Params, check
from netstab.results.barriers import Barriers
from netstab.results.runs import Collection, Fault
from netstab.results.schema import (
    CEILING_COLUMNS,
    CEILING_MEASURES,
    FIELD_MEASURES,
    MEASURES,
    STABILITY_MEASURES,
    Barrier,
    BarriersFile,
    Provenance,
    SharpnessFile,
    Unmeasured,
    history_columns,
)
from netstab.study.barriers import Pair, pairs
from netstab.study.experiments import Run, runs, variants, view
from netstab.study.keys import identity, state_key, view_identity
from netstab.study.measuring import barrier_inputs, measurement_key
from netstab.study.schedule import Frozen, Phase, Schedule
from tests import checkout, synthetic_measures
from tests.synthetic_measures import schedule

Model = TypeVar("Model", bound=BaseModel)

CIFAR10 = {"name": "CIFAR-10", "official": True, "content_sha256": "c1" * 32}
DIGITS = {"name": "scikit-learn digits", "official": False, "content_sha256": "d1" * 32}


def parameters(**sections: Any) -> Params:
    """The shipped parameters; dictionaries are merged into their sections."""
    return check(checkout.content(**sections))


def small(**sections: Any) -> Params:
    """Two seeds, one experiment, no rivals; the blocks as shipped."""
    few = {"seeds": [0, 1], "experiments": ["expB"], "expE": {}, "own": {}}
    return parameters(**{**few, **sections})


def history(run: Run, plan: Schedule) -> pd.DataFrame:
    """A history whose epochs depend on the seed and the schedule so far, and on nothing else."""
    epochs = plan.epochs
    draws = np.concatenate([_noise(run.seed, plan, p.start, p.end) for p in plan.phases]).T
    heat = np.concatenate([np.full(p.end - p.start, _heat(p)) for p in plan.phases])
    pace = 200 / epochs
    progress = 1 - np.exp(-np.arange(1, epochs + 1) * pace / 12)
    calm, step = np.zeros(epochs), 0.0
    for epoch in range(epochs):
        step += (1 - heat[epoch] - step) * min(1.0, 0.35 * pace)
        calm[epoch] = step
    swing = 0.3 + 4 * heat
    val = 20 + 66 * progress + 8.5 * calm + swing * draws[0]
    train = 18 + 72 * progress + 9.8 * calm * progress + 0.15 * draws[1]
    table: dict[str, Any] = {
        "epoch": range(epochs),
        "train_loss": np.exp(0.8 - 1.9 * progress - 3.0 * calm * progress + 0.03 * draws[2]),
        "train_top1_pct": np.clip(train, 5, 99.99),
        "val_loss": np.exp(0.9 - 1.5 * progress - 0.5 * calm + 0.05 * swing * draws[3]),
        "val_top1_pct": np.clip(val, 5, 99.5),
        "val_top5_pct": np.clip(60 + 39 * progress + 0.2 * calm + 0.1 * swing * draws[4], 20, 99.9),
    }
    for part in plan.phases[0].parts:
        settings = [p.setting(part) for p in plan.phases for _ in range(p.start, p.end)]
        table[f"lr_{part}"] = [0.0 if isinstance(s, Frozen) else s for s in settings]
        table[f"frozen_{part}"] = [int(isinstance(s, Frozen)) for s in settings]
    return pd.DataFrame(table)[list(history_columns(plan.phases[0].parts))]


def _heat(phase: Phase) -> float:
    moving = [setting / 0.1 for setting in phase.settings if not isinstance(setting, Frozen)]
    share = len(moving) / len(phase.settings)
    return sum(moving) / len(moving) * (0.25 + 0.75 * share) if moving else 0.0


def _noise(seed: int, plan: Schedule, start: int, end: int) -> np.ndarray:
    past = json.dumps(plan.before(start + 1)).encode()
    return np.random.default_rng([seed, zlib.crc32(past)]).standard_normal((end - start, 5))


def collection(
    params: Params,
    histories: Mapping[Run, pd.DataFrame],
    stability: Mapping[Run, pd.DataFrame],
    sharpness: Mapping[Run, SharpnessFile],
    provenance: Mapping[Run, Provenance] | None = None,
    field: Mapping[Run, pd.DataFrame] | None = None,
    barriers: Barriers | None = None,
) -> Collection:
    """What `collect` would read; of a run without a history, that it is missing."""
    expected = tuple(runs(params))
    rows = synthetic_measures.ceiling(params)["comparisons"]
    ceiling = pd.DataFrame(rows, columns=list(CEILING_COLUMNS))
    return Collection(
        expected=expected,
        schedules={variant: schedule(params, variant) for variant in variants(params)},
        histories=dict(histories),
        provenance=dict(provenance or {}),
        stability=dict(stability),
        field=dict(field or {}),
        sharpness=dict(sharpness),
        ceiling=ceiling.astype(dict.fromkeys(CEILING_MEASURES, "float64")),
        ceiling_problem="",
        barriers=barriers or Barriers(),
        faults=tuple(
            Fault(run, f"{paths.run_dir(run.name) / 'provenance.json'} is missing")
            for run in expected
            if run not in histories
        ),
    )


def parsed(model: type[Model], content: dict[str, Any]) -> Model:
    """The content of a JSON file as it is read."""
    return model.model_validate_json(json.dumps(content))


class Study:
    """The runs of a study in memory: tests change them, and read them or write their files.

    Attributes:
        params: of the study.
        schedules: of its variants.
        runs: that it asks for, by name.
        histories: table of each run by its name.
        stability: likewise.
        field: likewise.
        sharpness: content of each run's file by the run's name.
        lines: losses from the end of a run to another state, by the run's name and that.
        provenance: likewise.
    """

    def __init__(self, params: Params, data: dict[str, Any] = CIFAR10) -> None:
        self.params = params
        self.schedules = {variant: schedule(params, variant) for variant in variants(params)}
        self.runs = {run.name: run for run in runs(params)}
        self.histories = {name: self._history(run) for name, run in self.runs.items()}
        self.stability = {n: synthetic_measures.stability(params, r) for n, r in self.runs.items()}
        self.field = {n: synthetic_measures.field(params, r) for n, r in self.runs.items()}
        self.sharpness = {n: synthetic_measures.sharpness(params, r) for n, r in self.runs.items()}
        self.pairs = {(p.run.name, p.against): p for p in pairs(params, self.schedules)}
        self.lines: dict[tuple[str, str], list[float]] = {
            at: synthetic_measures.losses(params, pair) for at, pair in self.pairs.items()
        }
        self.provenance: dict[str, dict[str, Any]] = {}
        for name in self.runs:
            self.provenance[name] = self._provenance(self.runs[name])
            self.retell(name, data=data)

    def change(self, run: str, **columns: Any) -> None:
        """Overwrite columns of a run's history."""
        self.histories[run] = self.histories[run].assign(**columns)

    def remeasure(self, run: str, **columns: Any) -> None:
        """Overwrite columns of a run's stability."""
        self.stability[run] = self.stability[run].assign(**columns)

    def move(self, run: str, **columns: Any) -> None:
        """Overwrite columns of a run's field."""
        self.field[run] = self.field[run].assign(**columns)

    def curve(self, run: str, eigenvalue: float | None, *, bound: float = 7.0) -> None:
        """Give every eigenvalue of a run this value, or none but a lower bound."""
        for found in self.sharpness[run]["measurements"]:
            found |= {"eigenvalue": eigenvalue, "lower_bound": eigenvalue or bound}

    def retell(self, run: str, **fields: Any) -> None:
        """Overwrite fields of a run's provenance; its key follows, unless it is one of them."""
        told = self.provenance[run]
        told |= fields
        if "key" not in fields:
            told["key"] = key(self.params, self.runs[run], told)

    def unmeasure(self, run: str) -> None:
        """Leave a run as it is where nothing was measured."""
        self.stability[run] = self.stability[run].iloc[:0]
        self.field[run] = self.field[run].iloc[:0]
        self.sharpness[run]["measurements"] = []
        self.lines = {at: found for at, found in self.lines.items() if at[0] != run}

    def lose(self, run: str) -> None:
        """Leave nothing of a run."""
        every = (self.histories, self.stability, self.field, self.sharpness, self.provenance)
        for kept in every:
            del kept[run]

    def barriers(self) -> BarriersFile:
        """The file of barriers, as the report writes it."""
        there = {at: pair for at, pair in self.pairs.items() if at[0] in self.provenance}
        found = tuple(
            Barrier(
                run=at[0],
                against=pair.against,
                epoch=pair.epoch,
                key=self._key(pair),
                losses=tuple(self.lines[at]),
            )
            for at, pair in there.items()
            if at in self.lines
        )
        lacking = (at for at in there if at not in self.lines)
        why = "the run's end is not in the store"
        missing = tuple(Unmeasured(run=run, against=other, why=why) for run, other in lacking)
        return BarriersFile(measures=1, barriers=found, missing=missing)

    def _key(self, pair: Pair) -> str:
        told = self.provenance[pair.run.name]
        first, plan = told["key"], self.schedules[pair.other.variant]
        data, numerics = told["data"]["content_sha256"], told["numerics_version"]
        who = identity(self.params, pair.run.seed, data=data, numerics=numerics)
        who |= view_identity(self.params, pair.other.variant, pair.epoch)
        keys = first, state_key(who, plan, pair.epoch)
        return measurement_key({"barrier": 1}, barrier_inputs(self.params, keys))

    def collection(self) -> Collection:
        """What `collect` would read."""
        there = {name: run for name, run in self.runs.items() if name in self.histories}
        measures, numbers = list(MEASURES), dict.fromkeys(STABILITY_MEASURES, "float64")
        shifts = dict.fromkeys(FIELD_MEASURES, "float64")
        asked = self.params.measure.field.every_epochs is not None
        return collection(
            self.params,
            {run: self.histories[name][measures].astype(float) for name, run in there.items()},
            {run: self.stability[name].astype(numbers) for name, run in there.items()},
            {run: parsed(SharpnessFile, self.sharpness[name]) for name, run in there.items()},
            {run: parsed(Provenance, self.provenance[name]) for name, run in there.items()},
            {run: self.field[name].astype(shifts) for name, run in there.items()} if asked else {},
            self._barriers(),
        )

    def _barriers(self) -> Barriers:
        rows = {(row.run, row.against): row for row in self.barriers().barriers}
        told = {
            (pair.run, pair.against): rows[at]
            for at, pair in self.pairs.items()
            if at in rows and pair.other.name in self.histories and at[0] in self.histories
        }
        missing = tuple(f"{m.run} to {m.against}: {m.why}" for m in self.barriers().missing)
        return Barriers(told, missing)

    def results(self) -> Results:
        """What they come to."""
        return Results.of(self.params, self.collection())

    def write(self, root: Path) -> None:
        """Write every run's files below `root`."""
        for name in self.histories:
            folder = root / paths.run_dir(name)
            folder.mkdir(parents=True, exist_ok=True)
            self.histories[name].to_csv(folder / "history.csv", index=False)
            self.stability[name].to_csv(folder / "stability.csv", index=False)
            self.field[name].to_csv(folder / "field.csv", index=False)
            for file, content in (
                ("sharpness.json", self.sharpness[name]),
                ("provenance.json", self.provenance[name]),
            ):
                (folder / file).write_text(json.dumps(content))
        (root / paths.CEILING).write_text(json.dumps(synthetic_measures.ceiling(self.params)))
        (root / paths.BARRIERS).write_text(self.barriers().model_dump_json())

    def _history(self, run: Run) -> pd.DataFrame:
        table = history(run, self.schedules[run.variant])
        if seen := view(self.params, run.variant):
            # Calmer from an epoch on, in validation alone.
            start = self.params.train.at_scale(seen.start_epoch)
            window = 5 if isinstance(seen, Ema) else 3
            columns = [column for column in table if column.startswith("val_")]
            calmer = table.loc[start:, columns].rolling(window, min_periods=1).mean()
            table.loc[start:, columns] = calmer
        return table

    def _provenance(self, run: Run) -> dict[str, Any]:
        """For which run each stretch of epochs was trained: the first of its seed that has it."""
        plan = self.schedules[run.variant]
        segments: list[dict[str, Any]] = []
        done = 0
        for variant, other in self.schedules.items():
            shared = plan.shared_epochs(other)
            if shared > done:
                segments.append(segment(done, shared, Run(variant, run.seed).name))
                done = shared
        return {
            "run": run.name,
            "variant": run.variant.name,
            "seed": run.seed,
            "numerics_version": 1,
            "epochs": plan.epochs,
            "segments": segments,
            "measurements": [],
        }


def segment(start: int, end: int, owner: str) -> dict[str, Any]:
    """Epochs [start, end) of a run's past, trained for a run."""
    return {
        "from": start,
        "to": end,
        "seconds": 14.2 * (end - start),
        "flop": 1e12 * (end - start),
        "device": "NVIDIA H200",
        "device_type": "cuda",
        "torch": "2.15.0",
        "threads": 2,
        "trained_for": owner,
        "finished_at": "2026-11-22T19:00:00Z",
        "host": "a machine",
    }


def key(params: Params, run: Run, told: dict[str, Any]) -> str:
    """The key that a run with this provenance is stored under."""
    content = told["data"]["content_sha256"]
    who = identity(params, run.seed, data=content, numerics=told["numerics_version"])
    plan = schedule(params, run.variant)
    who |= view_identity(params, run.variant, plan.epochs)
    return state_key(who, plan, plan.epochs)
