"""The shift of the field: how far a step moves expected gradients, as one number a run and block.

Its square is measured without bias, and so may come out negative in an epoch; means are taken of
squares, over the measured epochs of a window, before any root or logarithm.
"""

import numpy as np
import pandas as pd

from netstab.study.measuring import NETWORK


def log_shift(field: pd.DataFrame, block: str, start: int, *, per_path: bool = False) -> float:
    """Logarithm of the root mean square of the shift over a step, in a batch's noise.

    Args:
        field: `field.csv` of the run.
        block: or `network`.
        start: first epoch of the window, which reaches to the end of the run.
        per_path: divide each shift by the way that the whole network's weights went in the step.

    Returns:
        Minus infinity where nothing shifts by one bit.

    Raises:
        LookupError: it was not measured in the window, or is less than its images can tell.
    """
    steps = field[(field["distance"] == "step") & (field["epoch"] >= start)]
    squares = _column(steps, block, "shift_squared")
    if squares.empty or squares.isna().any():
        raise LookupError("was not measured")
    if (squares == 0).all():
        return -np.inf
    if per_path:
        squares = squares / _column(steps, NETWORK, "path").reindex(squares.index) ** 2
    mean = float(squares.mean())
    if not 0 < mean < np.inf:
        raise LookupError("is less than its images can tell")
    return float(np.log(mean)) / 2


def _column(steps: pd.DataFrame, block: str, name: str) -> pd.Series:
    """Of a block, by epoch."""
    rows = steps[steps["block"] == block]
    return pd.Series(rows[name].to_numpy(), rows["epoch"])
