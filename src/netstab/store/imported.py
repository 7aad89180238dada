"""Runs that were trained elsewhere: records without tensors, in a folder of their own.

A run that was imported is collected like one that was trained here, but no state of it is in the
store: nothing can go on from it or be measured on it. So nothing that looks for states finds it;
who wants to know whether a run is finished asks here as well.
"""

from functools import cached_property

from pydantic import ValidationError

from netstab.results.exported import FinishedRun
from netstab.store.documents import Documents
from netstab.store.records import Record
from netstab.store.states import Store


class Imports(Documents):
    """Imported runs under the keys of their last states."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, "imported", "imported run", "import it again")

    def run(self, key: str) -> FinishedRun | None:
        """An imported run, or None where there is none; a damaged one is set aside.

        Raises:
            StoreError: the store cannot be read, or a damaged file cannot be moved.
        """
        entry = self.read(key)
        if entry is None:
            return None
        try:
            return FinishedRun.model_validate(entry)
        except ValidationError:
            self.set_aside(key)
            return None

    def record(self, key: str) -> Record | None:
        """The record of an imported run's end, whose tensors are elsewhere; see `run`."""
        run = self.run(key)
        if run is None:
            return None
        return Record(
            key=run.key,
            run=run.run,
            epoch=run.epoch,
            inputs=run.inputs,
            history=[dict(row) for row in run.history],
            provenance=[segment.model_dump(by_alias=True) for segment in run.provenance],
            interim=False,
            sha256=run.tensors_sha256,
        )

    @cached_property
    def hashes(self) -> dict[str, str]:
        """Key -> hash of the tensors, of every state on the way of an imported run."""
        found = (self.run(key) for key in sorted(self.listing()))
        return {k: sha256 for run in found if run for k, sha256 in run.hashes.items()}

    def contradicts(self, record: Record) -> bool:
        """Whether a state has other bits here than where imported runs went through it."""
        return self.hashes.get(record.key, record.sha256) != record.sha256
