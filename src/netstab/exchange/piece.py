"""A piece of a study as plain data: finished runs, trained somewhere, without their weights.

Everything in it is checked against itself: keys are recomputed from what determines a state, so
that a run can be taken for no other one; numbers are finite; a history is as long as its run. What
the weights were is told by hashes of the states at which the run branches from others. No torch.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from netstab.params import PARTS
from netstab.study.keys import before, key_of, shared_epochs
from netstab.study.measuring import measurement_key

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Whole = Annotated[int, Field(ge=0, le=10**9)]
Epoch = Annotated[int, Field(ge=1, le=1_000_000)]
Text = Annotated[str, Field(max_length=300)]
Number = Annotated[float, Field(ge=0)]

COLUMNS = (
    "epoch",
    "train_loss",
    "train_top1_pct",
    "val_loss",
    "val_top1_pct",
    "val_top5_pct",
    *(f"{what}_{part}" for part in PARTS for what in ("lr", "frozen")),
)
"""Of a row of a history."""


STABILITY_COLUMNS = (
    "epoch",
    "distance",
    "block",
    *(f"{d}_{what}" for d in ("forward", "backward") for what in ("change", "cosine", "cka")),
    "path",
    "changed_pct",
    "kl_nats",
)
"""Of a row of stability.csv; a measurement's rows have all but the epoch."""


class _Checked(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class Stretch(_Checked):
    """Who trained a stretch of epochs, on what, and how long it took."""

    start: Annotated[int, Field(alias="from", ge=0)]
    to: Epoch
    seconds: Number
    flop: Number
    trained_for: Text
    finished_at: Text
    device: Text
    device_type: Text
    torch: Text
    threads: Whole
    host: Text

    @property
    def where(self) -> str:
        """For people: device, torch and host."""
        return f"{self.device}, torch {self.torch}, on {self.host}, {self.finished_at}"


class Passed(_Checked):
    """A state on the way of a run, at which others branch off, or the run's own end."""

    epoch: Epoch
    key: Sha256
    sha256: Sha256
    """Of its tensors: weights, buffers and momentum, by name."""


class FinishedRun(_Checked):
    """A finished run: its last state's record, and hashes of the states on its way."""

    key: Sha256
    run: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,200}$")]
    epoch: Epoch
    inputs: dict[str, Any]
    """What `key` is the hash of."""
    history: list[dict[str, int | float]]
    provenance: Annotated[list[Stretch], Field(min_length=1)]
    tensors_sha256: Sha256
    way: list[Passed]

    @model_validator(mode="after")
    def _is_what_it_says(self) -> Self:
        if key_of(self.inputs) != self.key:
            raise ValueError("its key is not the hash of what determines it")
        if _epochs(self.inputs) != self.epoch:
            raise ValueError("its schedule has another number of epochs")
        epochs = [row.get("epoch") for row in self.history]
        if epochs != list(range(self.epoch)) or not all(type(epoch) is int for epoch in epochs):
            raise ValueError(f"its history has not one row for each of {self.epoch} epochs")
        if any(row.keys() != set(COLUMNS) for row in self.history):
            raise ValueError("its history has other columns than a history has")
        return self

    @model_validator(mode="after")
    def _way_is_its_own(self) -> Self:
        for state in self.way:
            if state.epoch > self.epoch or key_of(before(self.inputs, state.epoch)) != state.key:
                raise ValueError(f"the state at epoch {state.epoch} is not on its way")
        if self.hashes[self.key] != self.tensors_sha256:
            raise ValueError("its last state has two hashes")
        return self

    @property
    def seed(self) -> object:
        """The seed that it was trained from."""
        return self.inputs.get("seed")

    @property
    def hashes(self) -> dict[str, str]:
        """Key -> hash of the tensors, for every state of it that is known."""
        return {self.key: self.tensors_sha256} | {state.key: state.sha256 for state in self.way}

    def trained(self, key: str) -> Stretch:
        """Where the state of a key was trained, as the provenance of the run tells it."""
        epoch = next((state.epoch for state in self.way if state.key == key), self.epoch)
        return next((s for s in self.provenance if s.start < epoch <= s.to), self.provenance[-1])

    def shared_with(self, other: "FinishedRun") -> int:
        """Number of first epochs in which two runs have the same past."""
        return shared_epochs(self.inputs, other.inputs)


def measurement_fault(measure: object, entry: Mapping[str, Any]) -> str | None:
    """What is wrong with an entry of the notebook that is to be of a measure, or None."""
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
    columns = set(STABILITY_COLUMNS) - {"epoch"}
    if measure == "stability" and any(row.keys() != columns for row in rows):
        return "a measurement of stability has other columns than one has"
    return None


class Measurement(_Checked):
    """What was measured on a state or over an epoch."""

    key: Sha256
    inputs: dict[str, Any]
    entry: dict[str, Any]

    @model_validator(mode="after")
    def _is_a_measurement(self) -> Self:
        fault = measurement_fault(self.inputs.get("measure"), self.entry)
        if fault:
            raise ValueError(fault)
        return self


class Piece(_Checked):
    """Finished runs of a study, and what was measured on them."""

    data: Sha256
    """Content hash of the images."""
    numerics: Whole
    """Version of the numbers that training computes."""
    measures: Whole
    """Version of the numbers that the measures compute."""
    runs: Annotated[list[FinishedRun], Field(min_length=1)]
    measurements: list[Measurement]

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        for run in self.runs:
            if (run.inputs.get("data"), run.inputs.get("numerics")) != (self.data, self.numerics):
                raise ValueError(f"{run.run} was trained on other images or by other numbers")
        for found in self.measurements:
            if measurement_key(self.measures, found.inputs) != found.key:
                raise ValueError("a measurement's key is not the hash of what determines it")
        return self


def fault_of(error: ValidationError) -> str:
    """The first fault in words: where, and what."""
    fault = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, fault["loc"]))
    what = fault["msg"].removeprefix("Value error, ")
    return f"{where}: {what}" if where else what


def _epochs(inputs: dict[str, Any]) -> int:
    """Length of the schedule that determines a state."""
    phases = inputs.get("schedule")
    if not isinstance(phases, list) or not all(isinstance(phase, dict) for phase in phases):
        raise ValueError("it has no schedule")
    lengths = [phase.get("epochs") for phase in phases]
    if not all(type(length) is int and 0 < length <= 10**6 for length in lengths):
        raise ValueError("its schedule has no epochs")
    return sum(lengths)
