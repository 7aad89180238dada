"""The sections of `params.yaml` as frozen models.

Epochs in `params.yaml` count from 0 and are stated at time scale 1; `Train.at_scale` turns them
into epochs of the run. A change at epoch 60 is in force when epoch 60 starts.
"""

from math import isfinite
from typing import Annotated, Literal, TypeGuard

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
)

PARTS = ("stem", "layer1", "layer2", "layer3", "layer4", "head")
"""The network's parts from input to output; every parameter belongs to exactly one."""

ARTICLE_EXPERIMENTS = ("expA", "expB", "expC", "expD")


def _whole(value: object) -> object:
    # 60.0 is what a careless override writes.
    if not _finite(value) or value != int(value):
        raise ValueError(f"is not a whole number{_quoted(value)}")
    return value


def _number(value: object) -> object:
    if not _finite(value):
        raise ValueError(f"is not a finite number{_quoted(value)}")
    return value


def _finite(value: object) -> TypeGuard[int | float]:
    # YAML's true is an int to Python.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return isfinite(value)
    except OverflowError:  # an int beyond the range of floats
        return False


def _quoted(value: object) -> str:
    return "; write it without quotes" if isinstance(value, str) else ""


Whole = Annotated[int, BeforeValidator(_whole)]
# Far above any use, and low enough that a slip of the keyboard is refused, not computed with.
_MOST = 100_000
Epoch = Annotated[Whole, Field(ge=0, le=_MOST)]
Positive = Annotated[Whole, Field(ge=1, le=_MOST)]
Seed = Annotated[Whole, Field(ge=0)]
Number = Annotated[float, BeforeValidator(_number)]
Rate = Annotated[Number, Field(ge=0)]
FROZEN: Literal["frozen"] = "frozen"


def _change(value: object) -> object:
    if value == FROZEN:
        return value
    if not _finite(value) or value < 0:
        raise ValueError(
            f"is neither `frozen` nor a learning rate, finite and not negative{_quoted(value)}"
        )
    return float(value)


Change = Annotated[float | Literal["frozen"], BeforeValidator(_change)]


class Section(BaseModel):
    """A section of `params.yaml`: frozen, and with no keys but the ones it declares."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


class Data(Section):
    """`data`: which images."""

    dataset: Literal["cifar10", "cifar100", "digits"]
    """The official data set; with `source`, the one that the source is a copy or a cut of."""
    source: str | None = None
    """Path or URL that replaces the official archive; relative paths belong to the checkout."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")] | None = None
    """SHA-256 that the file at `source` must have."""
    name: str | None = None
    """What the report calls the data; by default the official name, or dataset and source."""
    image_size: Annotated[Whole, Field(ge=8, le=256)]
    """Height and width of an image in pixels."""


class Model(Section):
    """`model`: the CIFAR ResNet-18."""

    width: Annotated[Whole, Field(ge=1, le=1024)]
    """Channels of the stem and layer1; layers 2 to 4 have 2, 4 and 8 times as many."""


class Timing(Section):
    """How long a run is; what epochs in this file mean."""

    epochs: Positive
    time_scale: Annotated[Number, Field(gt=0, le=10)]
    """Multiplies every epoch in this file, and the report's windows with it."""

    def at_scale(self, epoch: int) -> int:
        """Epoch of the run for an epoch of `params.yaml`: times `time_scale`, halves up."""
        return int(epoch * self.time_scale + 0.5 + 1e-9)

    @property
    def run_epochs(self) -> int:
        """Number of epochs of a run, at scale."""
        return self.at_scale(self.epochs)


class Train(Timing):
    """`train`: everything about training that changes its numbers, bar the interventions."""

    batch_size: Positive
    learning_rate: Annotated[Number, Field(gt=0)]
    momentum: Annotated[Number, Field(ge=0, lt=1)]
    weight_decay: Rate
    crop_padding: Annotated[Whole, Field(ge=0, le=32)]
    """Pixels of black border from which the random crop is cut; 0 for no crop."""
    horizontal_flip: StrictBool
    precision: Literal["fp32", "bf16"]
    """`bf16`: autocast of the forward pass; weights, momentum and batch norm stay fp32."""
    tf32: StrictBool
    """Allow TF32 in CUDA's fp32 matrix products and convolutions."""
    deterministic: StrictBool
    """Same bits on every CUDA run; the CPU gives the same bits always."""


class Freeze(Section):
    """`freeze`: what frozen batch norm does."""

    batch_norm: Literal["live", "eval"]
    """`live`: batch statistics used, running statistics updated, affine parameters frozen.
    `eval`: running statistics used and unchanged."""


class Baseline(Section):
    """`baseline`: the constant rate; nothing to set."""


class Decay(Section):
    """A step decay: at each epoch of `decay_epochs` the rate is multiplied by the factor."""

    decay_epochs: tuple[Epoch, ...]
    decay_factor: Annotated[Number, Field(gt=0, le=10)]


class Outpost(Decay):
    """`outpost`: the decay in every block."""


class ExpA(Decay):
    """`expA`: the decay in block k alone."""


class ExpB(Section):
    """`expB`: constant rate; all blocks but k frozen from `freeze_epoch` on."""

    freeze_epoch: Epoch


class ExpC(Decay):
    """`expC`: the decay in block k alone; all others frozen from `freeze_epoch` on."""

    freeze_epoch: Epoch


class ExpD(Decay):
    """`expD`: the decay in every block; all but k frozen from `freeze_epoch` on."""

    freeze_epoch: Epoch


class Report(Section):
    """`report`: windows over which curves are summed up, in epochs at time scale 1."""

    final_epochs: Positive
    """A final figure is the mean over this many last epochs."""
    jitter_epochs: Positive
    """Jitter is taken over this many last epochs, or fewer after a late intervention."""
    settle_epochs: Epoch
    """Epochs after an intervention that no jitter is taken over."""


class Runtime(Section):
    """`runtime`: how to run, never what; no stage tracks it."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]
    threads: Positive | None
    """CPU threads of a process; null for one a core. Part of what 'the same bits' means."""
    compile: StrictBool
    """Compile the training step with torch.compile, once for each freeze pattern."""
    save_interval_s: Annotated[Number, Field(gt=0)]
    """Seconds between saved states of a run under way: what a kill can cost."""
    keep_every: Positive
    """Epochs (time scale 1) between kept states of baseline and outpost."""


Blocks = dict[str, tuple[Literal["stem", "layer1", "layer2", "layer3", "layer4", "head"], ...]]
Own = dict[str, dict[str, dict[str, Change]]]
Seeds = tuple[Seed, ...]
Experiments = tuple[Literal["expA", "expB", "expC", "expD"], ...]


class Params(BaseModel):
    """The whole of `params.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seeds: Seeds
    experiments: Experiments
    blocks: Blocks
    data: Data
    model: Model
    train: Train
    freeze: Freeze
    baseline: Baseline
    outpost: Outpost
    expA: ExpA
    expB: ExpB
    expC: ExpC
    expD: ExpD
    own: Own
    report: Report
    runtime: Runtime
