"""Names of the DVC stages that make runs, as `dvc.yaml` has them."""

from netstab.study.experiments import REFERENCES, Run, Variant

NAMED = {"expE": "rival", "expF": "cyclical", "own": "own"}
"""Experiments whose variants have names and no block -> their stage."""


def stage_group(variant: Variant) -> str:
    """The stage in `dvc.yaml` whose matrix has a variant's runs."""
    if variant.experiment in REFERENCES:
        return "reference"
    return NAMED.get(variant.experiment, "train")


def stage_name(run: Run) -> str:
    """Name of the stage that makes a run, e.g. `train@expB-64-0`."""
    group = stage_group(run.variant)
    name = run.variant.block if group in NAMED.values() else run.variant.name
    return f"{group}@{name}-{run.seed}"
