"""`params.yaml` as validated, frozen models. The only reader of that file."""

from netstab.params.changes import FROZEN, Change, Changes, Shape
from netstab.params.interventions import BLOCK_EXPERIMENTS, Batch, BnRecal, Decay, Ema, View
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
    "Changes",
    "Claims",
    "Data",
    "Decay",
    "Ema",
    "Measure",
    "Model",
    "Params",
    "Runtime",
    "Shape",
    "Sharpness",
    "Stability",
    "Train",
    "View",
    "check",
    "read",
]
