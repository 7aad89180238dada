"""The one statement of a run's files: names, columns in their order, and what each field holds.

The trainer makes rows of these columns, the store keeps them, pieces carry them and the report
reads them. No torch and no pandas here.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    computed_field,
    model_validator,
)

from netstab.study.barriers import Against, height
from netstab.study.measuring import MEASURES as MEASURED
from netstab.study.measuring import NETWORK

HISTORY = "history.csv"
STABILITY = "stability.csv"
FIELD = "field.csv"
SHARPNESS = "sharpness.json"
PROVENANCE = "provenance.json"
RUN_FILES = (HISTORY, STABILITY, FIELD, SHARPNESS, PROVENANCE)
"""All files of a run."""

Row = dict[str, int | float]
"""A row of a history: what an epoch came to."""

MEASURES = ("train_loss", "train_top1_pct", "val_loss", "val_top1_pct", "val_top5_pct")
"""What a history records of every epoch; losses in nats, accuracies in percent."""


DISTANCES = ("step", "epoch", "floor")
"""What lies between two states that are compared: a step, an epoch, or nothing at all."""

STABILITY_MEASURES = (
    *(f"{way}_{what}" for way in ("forward", "backward") for what in ("change", "cosine", "cka")),
    "path",
    "changed_pct",
    "kl_nats",
)
"""Measures in `stability.csv`; empty where one has no meaning or cannot be computed."""

STABILITY_COLUMNS = ("epoch", "distance", "block", *STABILITY_MEASURES)
"""Of `stability.csv`; the rows of a measurement have all but the epoch."""


FIELD_MEASURES = ("loss_change", "gradient_cosine", "shift_squared", "noise", "path")
"""Measures in `field.csv`; empty where one has no meaning or cannot be computed."""

FIELD_COLUMNS = ("epoch", "distance", "block", *FIELD_MEASURES)
"""Of `field.csv`; the rows of a measurement have all but the epoch."""


def history_columns(parts: Iterable[str]) -> tuple[str, ...]:
    """Columns of `history.csv`, a row an epoch, for a network with these parts."""
    parts = tuple(parts)
    return (
        "epoch",
        *MEASURES,
        *(f"lr_{part}" for part in parts),
        *(f"frozen_{part}" for part in parts),
    )


def history_row(
    epoch: int, measures: Sequence[float], rates: Mapping[str, float], frozen: Sequence[int]
) -> Row:
    """A row of a history.

    Args:
        epoch: that it tells of.
        measures: in the order of `MEASURES`.
        rates: learning rate by part, from input to output; 0 where it is frozen.
        frozen: 1 for each part that is frozen, 0 for others.
    """
    values = (epoch, *measures, *rates.values(), *frozen)
    return dict(zip(history_columns(rates), values, strict=True))


def _a_time(text: str) -> str:
    datetime.fromisoformat(text)
    return text


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Epoch = Annotated[int, Field(ge=1, le=1_000_000)]
Whole = Annotated[int, Field(ge=0, le=10**9)]
Text = Annotated[str, Field(max_length=300)]
Number = Annotated[float, Field(ge=0)]
Loss = Annotated[float, Field(ge=0, le=1e30)]
Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"), AfterValidator(_a_time)]
"""In UTC, as text."""


class Checked(BaseModel):
    """Fields of exactly these names and types; numbers are finite."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class TrainedSegment(Checked):
    """Epochs [start, end) of a run's past: for which run they were trained, on what, how long."""

    start: Annotated[int, Field(alias="from", ge=0)]
    end: Annotated[int, Field(alias="to", ge=1, le=1_000_000)]
    seconds: Number
    flop: Number
    trained_for: Text
    """Name of a run."""
    finished_at: Time
    device: Text
    device_type: Text
    torch: Text
    threads: Whole
    host: Text
    cpu_capability: Text = ""
    """The instruction set of torch's own kernels, such as `AVX2`; empty for a GPU or if unknown."""
    onednn_isa: Text = ""
    """The instruction set that oneDNN uses, in its own words, such as `Intel AVX2`; likewise."""

    @property
    def instruction_sets(self) -> str:
        """For people: what the bits of a CPU depend on beside torch and threads; may be empty."""
        sets = (self.cpu_capability, self.onednn_isa and f"oneDNN {self.onednn_isa}")
        return ", ".join(filter(None, sets))

    @property
    def finished(self) -> datetime:
        """When."""
        return datetime.fromisoformat(self.finished_at)

    @property
    def where(self) -> str:
        """For people: device, instruction sets, torch and host."""
        what = filter(None, (self.device, self.instruction_sets, f"torch {self.torch}"))
        return f"{', '.join(what)}, on {self.host}, {self.finished_at}"


def by_instruction_sets(
    trained: Mapping[str, Iterable[TrainedSegment]],
) -> dict[str, list[str]]:
    """Known instruction sets -> names of the runs that have segments from there.

    Args:
        trained: segments of runs, by name.
    """
    found: dict[str, list[str]] = {}
    for name, segments in trained.items():
        for sets in dict.fromkeys(segment.instruction_sets for segment in segments):
            if sets:
                found.setdefault(sets, []).append(name)
    return found


class Origin(Checked):
    """Which images a run was trained on."""

    name: str
    official: bool
    content_sha256: str


class MeasuringTime(Checked):
    """How long a run was measured on a device, in all."""

    device: str
    torch: str
    seconds: Number


class Provenance(Checked):
    """`provenance.json`: what trained a run, where, and how long it took."""

    run: str
    variant: str
    seed: int
    key: str
    numerics_version: int
    epochs: int
    data: Origin
    segments: tuple[TrainedSegment, ...]
    measurements: tuple[MeasuringTime, ...]
    failure: str | None = None
    """Why the run could not be trained to its end, which is then the one of its key all the same;
    absent where it could."""


class Curvature(BaseModel):
    """Sharpness of the training loss at the start of an epoch, of the network or of one block."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    epoch: Annotated[int, Field(ge=0)]
    """The number of epochs of the run stands for its end."""
    block: str
    eigenvalue: float | None
    """Largest eigenvalue of the Hessian; None where it did not converge."""
    eigenvalue_error: float | None = None
    """Bound on how far it lies above `lower_bound`; None where none is known, as in files of
    version 1 of the measures."""
    lower_bound: float | None
    """Largest vector's quotient, converged or not; None where curvature is not finite."""
    residual: float | None
    """None where the eigenvalue is exactly zero."""
    products: int
    trace: float | None
    trace_se: float | None
    """Standard error, or a bound on it; 0 where the trace is exact."""
    adaptive_eigenvalue: float | None
    adaptive_eigenvalue_error: float | None = None
    adaptive_lower_bound: float | None
    adaptive_residual: float | None
    adaptive_products: int
    adaptive_trace: float | None
    adaptive_trace_se: float | None


class SharpnessFile(BaseModel):
    """`sharpness.json`: how sharpness was measured, and what came out."""

    model_config = ConfigDict(frozen=True)

    protocol: dict[str, Any]
    measurements: tuple[Curvature, ...]

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        seen: set[tuple[int, str]] = set()
        for found in self.measurements:
            if (found.epoch, found.block) in seen:
                raise ValueError(f"epoch {found.epoch}, {found.block} is there twice")
            seen.add((found.epoch, found.block))
        return self

    def at(self, epoch: int, block: str = NETWORK) -> Curvature | None:
        """The measurement of a block (default: the whole network) at the start of an epoch."""
        found = (m for m in self.measurements if (m.epoch, m.block) == (epoch, block))
        return next(found, None)


class Comparison(BaseModel):
    """How alike a block's signals are in two seeds, at the end of a variant."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    variant: str
    epoch: int
    block: str
    forward_cka: float | None
    backward_cka: float | None
    changed_pct: float | None
    kl_nats: float | None


class CeilingFile(BaseModel):
    """`ceiling.json`: two seeds compared."""

    seeds: tuple[int, ...]
    comparisons: tuple[Comparison, ...]
    failure: str | None = None
    """Why there is nothing to compare: a run that could not be trained."""


class Barrier(BaseModel):
    """The training loss on the straight line from the end of a run to another state of its seed."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    run: str
    against: Against
    """Which the other state is."""
    epoch: int
    """Of the other state."""
    key: Sha256
    """Of the measurement: a hash of both states' keys and of the settings."""
    losses: Annotated[tuple[Loss | None, ...], Field(min_length=3)]
    """At points of equal distances, from the run's end to the other one, in nats; None where it is
    not finite."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def barrier(self) -> float | None:
        """Largest excess of the losses over the straight line between the ends', in nats."""
        return height(self.losses)


class Unmeasured(BaseModel):
    """A barrier that is asked for, and why it is not measured."""

    model_config = ConfigDict(frozen=True)

    run: str
    against: str
    why: str


class BarriersFile(BaseModel):
    """`barriers.json`: every barrier that is asked for, measured or not."""

    measures: int
    """Version of the numbers that a barrier's measure computes."""
    barriers: tuple[Barrier, ...]
    missing: tuple[Unmeasured, ...]


BARRIER_POINT = ("share", "loss")
"""What the store keeps of each point of a line."""

CEILING_COLUMNS = tuple(Comparison.model_fields)
CEILING_MEASURES = CEILING_COLUMNS[3:]


def measurement_fault(measure: object, entry: Mapping[str, Any]) -> str | None:
    """What is wrong with a stored measurement that is to be of a measure, or None.

    Args:
        measure: `stability`, `field`, `sharpness`, `ceiling` or `barrier`.
        entry: `rows`, `provenance` and, of sharpness, its `protocol`.
    """
    if measure not in MEASURED:
        return "a measurement is of no known measure"
    rows, told = entry.get("rows"), entry.get("provenance")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return "a measurement has no rows"
    if any(isinstance(value, dict | list) for row in rows for value in row.values()):
        return "a measurement has rows in rows"
    kinds = {"device": str, "torch": str, "seconds": int | float}
    if not isinstance(told, dict) or not all(isinstance(told.get(n), k) for n, k in kinds.items()):
        return "a measurement has no provenance"
    if measure == "sharpness" and not isinstance(entry.get("protocol"), dict):
        return "a measurement of sharpness has no protocol"
    columns = {
        "stability": STABILITY_COLUMNS[1:],
        "field": FIELD_COLUMNS[1:],
        "barrier": BARRIER_POINT,
    }.get(str(measure))
    if columns and any(row.keys() != set(columns) for row in rows):
        return f"a measurement of {measure} has other columns than one has"
    if measure == "barrier" and not all(isinstance(r["loss"], float | None) for r in rows):
        return "a measurement of a barrier has losses that are no numbers"
    return None
