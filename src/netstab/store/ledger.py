"""What the parameters ask for, held against what the store has."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from netstab import paths
from netstab.data.dataset import OFFICIAL, Dataset
from netstab.data.manifest import read_manifest
from netstab.errors import DataError
from netstab.params import Params, read
from netstab.store.imported import Imports
from netstab.store.measurements import Measurements
from netstab.store.records import Record
from netstab.store.settings import versions
from netstab.store.states import Store
from netstab.store.wanted import Asked, Wanted
from netstab.study import plan
from netstab.study.barriers import Pair
from netstab.study.experiments import Run, Variant
from netstab.study.measuring import FIRST


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


class Ledger(Wanted):
    """What is wanted, and how far the store has it.

    Args:
        params: the parameters.
        dataset: what is known of the images.
        store: where states are kept.
        numerics: version of the numbers that training computes.
        measures: versions of the numbers that each measure computes.
        measurements: where they are kept; None for beside the states.
    """

    def __init__(
        self,
        params: Params,
        dataset: Dataset,
        store: Store,
        numerics: int,
        measures: Mapping[str, int] = FIRST,
        measurements: Measurements | None = None,
    ) -> None:
        super().__init__(params, dataset, numerics, measures)
        self.store = store
        self.measurements = measurements or Measurements(store)
        self.imports = Imports(store)

    def unmeasured(self, run: Run) -> list[Asked]:
        """What is to be measured of a run and is not there."""
        return [asked for asked in self.asked(run) if asked.key not in self.measurements]

    def is_measured(self, run: Run) -> bool:
        """Whether everything that is wanted of a run is measured."""
        return not self.unmeasured(run)

    def unmeasured_barriers(self) -> tuple[list[Pair], dict[Pair, str]]:
        """Pairs without a barrier whose states are stored, and others with what these lack."""
        there = self.store.listing() if self.pairs else set()
        ready, lacking = [], {}
        for pair in self.pairs:
            if self.barrier_key(pair) in self.measurements:
                continue
            missing = [
                f"{which} was imported without its weights"
                if key in self.imports
                else f"{which} is not in the store"
                for key, which in self.barrier_states(pair).items()
                if key not in there
            ]
            if missing:
                lacking[pair] = missing[0]
            else:
                ready.append(pair)
        return ready, lacking

    def finished(self, run: Run) -> Record | None:
        """The record of a run's end, where the store has it; without tensors if it was imported."""
        key = self.end_key(run)
        record = self.store.record(key)
        return self.imports.record(key) if record is None or record.interim else record

    def resume(self, run: Run, end: int | None = None) -> Resume:
        """The deepest state on the run's way to an epoch (None: its own end) to go on from."""
        keys, found, kept = self.store.listing(), None, 0
        last = self.schedule(run).epochs if end is None else end
        for epoch in range(last, 0, -1) if keys else ():
            record = self._record(run, epoch, keys)
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

    def resume_view(self, run: Run) -> Resume:
        """Where the host can go on for a view of it, to the view's end.

        Up to the view's start from any state of the host; behind it from one at which the view was
        saved too.
        """
        keys, host, start = self.store.listing(), self.host(run), self.tree.views[run.variant]
        end = self.schedule(run).epochs
        for epoch in range(end - 1, 0, -1) if keys else ():
            if epoch <= start or self._record(run, epoch, keys):
                record = self._record(host, epoch, keys)
                if record is not None:
                    return Resume(0, epoch, record, end)
        return Resume(0, 0, None, end)

    def _record(self, run: Run, epoch: int, keys: set[str]) -> Record | None:
        key = self.key(run, epoch)
        return self.store.record(key) if key in keys else None

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
            return epoch == self.schedule(run).epochs and self.is_measured(run)

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
