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
    distance, epoch, name, square, way = (
        field[column].to_numpy()
        for column in ("distance", "epoch", "block", "shift_squared", "path")
    )
    window = (distance == "step") & (epoch >= start)
    mine = window & (name == block)
    squares = square[mine]
    if not squares.size or np.isnan(squares).any():
        raise LookupError("was not measured")
    if not squares.any():
        return -np.inf
    if per_path:
        whole = window & (name == NETWORK)
        ways = dict(zip(epoch[whole], way[whole], strict=True))
        with np.errstate(divide="ignore", invalid="ignore"):
            squares = squares / np.array([ways.get(at, np.nan) for at in epoch[mine]]) ** 2
    known = squares[~np.isnan(squares)]
    mean = known.sum() / max(1, len(known))
    if not 0 < mean < np.inf:
        raise LookupError("is less than its images can tell")
    return float(np.log(mean)) / 2
