"""What the parameters ask for, held against what the store has. No torch here."""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netstab import paths
from netstab.data.dataset import OFFICIAL, Dataset
from netstab.data.manifest import read_manifest
from netstab.errors import DataError, NetstabError
from netstab.params import Params, read
from netstab.store.imported import Imports
from netstab.store.measurements import Measurements
from netstab.store.records import Record
from netstab.store.states import Store
from netstab.study import measuring, plan
from netstab.study.cost import Costs
from netstab.study.experiments import REFERENCES, Run, Variant, runs
from netstab.study.keys import identity, state_key, view_identity
from netstab.study.schedule import Schedule


def versions() -> tuple[int, int]:
    """Versions of the numbers that the code computes: of training, and of the measures.

    The first is part of every state's key, the second of every measurement's.
    """
    content = json.loads(paths.NUMERICS.read_text(encoding="utf-8"))
    found = content.get("version"), content.get("measures")
    if not all(isinstance(version, int) for version in found):
        raise NetstabError(f"{paths.NUMERICS}: has no version; restore it from git")
    return found


@dataclass(frozen=True)
class Resume:
    """Where a run can go on.

    Attributes:
        kept: epoch of the deepest state that stays; names the segment, 0 for the very start.
        epoch: epoch of the deepest state of any kind; its key and record, None at epoch 0.
        end: epoch at which the segment ends and its state is kept.
    """

    kept: int
    epoch: int
    record: Record | None
    end: int


class Ledger:
    """The study's runs, their keys, and how far the store has them."""

    def __init__(
        self,
        params: Params,
        dataset: Dataset,
        store: Store,
        numerics: int,
        measures: int = 0,
        measurements: Measurements | None = None,
    ) -> None:
        self.params = params
        self.dataset = dataset
        self.store = store
        self.measurements = measurements or Measurements(store)
        self.imports = Imports(store)
        self.numerics = numerics
        self.measures = measures
        self._keys: dict[tuple[Run, int], str] = {}
        self.tree = plan.tree(params)
        shape = (dataset.training_images, dataset.channels, dataset.classes)
        self.costs = Costs(params, *shape)

    def schedule(self, run: Run) -> Schedule:
        """The schedule of a run."""
        return self.tree.schedules[run.variant]

    def identity(self, seed: int) -> dict[str, Any]:
        """Everything but the schedule that determines the states of a seed."""
        data = self.dataset.identity or "not prepared"
        return identity(self.params, seed, data=data, numerics=self.numerics)

    def key(self, run: Run, epoch: int) -> str:
        """Key of a run's state at the start of an epoch."""
        if (run, epoch) not in self._keys:
            who = self._who(run, epoch)
            self._keys[run, epoch] = state_key(who, self.schedule(run), epoch)
        return self._keys[run, epoch]

    def inputs(self, run: Run, epoch: int) -> dict[str, Any]:
        """What the key is the hash of."""
        return {**self._who(run, epoch), "schedule": self.schedule(run).before(epoch)}

    def _who(self, run: Run, epoch: int) -> dict[str, Any]:
        return {**self.identity(run.seed), **view_identity(self.params, run.variant, epoch)}

    def host(self, run: Run) -> Run:
        """The run whose training a view looks at."""
        return Run(Variant("baseline"), run.seed)

    def is_view(self, run: Run) -> bool:
        """Whether a run is a view of another one's training."""
        return run.variant in self.tree.views

    def views_of(self, run: Run) -> list[Run]:
        """The views of a run's training, whether they are stored or not."""
        return [Run(v, run.seed) for v in self.tree.views] if run == self.host(run) else []

    def stability_keys(self, run: Run) -> dict[int, str]:
        """Epoch -> key of its measurement of stability, in rising order; a view has none."""
        epochs = measuring.stability_epochs(self.params, self.schedule(run))
        return {
            epoch: self.measurement_key(self.stability_inputs(run, epoch))
            for epoch in epochs
            if not self.is_view(run)
        }

    def has_floor(self, run: Run, epoch: int) -> bool:
        """Whether stability over an epoch comes with its floor: in the first and the last one."""
        wanted = measuring.stability_epochs(self.params, self.schedule(run))
        return epoch in (wanted[0], wanted[-1])

    def stability_inputs(self, run: Run, epoch: int) -> dict[str, Any]:
        """What determines the measurement over an epoch."""
        state, floor = self.key(run, epoch + 1), self.has_floor(run, epoch)
        return measuring.stability_inputs(self.params, state, floor=floor)

    def sharpness_keys(self, run: Run) -> dict[tuple[int, str], str]:
        """(epoch, scope) -> key of its measurement of sharpness; a view has none."""
        if self.is_view(run):
            return {}
        wanted = measuring.sharpness_scopes(self.params, self.schedule(run))
        return {
            (epoch, scope): self.measurement_key(self.sharpness_inputs(run, epoch, scope))
            for epoch, scopes in wanted.items()
            for scope in scopes
        }

    def sharpness_inputs(self, run: Run, epoch: int, scope: str) -> dict[str, Any]:
        """What determines the measurement of a state."""
        return measuring.sharpness_inputs(self.params, self.key(run, epoch), scope)

    def ceiling_keys(self) -> dict[str, str]:
        """Reference -> key of its comparison between two seeds; empty where none is asked for."""
        names = REFERENCES if self.params.ceiling_pair else ()
        return {name: self.measurement_key(self.ceiling_inputs(name)) for name in names}

    def ceiling_inputs(self, name: str) -> dict[str, Any]:
        """What determines the comparison of a reference's ends."""
        ends = [self.key(run, self.schedule(run).epochs) for run in self.compared(name)]
        return measuring.ceiling_inputs(self.params, ends)

    def compared(self, name: str) -> list[Run]:
        """The runs of a reference whose ends are compared: of two seeds, or none."""
        return [Run(Variant(name), seed) for seed in self.params.ceiling_pair]

    def measurement_key(self, inputs: dict[str, Any]) -> str:
        """Key of a measurement."""
        return measuring.measurement_key(self.measures, inputs)

    def unmeasured(self, run: Run) -> tuple[list[int], list[tuple[int, str]]]:
        """Epochs without their measurement of stability, states and scopes without sharpness."""
        return (
            [e for e, key in self.stability_keys(run).items() if key not in self.measurements],
            [at for at, key in self.sharpness_keys(run).items() if key not in self.measurements],
        )

    def sharers(self, run: Run, epoch: int) -> list[Run]:
        """The runs of a seed that are in the same state at the start of an epoch; views are not."""
        key = self.key(run, epoch)
        others = (Run(v, run.seed) for v in self.tree.schedules if v not in self.tree.views)
        return [other for other in others if self.key(other, epoch) == key]

    def finished(self, run: Run) -> Record | None:
        """The record of a run's end, where the store has it; without tensors if it was imported."""
        key = self.key(run, self.schedule(run).epochs)
        record = self.store.record(key)
        return self.imports.record(key) or record if record is None or record.interim else record

    def resume(self, run: Run, end: int | None = None) -> Resume:
        """The deepest state on the run's way to an epoch (None: its own end) to go on from."""
        keys, found, kept = self.store.listing(), None, 0
        last = end or self.schedule(run).epochs
        for epoch in range(last, 0, -1) if keys else ():
            key = self.key(run, epoch)
            record = self.store.record(key) if key in keys else None
            if record is None:
                continue
            found = found or record
            if not record.interim:
                kept = epoch
                break
        epoch = found.epoch if found else 0
        ends = plan.kept_epochs(self.params, self.tree, run.variant)
        # None is ahead where another process has finished the run in the meantime.
        end = next((e for e in ends if e > kept and e >= epoch), last)
        return Resume(kept, epoch, found, end)

    def outstanding(self) -> dict[int, list[plan.Work]]:
        """By seed, what is still to be trained."""
        keys = self.store.listing()

        def of(seed: int) -> list[plan.Work]:
            stored = self._stored(seed, keys)
            return plan.outstanding(self.tree, stored) + self._replays(seed, stored, keys)

        return {seed: of(seed) for seed in self.params.seeds}

    def missing(self, chosen: Collection[Run]) -> dict[int, list[plan.MissingSegment]]:
        """By seed, what of the tree's segments is still to be trained for some runs."""
        keys = self.store.listing()

        def of(seed: int) -> list[plan.MissingSegment]:
            wanted = {run.variant for run in chosen if run.seed == seed}
            return plan.missing(self.tree, self._stored(seed, keys), wanted)

        return {seed: of(seed) for seed in self.params.seeds}

    def _stored(self, seed: int, keys: set[str]) -> Callable[[Variant, int], bool]:
        imported = self.imports.listing()
        if not keys and not imported:
            return lambda variant, epoch: False

        def stored(variant: Variant, epoch: int) -> bool:
            run = Run(variant, seed)
            key = self.key(run, epoch)
            if key in keys or key not in imported:
                return key in keys
            # Nothing goes on from it, and nothing more can be measured on it: it can be collected.
            return epoch == self.schedule(run).epochs and not any(self.unmeasured(run))

        return stored

    def _replays(
        self, seed: int, stored: Callable[[Variant, int], bool], keys: set[str]
    ) -> list[plan.Work]:
        """Epochs of the baseline to be trained anew for views that were not there when it was."""
        host = self.host(Run(Variant("baseline"), seed))
        end = self.schedule(host).epochs
        missing = [s for v, s in self.tree.views.items() if not stored(v, end)]
        if not missing or not stored(host.variant, end):
            return []
        start = min(missing) if self.key(host, end) in keys else 0  # an imported one has no past
        return [
            plan.Work(host.variant, phase, phase.end - max(phase.start, start))
            for phase in self.schedule(host).phases
            if phase.end > start
        ]

    def wanted(self) -> dict[str, str]:
        """Key -> name, for every state that the current plan keeps; the first run's, if shared."""
        return {
            self.key(run, epoch): f"{run.name} at {epoch}"
            for run in reversed(runs(self.params))
            for epoch in plan.kept_epochs(self.params, self.tree, run.variant)
        }

    def passed(self) -> set[str]:
        """Keys of every state on the way of any run of the plan."""
        return {
            self.key(run, epoch)
            for run in runs(self.params)
            for epoch in range(1, self.schedule(run).epochs + 1)
        }


def open_ledger(
    root: Path, store: Store | None = None, *, content: Params | None = None, planning: bool = False
) -> Ledger:
    """The study of a checkout, or of a folder of results, held against the store.

    Args:
        root: holds `params.yaml` and `data/manifest.json`.
        store: where states are kept; None for the checkout's.
        content: what `params.yaml` says; None to read it.
        planning: do with what a data set will look like, where its images are not prepared.

    Raises:
        NetstabError: `params.yaml` or the manifest cannot be used.
    """
    content = content or read(root / paths.PARAMS)
    try:
        dataset = Dataset.prepared(read_manifest(root))
    except DataError:
        if not planning:
            raise
        dataset = OFFICIAL[content.data.dataset]
    return Ledger(content, dataset, store or Store(paths.store_root()), *versions())
