"""What a record of a state must be, whoever wrote it. No torch here."""

from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, model_validator

from netstab.results.schema import Checked, Epoch, Row, Sha256, TrainedSegment


class Content(Checked):
    """A record's fields; see `store.Record`."""

    # A validation loss that is not finite is a result.
    model_config = ConfigDict(allow_inf_nan=True)

    key: Sha256
    run: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,200}$")]
    epoch: Epoch
    inputs: dict[str, Any]
    history: list[Row]
    provenance: list[TrainedSegment]
    interim: bool
    sha256: Sha256
    size: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _has_a_row_an_epoch(self) -> Self:
        if [row.get("epoch") for row in self.history] != list(range(self.epoch)):
            raise ValueError("its history has not one row for each epoch")
        if any(row.keys() != self.history[0].keys() for row in self.history):
            raise ValueError("its history has other columns in other rows")
        return self
