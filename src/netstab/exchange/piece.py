"""A piece of a study as plain data: finished runs, trained somewhere, without their weights.

Everything in it is checked against itself: keys are recomputed from what determines a state, so
that a run can be taken for no other one; numbers are finite; a history is as long as its run. What
the weights were is told by hashes of the states at which the run branches from others.
"""

from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from netstab.results.exported import FinishedRun
from netstab.results.schema import Checked, Sha256, Whole, measurement_fault
from netstab.study.measuring import MEASURES, measurement_key


class Measurement(Checked):
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


class Piece(Checked):
    """Finished runs of a study, and what was measured on them."""

    data: Sha256
    """Content hash of the images."""
    numerics: Whole
    """Version of the numbers that training computes."""
    measures: dict[str, Whole]
    """Versions of the numbers that each measure computes."""
    runs: Annotated[list[FinishedRun], Field(min_length=1)]
    measurements: list[Measurement]

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        if self.measures.keys() != set(MEASURES):
            raise ValueError("it does not state a version of each measure")
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
