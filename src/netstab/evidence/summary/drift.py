"""Drift: how far a run's signals shift over an epoch, as one number a run and direction.

The relative change of a signal is multiplicative (ten times calmer is as far as ten times wilder),
so it is averaged as a logarithm: over the measured epochs of a window, and over blocks.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from netstab.evidence.summary.windows import Floats
from netstab.params import Params
from netstab.study.measuring import NETWORK, parts_of

Direction = Literal["forward", "backward"]


@dataclass(frozen=True, slots=True)
class Shifts:
    """Relative changes over one epoch of a run, from each of M measured epochs on.

    Attributes:
        epochs: the measured ones, [M], rising.
        change: by direction and block (or `network`), [M]; NaN where there is none.
        path: length of the way that the whole network's weights went meanwhile, [M].
    """

    epochs: npt.NDArray[np.int64]
    change: dict[tuple[Direction, str], Floats]
    path: Floats


def shifts(stability: pd.DataFrame, params: Params) -> Shifts:
    """What `stability.csv` says about the distance of one epoch."""
    distant = stability["distance"].to_numpy() == "epoch"
    epoch, block = stability["epoch"].to_numpy()[distant], stability["block"].to_numpy()[distant]
    forward, backward, path = (
        stability[column].to_numpy()[distant]
        for column in ("forward_change", "backward_change", "path")
    )
    change: dict[tuple[Direction, str], Floats] = {}
    for name in (*params.blocks, NETWORK):
        rows = np.flatnonzero(block == name)
        rows = rows[np.argsort(epoch[rows], kind="stable")]
        change["forward", name], change["backward", name] = forward[rows], backward[rows]
    # The network came last; every block has the same epochs.
    return Shifts(epoch[rows], change, path[rows])


def places(params: Params, direction: Direction) -> tuple[str, ...]:
    """Where the drift of a whole run is taken.

    Forward: at the input of every block but the first, whose input is the image, and at the last
    features. Backward: at the output of every block.
    """
    if direction == "backward":
        return tuple(params.blocks)
    later = (block for block in params.blocks if parts_of(params, block)[0] != params.parts[0])
    return (*later, NETWORK)


def log_drift(
    shifted: Shifts,
    direction: Direction,
    where: Iterable[str],
    epochs: int | Collection[int],
    *,
    per_path: bool = False,
) -> float:
    """Mean logarithm of the relative change, over some epochs and some places.

    Args:
        shifted: of the run.
        direction: `forward` or `backward`.
        where: blocks, or `network`.
        epochs: these; or the first of a window, which reaches to the end of the run.
        per_path: divide each change by the length of the whole network's way in the same epoch.

    Returns:
        Minus infinity where nothing shifts by one bit; NaN where some signals stand still and
        others shift, so that no ratio says what happened.

    Raises:
        LookupError: nothing, or not everything, was measured in the window.
    """
    if isinstance(epochs, int):
        window, fewest = shifted.epochs >= epochs, 1
    else:
        window, fewest = np.isin(shifted.epochs, list(epochs)), len(epochs)
    changes = np.stack([shifted.change[direction, place][window] for place in where])
    if window.sum() < fewest or np.isnan(changes).any():
        raise LookupError(f"no {direction} change in the window")
    if not changes.any():
        return -np.inf
    if per_path:
        path = shifted.path[window]
        if not path.all():
            return np.nan
        changes = changes / path
    return float(np.log(changes).mean()) if changes.all() else np.nan
