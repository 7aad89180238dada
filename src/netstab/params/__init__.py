"""`params.yaml` as validated, frozen models. The only reader of that file."""

from netstab.params.interventions import (
    BLOCK_EXPERIMENTS,
    FROZEN,
    Batch,
    BnRecal,
    Change,
    Decay,
    Ema,
    View,
)
from netstab.params.measuring import Claims, Measure, Sharpness, Stability
from netstab.params.models import Data, Params, Runtime, Train
from netstab.params.networks import NETWORK, NETWORKS, PARTS, Model
from netstab.params.reading import check, read

__all__ = [
    "BLOCK_EXPERIMENTS",
    "FROZEN",
    "NETWORK",
    "NETWORKS",
    "PARTS",
    "Batch",
    "BnRecal",
    "Change",
    "Claims",
    "Data",
    "Decay",
    "Ema",
    "Measure",
    "Model",
    "Params",
    "Runtime",
    "Sharpness",
    "Stability",
    "Train",
    "View",
    "check",
    "read",
]
