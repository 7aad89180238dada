"""What was measured on states: key -> rows and provenance."""

from netstab.results.schema import measurement_fault
from netstab.store.documents import Documents, Entry
from netstab.store.states import Store


class Measurements(Documents):
    """Measurements under their keys.

    An entry has `rows` (values by name), `provenance` (device, torch, seconds, when) and, of
    sharpness, `protocol`.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(
            store, "measurements", "measurement", "it is taken again when it is needed"
        )

    def sound(self, key: str, measure: str) -> Entry | None:
        """The entry of a measure, or None where it is missing, or damaged and set aside by this.

        Args:
            key: of the measurement.
            measure: `stability`, `field`, `sharpness`, `ceiling` or `barrier`.

        Raises:
            StoreError: see `read`.
        """
        entry = self.read(key)
        if entry is not None and measurement_fault(measure, entry):
            self.set_aside(key)
            return None
        return entry
