"""The sections of `params.yaml` as frozen models.

Epochs in `params.yaml` count from 0 and are stated at time scale 1; `Train.at_scale` turns them
into epochs of the run. A change at epoch 60 is in force when epoch 60 starts.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from netstab.params.fields import Number, Positive, Rate, Section, Seed, Whole, empty_as
from netstab.params.interventions import (
    Baseline,
    ExpA,
    ExpB,
    ExpC,
    ExpD,
    ExpE,
    ExpF,
    Freeze,
    Outpost,
    Own,
    Strict,
)
from netstab.params.measuring import Ceiling, Claims, Measure, Report
from netstab.params.networks import Blocks, Model, parts_of_network


class Data(Section):
    """`data`: which images."""

    dataset: Literal["cifar10", "cifar100", "digits"]
    """The official data set; with `source`, the one that the source is a copy or a subset of."""
    source: str | None = None
    """Path or URL that replaces the official archive; relative paths belong to the checkout."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")] | None = None
    """SHA-256 that the file at `source` must have."""
    name: str | None = None
    """What the report calls the data; by default the official name, or dataset and source."""
    image_size: Annotated[Whole, Field(ge=8, le=256)]
    """Height and width of an image in pixels."""


class Timing(Section):
    """How long a run is; what epochs in this file mean."""

    epochs: Positive
    """Epochs of a run."""
    time_scale: Annotated[Number, Field(gt=0, le=10)]
    """Multiplies every epoch in this file, but `claims.fewest_jitter_epochs`."""

    def at_scale(self, epoch: float) -> int:
        """Epoch of the run for an epoch of `params.yaml`: times `time_scale`, halves up."""
        return int(epoch * self.time_scale + 0.5 + 1e-9)

    @property
    def run_epochs(self) -> int:
        """Number of epochs of a run, at scale."""
        return self.at_scale(self.epochs)

    def window(self, epochs: int) -> int:
        """Length of a window of `params.yaml` at scale: one epoch to the whole run."""
        return min(max(1, self.at_scale(epochs)), self.run_epochs)


class Train(Timing):
    """`train`: everything about training that changes its numbers, except the interventions."""

    batch_size: Positive
    """Images a step."""
    learning_rate: Annotated[Number, Field(gt=0)]
    """The rate at epoch 0, and of every block that nothing changes."""
    momentum: Annotated[Number, Field(ge=0, lt=1)]
    """Of SGD, as torch defines it; the article does not state it."""
    weight_decay: Rate
    """L2 penalty added to the gradient, on every parameter; the article does not state it."""
    crop_padding: Annotated[Whole, Field(ge=0, le=32)]
    """Pixels of black border from which the random crop is cut; 0 for no crop."""
    horizontal_flip: StrictBool
    """Flip each training image left to right at random."""
    precision: Literal["fp32", "bf16"]
    """`bf16`: autocast of the forward pass; weights, momentum and batch norm stay fp32."""
    tf32: StrictBool
    """Allow TF32 in CUDA's fp32 matrix products and convolutions."""
    deterministic: StrictBool
    """Makes runs on CUDA bitwise identical; on the CPU they always are."""


class Runtime(Section):
    """`runtime`: how to run, never what; no stage tracks it."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]
    """`auto`, `cpu`, `cuda` or `cuda:1`; `auto` takes a CUDA device where there is one."""
    threads: Positive | None
    """CPU threads of a process; null for one a core. Part of what 'the same bits' means."""
    workers: Positive | None
    """Processes that a sweep trains side by side; null for as many as a short trial finds best."""
    sweep: StrictBool
    """A stage that has to train trains whatever the whole study lacks, by a sweep."""
    compile: StrictBool
    """Compile forward and backward passes, once for each freeze pattern; on CUDA as CUDA graphs."""
    save_interval_s: Annotated[Number, Field(gt=0)]
    """Seconds between saved states of a run under way: what a kill can cost."""
    keep_every: Positive
    """Epochs (time scale 1) between kept states of baseline and outpost."""


Seeds = tuple[Seed, ...]
Experiments = tuple[Literal["expA", "expB", "expC", "expD", "strict"], ...]


class Params(BaseModel):
    """The whole of `params.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seeds: Seeds
    """Every variant runs with each of them; they decide initial weights, order and augmentation."""
    experiments: Experiments
    """Experiments that run block by block; `expA` to `expD` are the article's."""
    blocks: Blocks
    """The filter blocks, by name: parts of the network, each in exactly one block."""
    data: Data
    model: Model
    train: Train
    freeze: Freeze
    baseline: Annotated[Baseline, empty_as(dict)]
    outpost: Outpost
    expA: ExpA
    expB: ExpB
    expC: ExpC
    expD: ExpD
    strict: Strict
    expE: ExpE
    expF: ExpF
    own: Own
    """Interventions of your own: name, block, epoch, then a rate, `frozen` or a shape."""
    measure: Measure
    ceiling: Ceiling
    report: Report
    claims: Claims
    runtime: Runtime

    @property
    def parts(self) -> tuple[str, ...]:
        """The network's parts from input to output."""
        return parts_of_network(self.model, self.blocks)

    @property
    def part_paths(self) -> dict[str, Sequence[str]]:
        """Part -> paths of the modules that it consists of."""
        return {part: self.model.parts.get(part, (part,)) for part in self.parts}

    @property
    def ceiling_pair(self) -> Seeds:
        """The two seeds that are compared with each other; none where the study lacks one."""
        pair = self.ceiling.seeds
        return pair if set(pair) <= set(self.seeds) else ()
