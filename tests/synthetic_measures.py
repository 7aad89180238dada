"""Synthetic stability and sharpness: plausible, following the schedules, with shared pasts."""

import json
import zlib
from typing import Any

import numpy as np
import pandas as pd

from netstab.params import Params
from netstab.results.schema import FIELD_COLUMNS, STABILITY_MEASURES
from netstab.study import experiments
from netstab.study.barriers import Pair
from netstab.study.experiments import REFERENCES, Run, Variant, view
from netstab.study.measuring import NETWORK, epochs_of, sharpness_scopes
from netstab.study.schedule import Frozen, Schedule

_schedules: dict[tuple[int, Variant], tuple[Params, Schedule]] = {}


def schedule(params: Params, variant: Variant) -> Schedule:
    """The schedule of a variant, computed once: everything here asks for it, run by run."""
    known = (id(params), variant)
    if known not in _schedules:
        # The parameters are kept as well, so that no others come to their place.
        _schedules[known] = params, experiments.schedule(params, variant)
    return _schedules[known][1]


def rates(params: Params, plan: Schedule, epoch: int) -> dict[str, float]:
    """Rate of each block as a share of the initial one; 0 where nothing moves by a bit."""
    phase = plan.at(min(epoch, plan.epochs - 1))
    found = {}
    for block, parts in params.blocks.items():
        setting = phase.setting(parts[0])
        # Frozen weights with live batch norm: running statistics go on.
        still = {Frozen.EVAL: 0.0, Frozen.LIVE: 0.02}
        frozen = isinstance(setting, Frozen)
        found[block] = still[setting] if frozen else setting / params.train.learning_rate
    return found


def draws(seed: int, plan: Schedule, epoch: int, count: int) -> np.ndarray:
    """Noise that runs have in common as far as they share their past."""
    past = json.dumps(plan.before(epoch + 1)).encode()
    return np.random.default_rng([seed, epoch, zlib.crc32(past)]).standard_normal(count)


def stability(params: Params, run: Run) -> pd.DataFrame:
    """Signals shift the more, the higher the rates of the blocks that they come through."""
    plan = schedule(params, run.variant)
    epochs = [] if view(params, run.variant) else epochs_of(params, plan, "stability")
    rows = []
    for epoch in epochs:
        rate = rates(params, plan, epoch)
        noise = draws(run.seed, plan, epoch, 3 * (len(rate) + 1))
        ends = epoch in (epochs[0], epochs[-1])
        for distance in ("step", "epoch", *(["floor"] if ends else [])):
            rows += _stability_rows(epoch, distance, rate, noise)
    return pd.DataFrame(rows, columns=["epoch", "distance", "block", *STABILITY_MEASURES])


def _stability_rows(
    epoch: int, distance: str, rate: dict[str, float], noise: np.ndarray
) -> list[dict[str, Any]]:
    scale = {"step": 0.04, "epoch": 0.5, "floor": 0.0}[distance]
    names = list(rate)
    rows = []
    for at, block in enumerate((*names, NETWORK)):
        before = names[:at]
        forward = _shift(scale, [rate[b] for b in before], noise[3 * at])
        backward = _shift(scale, [rate[b] for b in names[at + 1 :]] or [0.3], noise[3 * at + 1])
        own = list(rate.values()) if block == NETWORK else [rate[block]]
        whole = block == NETWORK
        rows.append(
            {
                "epoch": epoch,
                "distance": distance,
                "block": block,
                "forward_change": forward,
                "forward_cosine": 1 - forward**2 / 2,
                "forward_cka": 1 - forward**2 / 3,
                "backward_change": None if whole else backward,
                "backward_cosine": None if whole else 1 - backward**2 / 2,
                "backward_cka": None if whole else 1 - backward**2 / 3,
                "path": 20 * scale * float(np.linalg.norm(own)) * np.exp(0.05 * noise[3 * at + 2]),
                "changed_pct": 40 * forward if whole else None,
                "kl_nats": forward**2 if whole else None,
            }
        )
    return rows


def _shift(scale: float, through: list[float], noise: float) -> float:
    """How far a signal shifts that comes through blocks of these rates."""
    if not through or not scale:
        return 0.0
    return float(scale * np.mean(through) ** 0.8 * np.exp(0.08 * noise))


def field(params: Params, run: Run) -> pd.DataFrame:
    """Gradients shift the more, the higher the rates."""
    plan = schedule(params, run.variant)
    epochs = [] if view(params, run.variant) else epochs_of(params, plan, "field")
    rows = []
    for epoch in epochs:
        rate = rates(params, plan, epoch)
        noise = draws(run.seed, plan, epoch, len(rate) + 1)
        mean = float(np.mean(list(rate.values())))
        ends = epoch in (epochs[0], epochs[-1])
        for distance in ("step", "epoch", *(["floor"] if ends else [])):
            scale = {"step": 0.3, "epoch": 2.0, "floor": 0.0}[distance]
            for block, jolt in zip((*rate, NETWORK), noise, strict=True):
                shift = scale * mean**0.5 * float(np.exp(0.1 * jolt))
                whole = block == NETWORK
                path = 20 * scale * (mean if whole else rate[block])
                loss = 0.1 * shift if whole else None
                cosine = 1 - 0.1 * shift**2
                rows.append((epoch, distance, block, loss, cosine, shift**2, 3.0, path))
    return pd.DataFrame(rows, columns=list(FIELD_COLUMNS))


def sharpness(params: Params, run: Run) -> dict[str, Any]:
    """Curvature rises where the rate falls."""
    protocol = {
        "dtype": "float32",
        "method": "double backward, eigsh",
        **params.measure.sharpness.model_dump(exclude={"every_epochs", "settle_epochs", "blocks"}),
    }
    plan = schedule(params, run.variant)
    scopes = {} if view(params, run.variant) else sharpness_scopes(params, plan)
    found = []
    for epoch, blocks in scopes.items():
        noise = draws(run.seed, plan, epoch, len(blocks))
        rate = rates(params, plan, max(0, epoch - 1))
        for block, jolt in zip(blocks, noise, strict=True):
            mean = rate[block] if block != NETWORK else float(np.mean(list(rate.values())))
            size = 1.0 if block == NETWORK else 0.4
            top = size * 15 * max(mean, 0.03) ** -0.5 * float(np.exp(0.1 * jolt))
            found.append(curvature(epoch, block, top))
    return {"protocol": protocol, "measurements": found}


def curvature(epoch: int, block: str, eigenvalue: float | None) -> dict[str, Any]:
    """One measurement; None for an eigenvalue that did not converge."""
    top = eigenvalue or 10.0
    return {
        "epoch": epoch,
        "block": block,
        "eigenvalue": eigenvalue,
        "eigenvalue_error": 0.005 * top if eigenvalue else None,
        "lower_bound": top,
        "residual": 0.003 if eigenvalue else 0.2,
        "products": 41,
        "trace": 22 * top,
        "trace_se": 1.1 * top,
        "adaptive_eigenvalue": None if eigenvalue is None else 3 * top,
        "adaptive_eigenvalue_error": 0.01 * top if eigenvalue else None,
        "adaptive_lower_bound": 3 * top,
        "adaptive_residual": 0.002 if eigenvalue else 0.2,
        "adaptive_products": 52,
        "adaptive_trace": 60 * top,
        "adaptive_trace_se": 2.5 * top,
    }


def ceiling(params: Params) -> dict[str, Any]:
    """Two seeds compared: alike at the input, less so the deeper."""
    rows = [
        {
            "variant": name,
            "epoch": params.train.run_epochs,
            "block": block,
            "forward_cka": 1.0 - 0.12 * depth,
            "backward_cka": None if block == NETWORK else 0.3 + 0.1 * depth,
            "changed_pct": 30.1 if block == NETWORK else None,
            "kl_nats": 0.5 if block == NETWORK else None,
        }
        for name in (REFERENCES if params.ceiling.seeds else ())
        for depth, block in enumerate((*params.blocks, NETWORK))
    ]
    return {"seeds": list(params.ceiling.seeds), "comparisons": rows}


def losses(params: Params, pair: Pair) -> list[float]:
    """High between a run and the baseline, less so to where it leaves it; none to the average."""
    points = params.measure.barriers.points
    noise = np.random.default_rng([pair.run.seed, zlib.crc32(pair.run.name.encode())])
    first, jolt = 0.05 * float(np.exp(0.1 * noise.standard_normal())), noise.standard_normal()
    last = {"baseline": 0.4, "branch": 0.5, "ema": 0.07}[pair.against]
    top = {"baseline": 1.2, "branch": 0.3, "ema": 0.004}[pair.against] * float(np.exp(0.1 * jolt))
    shares = (at / (points - 1) for at in range(points))
    return [first + (last - first) * s + 4 * top * s * (1 - s) for s in shares]
