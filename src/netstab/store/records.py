"""What a record of a state must be, whoever wrote it. No torch here."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
Text = Annotated[str, Field(max_length=300)]
Number = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Checked(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class _Stretch(_Checked):
    """Fields that are looked at; another version of netstab may write fewer or more."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str | int | float | bool | None]

    start: Annotated[Count, Field(alias="from")]
    to: Count
    seconds: Number
    flop: Number = 0.0
    trained_for: Text = ""
    finished_at: Text = ""
    device: Text = ""
    device_type: Text = ""
    torch: Text = ""
    host: Text = ""


class Content(_Checked):
    """A record's fields; see `store.Record`."""

    key: Sha256
    run: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,200}$")]
    epoch: Annotated[int, Field(ge=1, le=1_000_000)]
    inputs: dict[str, Any]
    history: list[dict[str, int | float]]
    provenance: list[_Stretch]
    interim: bool
    sha256: Sha256
    size: Count

    @model_validator(mode="after")
    def _has_a_row_an_epoch(self) -> Self:
        if [row.get("epoch") for row in self.history] != list(range(self.epoch)):
            raise ValueError("its history has not one row for each epoch")
        if any(row.keys() != self.history[0].keys() for row in self.history):
            raise ValueError("its history has other columns in other rows")
        return self
