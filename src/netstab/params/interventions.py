"""The sections of `params.yaml` that say what is decayed, frozen, averaged or enlarged, and when.

Each experiment's section is complete by itself: changing `outpost` changes the outpost alone.
"""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from netstab.params.changes import Changes, Cycles
from netstab.params.fields import Epoch, Number, Positive, Section, Share, empty_as

BLOCK_EXPERIMENTS = ("expA", "expB", "expC", "expD", "strict")
"""Experiments that are tried on each filter block: the article's, and expB held strictly still."""

Own = dict[str, dict[str, Changes]]


class Freeze(Section):
    """`freeze`: what frozen batch norm does."""

    batch_norm: Literal["live", "eval"]
    """`live`: batch statistics used, running statistics updated, affine parameters frozen.
    `eval`: running statistics used and unchanged."""


class Baseline(Section):
    """`baseline`: the constant rate."""

    changes: Annotated[Changes, empty_as(dict)] = Field(default_factory=dict)
    """Epoch -> rate or shape, as in `own`: a baseline whose rate is not constant."""


class Decay(Section):
    """A step decay: at each epoch of `decay_epochs` the rate is multiplied by the factor."""

    decay_epochs: tuple[Epoch, ...]
    """Epochs at whose start the rate falls, in rising order."""
    decay_factor: Annotated[Number, Field(gt=0, le=10)]
    """What the rate is multiplied by at each of them."""


class Outpost(Decay):
    """`outpost`: the decay in every block."""

    changes: Annotated[Changes, empty_as(dict)] = Field(default_factory=dict)
    """Epoch -> rate or shape, as in `own`: an outpost without steps (`decay_epochs: []`)."""


class ExpA(Decay):
    """`expA`: the decay in block k alone."""


class ExpB(Section):
    """`expB`: constant rate; all blocks but k frozen from `freeze_epoch` on."""

    freeze_epoch: Epoch
    """Epoch at whose start parts are frozen."""


class ExpC(Decay):
    """`expC`: the decay in block k alone; all others frozen from `freeze_epoch` on."""

    freeze_epoch: Epoch
    """Epoch at whose start all blocks but k are frozen."""


class ExpD(Decay):
    """`expD`: the decay in every block; all but k frozen from `freeze_epoch` on."""

    freeze_epoch: Epoch
    """Epoch at whose start all blocks but k are frozen."""


class Strict(ExpB):
    """`strict`: as expB, with frozen batch norm in mode `eval`: nothing frozen moves by a bit."""


class View(Section):
    """The baseline seen otherwise: its training is as it was, its evaluation is not."""

    start_epoch: Epoch
    """Epoch from whose start on the view is evaluated; before it is the baseline's."""
    batch_norm_images: Positive
    """Training images (not augmented) that batch-norm statistics are recomputed on."""


class Ema(View):
    """`expE.ema`: weights averaged exponentially after each step from `start_epoch` on."""

    decay: Share
    """Share of the average that a step keeps; 1 / (1 - decay) steps are about its memory."""


class BnRecal(View):
    """`expE.bnrecal`: the baseline's own weights, with recomputed batch-norm statistics."""


class Batch(Decay):
    """`expE.batch`: the batch grows by the inverse of the factor where the rate would decay."""

    largest_batch: Positive
    """Images a step at most (a tenth of the training set, 1711.00489); beyond, the rate falls."""


class Head(ExpB):
    """`expE.head`: everything but the linear head is frozen from `freeze_epoch` on."""


class ExpF(Section):
    """`expF`: cyclical rates in every block, the article's outlook; off while `shapes` is empty."""

    shapes: tuple[Literal["cosine", "triangular", "warm_restarts"], ...]
    """Those that are tried, each as a variant."""
    start_epoch: Epoch
    """Epoch at which each begins."""
    end_epoch: Epoch
    """Epoch from which on each keeps its low rate."""
    cycles: Cycles
    """Number of triangles or cosines in between; a cosine alone is one."""
    decay_factor: Share
    """What the initial rate is multiplied by for the low one; the outpost's last should be it."""


class ExpE(Section):
    """`expE`: rival explanations, ours; leave one out by removing its key."""

    ema: Ema | None = None
    bnrecal: BnRecal | None = None
    batch: Batch | None = None
    head: Head | None = None

    @field_validator("*", mode="before")
    @classmethod
    def _is_given(cls, value: object) -> object:
        # DVC makes a stage of every key, whatever stands behind it.
        if value is None:
            raise ValueError("is empty; remove the key to leave it out")
        return value

    @property
    def rivals(self) -> dict[str, Section]:
        """Those that are asked for, by name."""
        found = ((name, getattr(self, name)) for name in type(self).model_fields)
        return {name: section for name, section in found if section is not None}

    @property
    def views(self) -> dict[str, Ema | BnRecal]:
        """Those that only look at the baseline otherwise."""
        return {n: s for n, s in self.rivals.items() if isinstance(s, Ema | BnRecal)}
