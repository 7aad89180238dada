"""`params.yaml` as validated, frozen models. The only reader of that file.

Epochs in `params.yaml` count from 0 and are stated at time scale 1; `Train.at_scale` turns them
into epochs of the run. A change at epoch 60 is in force when epoch 60 starts.
"""

import difflib
import re
from collections.abc import Iterator
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from netstab.errors import ParameterError

PARTS = ("stem", "layer1", "layer2", "layer3", "layer4", "head")
"""The network's parts from input to output; every parameter belongs to exactly one."""

ARTICLE_EXPERIMENTS = ("expA", "expB", "expC", "expD")

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
BLOCK_NAME = re.compile(r"[A-Za-z0-9_]+")


def _whole(value: object) -> object:
    # YAML's true is an int to Python, and 60.0 is what a careless override writes.
    if isinstance(value, bool) or (isinstance(value, float) and value != int(value)):
        raise ValueError("is not a whole number")
    return value


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("is not a number (write it without quotes)")
    if not isfinite(value):
        raise ValueError("is not a finite number")
    return value


Whole = Annotated[int, BeforeValidator(_whole)]
Epoch = Annotated[Whole, Field(ge=0)]
Positive = Annotated[Whole, Field(ge=1)]
Number = Annotated[float, BeforeValidator(_number)]
Rate = Annotated[Number, Field(ge=0)]
FROZEN: Literal["frozen"] = "frozen"


def _change(value: object) -> object:
    if value == FROZEN:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("is neither a learning rate nor `frozen`")
    if not isfinite(value) or value < 0:
        raise ValueError("is not a learning rate: it must be finite and not negative")
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


class Train(Section):
    """`train`: everything about training that changes its numbers, bar the interventions."""

    epochs: Positive
    time_scale: Annotated[Number, Field(gt=0, le=10)]
    """Multiplies every epoch in this file, and the report's windows with it."""
    batch_size: Positive
    learning_rate: Annotated[Number, Field(gt=0)]
    momentum: Annotated[Number, Field(ge=0, lt=1)]
    weight_decay: Rate
    crop_padding: Annotated[Whole, Field(ge=0, le=32)]
    """Pixels of black border from which the random crop is cut; 0 for no crop."""
    horizontal_flip: bool
    precision: Literal["fp32", "bf16"]
    """`bf16`: autocast of the forward pass; weights, momentum and batch norm stay fp32."""
    tf32: bool
    """Allow TF32 in CUDA's fp32 matrix products and convolutions."""
    deterministic: bool
    """Same bits on every CUDA run; the CPU gives the same bits always."""

    def at_scale(self, epoch: int) -> int:
        """Epoch of the run for an epoch of `params.yaml`: times `time_scale`, halves up."""
        return int(epoch * self.time_scale + 0.5 + 1e-9)

    @property
    def run_epochs(self) -> int:
        """Number of epochs of a run, at scale."""
        return self.at_scale(self.epochs)


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
    decay_factor: Annotated[Number, Field(gt=0)]


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
    compile: bool
    """Compile the training step with torch.compile, once for each freeze pattern."""
    save_interval_s: Annotated[Number, Field(gt=0)]
    """Seconds between saved states of a run under way: what a kill can cost."""
    keep_every: Positive
    """Epochs (time scale 1) between kept states of baseline and outpost."""


Blocks = dict[str, tuple[Literal["stem", "layer1", "layer2", "layer3", "layer4", "head"], ...]]
Own = dict[str, dict[str, dict[str, Change]]]
Seeds = Annotated[tuple[Epoch, ...], Field(min_length=1)]
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


def read(path: Path) -> Params:
    """Read and check `params.yaml`.

    Raises:
        ParameterError: with every fault found, each named by its key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ParameterError(
            str(path), ["is missing; restore it: git checkout -- params.yaml"]
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ParameterError(str(path), [f"cannot be read: {error}"]) from error
    try:
        # Pure Python on purpose: the C parser does not refuse duplicate keys.
        content = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, MarkedYAMLError, ValueError) as error:
        raise ParameterError(str(path), [f"is not valid YAML: {_one_line(error)}"]) from error
    return check(content, str(path))


def check(content: object, source: str = "params.yaml") -> Params:
    """Check the parsed content of `params.yaml`; see `read`."""
    if not isinstance(content, dict):
        raise ParameterError(source, ["is not a mapping of sections; restore it from git"])
    faults: list[str] = []
    sections: dict[str, Any] = {}
    try:
        sections = dict(Params.model_validate(content))
    except ValidationError:
        faults += _unknown(content)
        # Each section by itself, so that a fault in one hides none between the others.
        for name, kind in get_type_hints(Params, include_extras=True).items():
            if name == "model_config":
                continue
            if name not in content:
                faults.append(f"{name}: is missing; add the section")
                continue
            try:
                sections[name] = TypeAdapter(kind).validate_python(content[name])
            except ValidationError as error:
                faults += _readable(name, error, kind)
    faults += _cross_checks(sections)
    if faults:
        raise ParameterError(source, faults)
    return Params.model_construct(**sections)


def _unknown(content: dict[Any, Any]) -> Iterator[str]:
    for key in content:
        if key not in Params.model_fields:
            yield f"{key}: is not a section{_did_you_mean(str(key), Params.model_fields)}"


def _did_you_mean(key: str, known: Any) -> str:
    near = difflib.get_close_matches(key, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"


def _readable(section: str, error: ValidationError, model: Any) -> Iterator[str]:
    """One line a fault in place of pydantic's paragraphs."""
    for fault in error.errors(include_url=False):
        location = [str(step) for step in fault["loc"] if step != "[key]"]
        key = ".".join([section, *location])
        if fault["type"] == "extra_forbidden":
            known = model.model_fields
            yield f"{key}: is not a parameter{_did_you_mean(location[-1], known)}"
        elif fault["type"] == "missing":
            yield f"{key}: is missing; add it"
        elif "[key]" in map(str, fault["loc"]) and fault["type"] == "string_type":
            yield f"{key}: put the key in quotes: '{fault['input']}'"
        else:
            said = fault["msg"].removeprefix("Value error, ")
            said = said if said.startswith("is ") else said[0].lower() + said[1:]
            yield f"{key}: {said} (found {fault['input']!r})"


def _cross_checks(sections: dict[str, Any]) -> Iterator[str]:
    """What no section can tell by itself; skipped where a section needed has faults."""
    seeds = sections.get("seeds", ())
    if len(set(seeds)) < len(seeds):
        yield "seeds: name a seed twice; remove one"
    experiments = sections.get("experiments", ())
    if len(set(experiments)) < len(experiments):
        yield "experiments: name an experiment twice; remove one"
    if "blocks" in sections:
        yield from _partition_faults(sections["blocks"])
    data = sections.get("data")
    if data and data.sha256 and not data.source:
        yield "data.sha256: needs data.source; the official archive's hash is built in"
    train = sections.get("train")
    if train:
        yield from _time_faults(train, sections)
    if "own" in sections:
        yield from _own_faults(sections["own"], sections.get("blocks"), train)


def _partition_faults(blocks: dict[str, tuple[str, ...]]) -> Iterator[str]:
    claimed: dict[str, str] = {}
    for block, parts in blocks.items():
        if not BLOCK_NAME.fullmatch(block):
            yield f"blocks.{block}: name blocks with letters, digits and _ only"
        if not parts:
            yield f"blocks.{block}: has no part; give it one or remove it"
        for part in parts:
            if part in claimed:
                yield f"blocks.{block}: claims {part}, which block {claimed[part]} has; remove one"
            claimed[part] = block
    for part in PARTS:
        if part not in claimed:
            yield f"blocks: leave out {part}; put it into one block"


def _time_faults(train: Train, sections: dict[str, Any]) -> Iterator[str]:
    if train.run_epochs < 1:
        yield f"train.time_scale: leaves no epoch of {train.epochs}; raise it"
        return
    for name in ("outpost", *ARTICLE_EXPERIMENTS):
        section = sections.get(name)
        if section is None:
            continue
        decays: tuple[int, ...] = getattr(section, "decay_epochs", ())
        for epoch in decays:
            yield from _past_end(f"{name}.decay_epochs", epoch, train)
        yield from _order_faults(f"{name}.decay_epochs", decays, train)
        freeze = getattr(section, "freeze_epoch", None)
        if freeze is not None:
            yield from _past_end(f"{name}.freeze_epoch", freeze, train)


def _past_end(key: str, epoch: int, train: Train) -> Iterator[str]:
    if train.at_scale(epoch) >= train.run_epochs:
        yield f"{key}: {epoch} is past the end (train.epochs is {train.epochs}); lower it"


def _order_faults(key: str, epochs: tuple[int, ...], train: Train) -> Iterator[str]:
    for earlier, later in pairwise(epochs):
        if later <= earlier:
            yield f"{key}: {later} comes after {earlier}; put them in rising order"
        elif train.at_scale(later) == train.at_scale(earlier):
            yield (
                f"{key}: {earlier} and {later} fall on the same epoch at "
                f"train.time_scale {train.time_scale:g}; raise the scale"
            )


def _own_faults(
    own: Own, blocks: dict[str, tuple[str, ...]] | None, train: Train | None
) -> Iterator[str]:
    for name, changes in own.items():
        if not NAME.fullmatch(name):
            yield f"own.{name}: start names with a letter; letters, digits and _ only"
        for block, by_epoch in changes.items():
            key = f"own.{name}.{block}"
            if blocks is not None and block not in blocks:
                yield f"{key}: is not a block; known are {', '.join(blocks)}"
            epochs: list[int] = []
            for text in by_epoch:
                if text.isascii() and text.isdigit():
                    epochs.append(int(text))
                else:
                    yield f"{key}.{text}: is not an epoch; write it like '60'"
            if train is not None and train.run_epochs >= 1:
                for epoch in epochs:
                    yield from _past_end(key, epoch, train)
                yield from _order_faults(key, tuple(sorted(epochs)), train)


def _one_line(error: Exception) -> str:
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return " ".join(str(error).split())
