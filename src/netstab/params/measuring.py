"""The sections of `params.yaml` that say what is measured on runs, summed up and claimed.

None of them changes a trajectory: another value measures or judges the same states anew.
"""

from typing import Annotated, Literal

from pydantic import Field

from netstab.params.fields import Epoch, Number, Positive, Section, Seed, Share, Whole, empty_as


class Stability(Section):
    """`measure.stability`: how signals shift under each block over a step and over an epoch."""

    every_epochs: Positive
    """Measured in every such epoch, at time scale 1."""
    images: Annotated[Whole, Field(ge=4, le=100_000)]
    """Probe batch: training images, not augmented, the same for all runs and seeds."""


class FieldStability(Section):
    """`measure.field`: how gradients of single images shift, over a step and over an epoch."""

    every_epochs: Positive | None
    """Measured in every such epoch, at time scale 1; null for never."""
    images: Annotated[Whole, Field(ge=2, le=100_000)]
    """Probe images: training images, not augmented, the same for all runs and seeds."""
    seed: Seed
    """Which images these are; not one of `seeds`."""


class Sharpness(Section):
    """`measure.sharpness`: curvature of the training loss, whole network and each block."""

    every_epochs: Positive | None
    """Beside before and after each intervention and at the end, in every such epoch (time scale
    1); null for those alone."""
    settle_epochs: Epoch
    """Epochs (time scale 1) from an intervention to the state that counts as after it."""
    blocks: Literal["always", "end"]
    """Whether each block alone is measured whenever the network is, or at the end of runs."""
    images: Annotated[Whole, Field(ge=2, le=100_000)]
    """Training images, not augmented, the same for all runs and seeds."""
    batch_norm: Literal["eval", "train"]
    """`eval`: running statistics; `train`: those of the subset."""
    tolerance: Share
    """Bound on the relative error up to which an eigenvalue counts as one."""
    max_products: Annotated[Whole, Field(ge=10, le=100_000)]
    """Hessian-vector products at most for an eigenvalue."""
    trace_samples: Annotated[Whole, Field(ge=2, le=100_000)]
    """Gradients an image for a trace, exact from classes - 1 on; products for one where the network
    is not piecewise linear in each weight, as with batch norm in mode train (Hutchinson)."""


class Barriers(Section):
    """`measure.barriers`: the loss along straight lines between states of a seed."""

    images: Annotated[Whole, Field(ge=2, le=100_000)] | None
    """Training images, not augmented, the same for all runs and seeds; null for no barriers."""
    points: Annotated[Whole, Field(ge=3, le=1001)]
    """Points of a line, its ends among them, at equal distances."""


class Measure(Section):
    """`measure`: what is measured on states while a run trains, or afterwards by a replay."""

    stability: Stability
    field: FieldStability
    sharpness: Sharpness
    barriers: Barriers


class Ceiling(Section):
    """`ceiling`: two seeds whose baselines and outposts are compared with each other."""

    seeds: Annotated[tuple[Seed, ...], empty_as(tuple)]
    """Two of `seeds`, or none; left out where the study lacks one of them."""


class Report(Section):
    """`report`: windows over which curves are summed up, in epochs at time scale 1."""

    final_epochs: Positive
    """A final figure is the mean over this many last epochs."""
    jitter_epochs: Positive
    """Jitter is taken over this many last epochs, or fewer after a late intervention."""
    settle_epochs: Epoch
    """Epochs after an intervention that no jitter is taken over."""
    jump_epochs: Positive
    """A jump is the mean over this many epochs from an epoch on, less that over as many before."""


class Claims(Section):
    """`claims`: thresholds and margins, fixed before the data."""

    confidence: Annotated[Number, Field(ge=0.5, lt=1)]
    """Of intervals; one less it is the level of tests."""
    margin_points: Annotated[Number, Field(gt=0)]
    """Equivalence of accuracies: percentage points."""
    margin_loss: Annotated[Number, Field(gt=0)]
    """Equivalence of losses: nats."""
    margin_sharpness: Annotated[Number, Field(gt=0)]
    """Ratio minus one up to which a sharpness is not called higher."""
    margin_jitter: Annotated[Number, Field(gt=0)]
    """Ratio minus one up to which a jitter is not called higher."""
    saturated_top1_pct: Annotated[Number, Field(gt=0, le=100)]
    """Training top-1 from which on the training images count as learnt (C3)."""
    recovered_share: Share
    """Share of the outpost's gain over the baseline from which on a rival recovers it."""
    fewest_jitter_epochs: Positive
    """Epochs (not scaled) below which a jitter is not judged."""
