"""A finished run without its weights, as another machine can hold it; checked against itself."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from netstab.results.schema import Checked, Epoch, Row, Sha256, TrainedSegment, history_columns
from netstab.study.keys import before, key_of, shared_epochs


class Trained(Checked):
    """What is known of a trained state without its tensors."""

    key: Sha256
    run: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,200}$")]
    epoch: Epoch
    inputs: dict[str, Any]
    """What `key` is the hash of."""
    history: list[Row]
    provenance: Annotated[list[TrainedSegment], Field(min_length=1)]

    @model_validator(mode="after")
    def _has_its_history(self) -> Self:
        epochs = [row.get("epoch") for row in self.history]
        if epochs != list(range(self.epoch)) or not all(type(epoch) is int for epoch in epochs):
            raise ValueError(f"its history has not one row for each of {self.epoch} epochs")
        rates = (name for row in self.history[:1] for name in row if name.startswith("lr_"))
        columns = set(history_columns(name.removeprefix("lr_") for name in rates))
        if any(row.keys() != columns for row in self.history):
            raise ValueError("its history has other columns than a history has")
        return self


class Passed(Checked):
    """A state on the way of a run, at which others branch off, or the run's own end."""

    epoch: Epoch
    key: Sha256
    sha256: Sha256
    """Of its tensors: weights, buffers and momentum, by name."""


class FinishedRun(Trained):
    """A finished run: its last state, and hashes of the states on its way."""

    tensors_sha256: Sha256
    way: list[Passed]

    @model_validator(mode="after")
    def _is_what_it_says(self) -> Self:
        if key_of(self.inputs) != self.key:
            raise ValueError("its key is not the hash of what determines it")
        if _epochs(self.inputs) != self.epoch:
            raise ValueError("its schedule has another number of epochs")
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
    def hashes(self) -> dict[str, str]:
        """Key -> hash of the tensors, for every state of it that is known."""
        return {self.key: self.tensors_sha256} | {state.key: state.sha256 for state in self.way}

    def trained(self, key: str) -> TrainedSegment:
        """Where the state of a key was trained, as the provenance of the run tells it."""
        epoch = next((state.epoch for state in self.way if state.key == key), self.epoch)
        return next((s for s in self.provenance if s.start < epoch <= s.end), self.provenance[-1])

    def shared_with(self, other: "FinishedRun") -> int:
        """Number of first epochs in which two runs have the same past."""
        return shared_epochs(self.inputs, other.inputs)


def _epochs(inputs: dict[str, Any]) -> int:
    """Length of the schedule that determines a state."""
    phases = inputs.get("schedule")
    if not isinstance(phases, list) or not all(isinstance(phase, dict) for phase in phases):
        raise ValueError("it has no schedule")
    lengths = [phase.get("epochs") for phase in phases]
    if not all(type(length) is int and 0 < length <= 10**6 for length in lengths):
        raise ValueError("its schedule has no epochs")
    return sum(lengths)
