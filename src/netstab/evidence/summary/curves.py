"""Curves over epochs: of each variant over its seeds, and by the experiment that draws them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from netstab.evidence.summary.windows import Floats
from netstab.params import Params
from netstab.results.runs import Collection
from netstab.results.schema import MEASURES
from netstab.study.experiments import COMPARED_WITH, PANEL, REFERENCES, Variant, variants


@dataclass(frozen=True, slots=True)
class Band:
    """A measure of a variant over epochs: mean, smallest and largest over seeds, each [E]."""

    mean: Floats
    low: Floats
    high: Floats


Bands = Mapping[Variant, Mapping[str, Band]]
"""A band of each measure, for every variant with a usable run."""


def bands(collection: Collection) -> Bands:
    """The bands of every variant with a usable run."""
    result = {}
    for variant in collection.schedules:
        histories = [history.to_numpy() for history in collection.of(variant).values()]
        if histories:
            stack = np.stack(histories)  # [seeds, E, measures]
            mean, low, high = stack.mean(0).T, stack.min(0).T, stack.max(0).T
            result[variant] = {m: Band(mean[i], low[i], high[i]) for i, m in enumerate(MEASURES)}
    return result


@dataclass(frozen=True, slots=True)
class Line:
    """A curve in a panel: a variant under the label that the panel gives it."""

    label: str
    variant: Variant


@dataclass(frozen=True, slots=True)
class Panel:
    """An experiment with the references that the article draws it with, references first."""

    experiment: str
    lines: tuple[Line, ...]


def panels(params: Params) -> list[Panel]:
    """Every experiment that the parameters ask for, as the article draws it."""
    members: dict[str, list[Line]] = {}
    for variant in variants(params):
        if variant.block is not None:
            drawn = PANEL.get(variant.experiment, variant.experiment)
            plain = drawn == variant.experiment and variant.block not in REFERENCES
            label = variant.block if plain else variant.name
            members.setdefault(drawn, []).append(Line(label, variant))
    return [
        Panel(name, (*(Line(r, Variant(r)) for r in COMPARED_WITH[name]), *lines))
        for name, lines in members.items()
    ]


def curves(params: Params, bands: Bands) -> pd.DataFrame:
    """`metrics/curves.csv` for `dvc plots`: a row a panel, curve and epoch; means over seeds.

    Columns: experiment, curve (a reference, a block, or the name of an own intervention), epoch,
    and each of `MEASURES`. A reference comes once for each panel that draws it.
    """
    tables = [
        pd.DataFrame(
            {
                "experiment": panel.experiment,
                "curve": line.label,
                "epoch": np.arange(params.train.run_epochs),
                **{measure: bands[line.variant][measure].mean for measure in MEASURES},
            }
        )
        for panel in panels(params)
        for line in panel.lines
        if line.variant in bands
    ]
    columns = ["experiment", "curve", "epoch", *MEASURES]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)
