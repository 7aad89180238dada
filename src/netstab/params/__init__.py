"""`params.yaml` as validated, frozen models. The only reader of that file."""

from netstab.params.models import (
    ARTICLE_EXPERIMENTS,
    FROZEN,
    PARTS,
    Change,
    Data,
    Decay,
    Model,
    Params,
    Runtime,
    Train,
)
from netstab.params.reading import check, read

__all__ = [
    "ARTICLE_EXPERIMENTS",
    "FROZEN",
    "PARTS",
    "Change",
    "Data",
    "Decay",
    "Model",
    "Params",
    "Runtime",
    "Train",
    "check",
    "read",
]
