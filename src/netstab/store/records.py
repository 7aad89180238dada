"""What is known of a state without its tensors, and how it is written down."""

import json
from dataclasses import dataclass, field, fields
from typing import Annotated, Any

from pydantic import Field

from netstab.errors import StoreError
from netstab.plain_json import digest, parse
from netstab.results.exported import Trained
from netstab.results.schema import Row, Sha256


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a state without its tensors.

    Attributes:
        key: SHA-256 (hex) of `inputs`.
        run: name of the run that trained up to it, for people.
        epoch: the state is the one at the start of this epoch.
        inputs: everything that determines the state: identity and schedule so far.
        history: a row for each epoch so far.
        provenance: a row for each segment so far: fields of a `TrainedSegment`.
        interim: saved in mid-segment against kills; goes when the segment is done.
        sha256: of the tensors' file.
        size: of the tensors' file in bytes.
        settings: what of params.yaml made the schedule, for people (`netstab plan --explain`).
    """

    key: str
    run: str
    epoch: int
    inputs: dict[str, Any]
    history: list[Row] = field(repr=False)
    provenance: list[dict[str, Any]] = field(repr=False)
    interim: bool
    sha256: str = ""
    size: int = 0
    settings: dict[str, Any] = field(default_factory=dict, repr=False)


class _Content(Trained):
    """Fields of a `Record`, whoever wrote it."""

    interim: bool
    sha256: Sha256
    size: Annotated[int, Field(ge=0)]
    settings: dict[str, Any] = Field(default_factory=dict)


def write(record: Record) -> str:
    """A record as JSON, with its hash.

    Raises:
        StoreError: it would be refused when it is read, and trained again without end.
    """
    content = {part.name: getattr(record, part.name) for part in fields(record)}
    text = json.dumps({**content, "record_sha256": digest(content)})
    try:
        read(parse(text.encode()), record.key)
    except ValueError as error:
        why = " ".join(str(error).split())[:300]
        raise StoreError(
            f"{record.run} at epoch {record.epoch}: is not stored, for it could not be read again "
            f"({why}); change the name or value in params.yaml that this tells of"
        ) from error
    return text


def read(content: Any, key: str) -> Record:
    """The record of a key from what `write` wrote.

    Raises:
        ValueError: it is damaged, of another key, or no record.
    """
    if not isinstance(content, dict):
        raise ValueError("it is no record")
    told = content.pop("record_sha256", None)
    if content.get("key") != key or told != digest(content):
        raise ValueError("its hash or its key is another one")
    _Content.model_validate(content)
    return Record(**content)
