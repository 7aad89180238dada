"""Collections built in memory from arrays: studies whose truth is known."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from netstab.params import Params
from netstab.results.barriers import Barriers
from netstab.results.runs import Collection
from netstab.results.schema import (
    FIELD_MEASURES,
    MEASURES,
    STABILITY_MEASURES,
    Barrier,
    Curvature,
    SharpnessFile,
)
from netstab.study.experiments import Run, Variant, runs
from netstab.study.measuring import NETWORK, epochs_of
from tests.synthetic import collection
from tests.synthetic_measures import curvature, schedule

LEVELS = {
    "train_loss": 0.5,
    "train_top1_pct": 95.0,
    "val_loss": 0.6,
    "val_top1_pct": 85.0,
    "val_top5_pct": 99.0,
}
NOISE = {
    "train_loss": 0.002,
    "train_top1_pct": 0.03,
    "val_loss": 0.003,
    "val_top1_pct": 0.08,
    "val_top5_pct": 0.02,
}

Histories = dict[Run, np.ndarray]
"""[E, measures] of each run."""


@dataclass
class Study:
    """What is true of runs; without any change, all are alike up to small noise."""

    params: Params
    seed: int = 0
    shifts: list[tuple[str, str, float, int]] = field(default_factory=list)
    noises: list[tuple[str, str, float]] = field(default_factory=list)
    drifts: list[tuple[str, str, str, float, tuple[int, ...]]] = field(default_factory=list)
    eigenvalues: list[tuple[str, str, float | None]] = field(default_factory=list)
    lines: list[tuple[str, float, float]] = field(default_factory=list)

    def shift(self, who: str, measure: str, amount: float, start: int = 0) -> "Study":
        """Add to a measure of a variant, or of an experiment on all blocks, from an epoch on."""
        self.shifts.append((who, measure, amount, start))
        return self

    def noise(self, who: str, measure: str, factor: float) -> "Study":
        """Multiply the noise of a measure."""
        self.noises.append((who, measure, factor))
        return self

    def drift(self, who: str, column: str, factor: float, epochs: tuple[int, ...] = ()) -> "Study":
        """Multiply a column of the stability table, in all epochs or in some."""
        self.drifts.append(("stability", who, column, factor, epochs))
        return self

    def move(self, who: str, column: str, factor: float) -> "Study":
        """Multiply a column of the field's table."""
        self.drifts.append(("field", who, column, factor, ()))
        return self

    def line(self, who: str, barrier: float, more: float) -> "Study":
        """Add to the barrier to the averaged baseline, and to the loss at the run's own end."""
        self.lines.append((who, barrier, more))
        return self

    def eigenvalue(self, who: str, block: str, factor: float | None) -> "Study":
        """Multiply the eigenvalue of a block, `network`, or `own` block; None: not converged."""
        self.eigenvalues.append((who, block, factor))
        return self

    def collection(self) -> Collection:
        """The runs."""
        random = np.random.default_rng(self.seed)
        every = runs(self.params)
        return collection(
            self.params,
            tables({run: self._history(run, random) for run in every}),
            {run: self._measured("stability", run, random) for run in every},
            {run: self._sharpness(run, random) for run in every},
            field={run: self._measured("field", run, random) for run in every},
            barriers=Barriers({(run, "ema"): self._line(run, random) for run in every}),
        )

    def _history(self, run: Run, random: np.random.Generator) -> np.ndarray:
        epochs = self.params.train.run_epochs
        noise = random.standard_normal((epochs, len(MEASURES))) * list(NOISE.values())
        table = np.tile(list(LEVELS.values()), (epochs, 1))
        for who, measure, factor in self.noises:
            if named(run, who):
                noise[:, MEASURES.index(measure)] *= factor
        for who, measure, amount, start in self.shifts:
            if named(run, who):
                table[self.params.train.at_scale(start) :, MEASURES.index(measure)] += amount
        return table + noise

    def _measured(self, measure: str, run: Run, random: np.random.Generator) -> pd.DataFrame:
        table = measured(
            measure, self.params, run.variant, lambda n: 0.3 * np.exp(0.02 * random.normal(size=n))
        )
        for of, who, column, factor, epochs in self.drifts:
            if of == measure and named(run, who):
                table.loc[table["epoch"].isin(epochs) | (not epochs), column] *= factor
        return table

    def _line(self, run: Run, random: np.random.Generator) -> Barrier:
        barrier, more = 0.002 * random.normal(size=2)
        for who, added, worse in self.lines:
            if named(run, who):
                barrier, more = barrier + added, more + worse
        return line(run, barrier, more)

    def _sharpness(self, run: Run, random: np.random.Generator) -> SharpnessFile:
        found: dict[str, float | None] = {}
        for block in (*self.params.blocks, NETWORK):
            top: float | None = 10 * float(np.exp(0.02 * random.normal()))
            for who, where, factor in self.eigenvalues:
                wanted = run.variant.block if where == "own" else where
                if named(run, who) and block == wanted:
                    top = None if factor is None or top is None else top * factor
            found[block] = top
        return sharpness(self.params, found)


def named(run: Run, who: str) -> bool:
    """Whether a name means a run: `expA-64-0`, its variant `expA-64`, or its experiment `expA`."""
    return who in (run.name, run.variant.name, run.variant.experiment)


def line(run: Run, barrier: float, more: float) -> Barrier:
    """From a run's end to the averaged baseline's, whose loss is smaller by so much."""
    losses = (1 + more, 1 + more / 2 + max(0.0, barrier), 1)
    told = {"run": run.name, "against": "ema", "epoch": 200, "key": "0" * 64}
    return Barrier.model_validate({**told, "losses": losses})


MEASURED = {"stability": ("epoch", STABILITY_MEASURES), "field": ("step", FIELD_MEASURES)}
"""Over what distance each is measured here, and its columns."""


def measured(
    measure: str, params: Params, variant: Variant, draw: Callable[[int], np.ndarray]
) -> pd.DataFrame:
    """A table of `stability` or of the `field`, in the epochs in which it is measured."""
    distance, columns = MEASURED[measure]
    epochs = epochs_of(params, schedule(params, variant), measure)
    named = _named(tuple(epochs), distance, (*params.blocks, NETWORK))
    drawn = {name: draw(len(named["epoch"])) for name in columns}
    return pd.DataFrame({**named, **drawn}, copy=False)


@cache
def _named(epochs: tuple[int, ...], distance: str, blocks: tuple[str, ...]) -> dict[str, Any]:
    """What the rows are of, by column: made once, since turning texts into columns takes long."""
    rows = pd.DataFrame(
        {
            "epoch": np.repeat(epochs, len(blocks)),
            "distance": [distance] * len(epochs) * len(blocks),
            "block": list(blocks) * len(epochs),
        }
    )
    return {str(name): column.array for name, column in rows.items()}


def sharpness(params: Params, eigenvalues: dict[str, float | None]) -> SharpnessFile:
    """Eigenvalues by block at the end of a run."""
    end = params.train.run_epochs
    found = [
        Curvature.model_construct(**curvature(end, block, eigenvalue))
        for block, eigenvalue in eigenvalues.items()
    ]
    protocol = {"images": 256, "batch_norm": "eval", "dtype": "float32"}
    return SharpnessFile.model_construct(protocol=protocol, measurements=tuple(found))


def tables(histories: Histories) -> dict[Run, pd.DataFrame]:
    """Histories as `collect` has them."""
    columns = pd.Index(MEASURES)
    return {run: pd.DataFrame(history, columns=columns) for run, history in histories.items()}
