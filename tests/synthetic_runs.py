"""Synthetic runs' files: plausible curves that follow the schedules and share their pasts."""

import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ruamel.yaml import YAML

from netstab import paths
from netstab.params import PARTS, Ema, Params, check
from netstab.study.experiments import Run, Variant, runs, schedule, variants, view
from netstab.study.keys import identity, state_key, view_identity
from netstab.study.schedule import Frozen, Phase, Schedule
from tests import synthetic_measures

ROOT = Path(__file__).parents[1]
CIFAR10 = {"name": "CIFAR-10", "official": True, "content_sha256": "c1" * 32}
DIGITS = {"name": "scikit-learn digits", "official": False, "content_sha256": "d1" * 32}


def parameters(**sections: Any) -> Params:
    """The shipped parameters; dictionaries are merged into their sections."""
    content = YAML(typ="safe", pure=True).load((ROOT / paths.PARAMS).read_text(encoding="utf-8"))
    for name, value in sections.items():
        merged = isinstance(value, dict) and name not in ("own", "expE")
        content[name] = {**content[name], **value} if merged else value
    return check(content)


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
    for part in PARTS:
        settings = [p.setting(part) for p in plan.phases for _ in range(p.start, p.end)]
        table[f"lr_{part}"] = [0.0 if isinstance(s, Frozen) else s for s in settings]
        table[f"frozen_{part}"] = [int(isinstance(s, Frozen)) for s in settings]
    rate_columns = [f"lr_{part}" for part in PARTS]
    flag_columns = [f"frozen_{part}" for part in PARTS]
    measures = [c for c in table if c not in {*rate_columns, *flag_columns}]
    return pd.DataFrame(table)[[*measures, *rate_columns, *flag_columns]]


def _heat(phase: Phase) -> float:
    moving = [setting / 0.1 for setting in phase.settings if not isinstance(setting, Frozen)]
    share = len(moving) / len(PARTS)
    return sum(moving) / len(moving) * (0.25 + 0.75 * share) if moving else 0.0


def _noise(seed: int, plan: Schedule, start: int, end: int) -> np.ndarray:
    past = json.dumps(plan.before(start + 1)).encode()
    return np.random.default_rng([seed, zlib.crc32(past)]).standard_normal((end - start, 5))


def provenance(
    run: Run, pasts: Iterable[tuple[Run, int]], epochs: int, **other: Any
) -> dict[str, Any]:
    """Provenance of a run: for which run each stretch (until its epoch) was trained."""
    segments, start = [], 0
    for owner, end in pasts:
        segments.append(
            {
                "from": start,
                "to": end,
                "seconds": 14.2 * (end - start),
                "flop": 1e12 * (end - start),
                "device": "NVIDIA H200",
                "device_type": "cuda",
                "torch": "2.15.0",
                "threads": 2,
                "trained_for": owner.name,
                "finished_at": "2026-11-22T19:00:00Z",
                "host": "a machine",
            }
        )
        start = end
    return {
        "run": run.name,
        "variant": run.variant.name,
        "seed": run.seed,
        "key": "",
        "numerics_version": 1,
        "epochs": epochs,
        "data": CIFAR10,
        "segments": segments,
        "measurements": [],
        **other,
    }


def pasts(schedules: dict[Variant, Schedule], run: Run) -> list[tuple[Run, int]]:
    """The run that each epoch was trained for: the first of its seed that has it too."""
    stretches: list[tuple[Run, int]] = []
    done = 0
    for variant, other in schedules.items():
        shared = schedules[run.variant].shared_epochs(other)
        if shared > done:
            stretches.append((Run(variant, run.seed), shared))
            done = shared
    return stretches


def write(root: Path, params: Params, data: dict[str, Any] = CIFAR10) -> None:
    """Write every run's files below `root`."""
    schedules = {variant: schedule(params, variant) for variant in variants(params)}
    for run in runs(params):
        folder = root / paths.run_dir(run.name)
        folder.mkdir(parents=True, exist_ok=True)
        plan = schedules[run.variant]
        table = history(run, plan)
        if seen := view(params, run.variant):
            window = 5 if isinstance(seen, Ema) else 3
            _smooth(table, params.train.at_scale(seen.start_epoch), window)
        table.to_csv(folder / "history.csv", index=False)
        synthetic_measures.write(folder, params, run)
        told = provenance(run, pasts(schedules, run), plan.epochs, data=data)
        told["key"] = key(params, run, told)
        (folder / "provenance.json").write_text(json.dumps(told), encoding="utf-8")
    between = json.dumps(synthetic_measures.ceiling(params))
    (root / paths.CEILING).write_text(between, encoding="utf-8")


def _smooth(table: pd.DataFrame, start: int, window: int) -> None:
    """What a view of a run does to its validation: calmer from an epoch on."""
    seen = [column for column in table if column.startswith("val_")]
    table.loc[start:, seen] = table.loc[start:, seen].rolling(window, min_periods=1).mean()


def key(params: Params, run: Run, told: dict[str, Any]) -> str:
    """The key that a run with this provenance is stored under."""
    content = told["data"]["content_sha256"]
    who = identity(params, run.seed, data=content, numerics=told["numerics_version"])
    plan = schedule(params, run.variant)
    who |= view_identity(params, run.variant, plan.epochs)
    return state_key(who, plan, plan.epochs)


def change(root: Path, run: str, **columns: Any) -> None:
    """Overwrite columns of a run's history."""
    path = root / paths.run_dir(run) / "history.csv"
    table = pd.read_csv(path)
    for column, values in columns.items():
        table[column] = values
    table.to_csv(path, index=False)


def retell(root: Path, run: str, **fields: Any) -> None:
    """Overwrite fields of a run's provenance."""
    path = root / paths.run_dir(run) / "provenance.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}), encoding="utf-8")


def unmeasure(root: Path, run: str) -> None:
    """Leave a run's files of measurements as they are where nothing was measured."""
    folder = root / paths.run_dir(run)
    table = folder / "stability.csv"
    table.write_text(table.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    sharpness = folder / "sharpness.json"
    told = json.loads(sharpness.read_text(encoding="utf-8"))
    sharpness.write_text(json.dumps({**told, "measurements": []}), encoding="utf-8")
