"""Windows at the end of a run, and what is taken over them.

Windows are stated in `params.yaml` at time scale 1. With E epochs in a run, W epochs in a window:

* final X: mean of X over the last W epochs;
* jitter of X: standard deviation (W - 2 degrees of freedom) of the W - 1 differences between
  neighbouring epochs, over sqrt 2, so that independent noise of deviation s gives s. A trend is
  no jitter: a constant slope gives 0.

A shape (a cosine, cycles) is one intervention. Its last one is where its last rate is held. Where
the rate follows a shape up to the end of the run, it never settles: then jitter is taken over the
window of final X, over which the rate still moves, or a shorter one.
"""

from math import sqrt

import numpy as np
import numpy.typing as npt

from netstab.params import Params
from netstab.study.schedule import Schedule

Floats = npt.NDArray[np.float64]

SHORTEST_JITTER_WINDOW = 3
"""Epochs; two differences are the fewest that have a deviation."""


def final_window(params: Params) -> int:
    """Number of last epochs that a final figure is the mean of."""
    return params.train.window(params.report.final_epochs)


def settled(params: Params, *plans: Schedule) -> int:
    """Epoch from which on every schedule has settled after its last intervention; 0 without any.

    Where one never settles, the window of final figures begins no earlier.
    """
    last = [epoch for plan in plans for epoch in plan.interventions[-1:]]
    start = max(last) + params.train.at_scale(params.report.settle_epochs) if last else 0
    if all(plan.settles for plan in plans):
        return start
    return max(start, params.train.run_epochs - final_window(params))


def jitter_start(params: Params, plan: Schedule) -> int:
    """Epoch from which on a summary's jitter is taken: it may leave few epochs, or none.

    Never earlier than `report.settle_epochs` after the last intervention of the schedule.
    """
    start = params.train.run_epochs - params.train.window(params.report.jitter_epochs)
    return max(start, settled(params, plan))


def jitter_window(params: Params, plan: Schedule) -> int | None:
    """Number of last epochs that a summary's jitter is taken over; None where too few are left."""
    window = params.train.run_epochs - jitter_start(params, plan)
    return window if window >= SHORTEST_JITTER_WINDOW else None


def final(params: Params, curves: Floats) -> Floats:
    """Means over the last epochs: [..., E] to [...]."""
    return np.asarray(curves[..., -final_window(params) :].mean(axis=-1))


def jitter(curves: Floats) -> Floats:
    """Jitter over all epochs given: [..., W] to [...]."""
    return np.asarray(np.diff(curves, axis=-1).std(axis=-1, ddof=1) / sqrt(2))
