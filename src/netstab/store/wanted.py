"""What the parameters ask for: runs, and the keys of their states and measurements. No files."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

from netstab import source_code
from netstab.data.dataset import Dataset
from netstab.params import Params
from netstab.study import measuring, plan
from netstab.study.barriers import Pair, pairs
from netstab.study.cost import Costs
from netstab.study.experiments import REFERENCES, Run, Variant, runs
from netstab.study.keys import identity, state_key, view_identity
from netstab.study.schedule import Schedule

NOT_PREPARED = "not prepared"
"""In place of the images' hash, which no state has been trained on."""


class Asked(NamedTuple):
    """A measurement that is asked for.

    Attributes:
        measure: `stability`, `field` or `sharpness`.
        epoch: that it is taken over; of sharpness that at whose start the state is.
        scope: of sharpness, `network` or a block; empty for the others.
        key: under which it is stored.
        inputs: what the key is the hash of.
    """

    measure: str
    epoch: int
    scope: str
    key: str
    inputs: dict[str, Any]


class Wanted:
    """The study's runs and their keys.

    Args:
        params: the parameters.
        dataset: what is known of the images.
        numerics: version of the numbers that training computes.
        measures: versions of the numbers that each measure computes.
    """

    def __init__(
        self, params: Params, dataset: Dataset, numerics: int, measures: Mapping[str, int]
    ) -> None:
        self.params = params
        self.dataset = dataset
        self.numerics = numerics
        self.measures = measures
        model = params.model
        self.code = source_code.digest(model.name) if model.is_own else None
        self._keys: dict[tuple[Run, int], str] = {}
        self.tree = plan.tree(params)
        shape = (dataset.training_images, dataset.channels, dataset.classes)
        self.costs = Costs(params, *shape)

    def schedule(self, run: Run) -> Schedule:
        """The schedule of a run."""
        return self.tree.schedules[run.variant]

    def identity(self, seed: int) -> dict[str, Any]:
        """Everything but the schedule that determines the states of a seed."""
        data = self.dataset.identity or NOT_PREPARED
        return identity(self.params, seed, data=data, numerics=self.numerics, code=self.code)

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

    def asked(self, run: Run, measure: str | None = None) -> list[Asked]:
        """What is to be measured of a run, by one measure or by all; nothing of a view."""
        if self.is_view(run):
            return []
        params, schedule = self.params, self.schedule(run)
        found: list[tuple[str, int, str, dict[str, Any]]] = []
        for over in measuring.OVER_EPOCHS:
            epochs = measuring.epochs_of(params, schedule, over)
            for epoch in epochs:
                state, batch = self.key(run, epoch + 1), schedule.at(epoch).batch_size
                floor = epoch in (epochs[0], epochs[-1])
                inputs = measuring.epoch_inputs(params, over, state, batch, floor=floor)
                found.append((over, epoch, "", inputs))
        for epoch, scopes in measuring.sharpness_scopes(params, schedule).items():
            for scope in scopes:
                inputs = measuring.sharpness_inputs(params, self.key(run, epoch), scope)
                found.append(("sharpness", epoch, scope, inputs))
        return [
            Asked(by, epoch, scope, self.measurement_key(inputs), inputs)
            for by, epoch, scope, inputs in found
            if measure in (None, by)
        ]

    def ceiling_keys(self) -> dict[str, str]:
        """Reference -> key of its comparison between two seeds; empty where none is asked for."""
        names = REFERENCES if self.params.ceiling_pair else ()
        return {name: self.measurement_key(self.ceiling_inputs(name)) for name in names}

    def ceiling_inputs(self, name: str) -> dict[str, Any]:
        """What determines the comparison of a reference's ends."""
        ends = [self.end_key(run) for run in self.compared(name)]
        return measuring.ceiling_inputs(self.params, ends)

    def compared(self, name: str) -> list[Run]:
        """The runs of a reference whose ends are compared: of two seeds, or none."""
        return [Run(Variant(name), seed) for seed in self.params.ceiling_pair]

    @cached_property
    def pairs(self) -> list[Pair]:
        """The states between which barriers are asked for."""
        return pairs(self.params, self.tree.schedules)

    def barrier_key(self, pair: Pair) -> str:
        """Key of the loss on the line between two states."""
        return self.measurement_key(self.barrier_inputs(pair))

    def barrier_inputs(self, pair: Pair) -> dict[str, Any]:
        """What determines the loss on the line between two states."""
        keys = self.end_key(pair.run), self.key(pair.other, pair.epoch)
        return measuring.barrier_inputs(self.params, keys)

    def barrier_states(self, pair: Pair) -> dict[str, str]:
        """Key -> which it is, in words, of every state that the line needs.

        An average is of weights alone: whatever else the network has comes from the baseline's end.
        """
        needed = {
            self.end_key(pair.run): "the run's end",
            self.key(pair.other, pair.epoch): "the state that it is joined with",
        }
        if self.is_view(pair.other):
            needed.setdefault(self.key(self.host(pair.other), pair.epoch), "the baseline's end")
        return needed

    def measurement_key(self, inputs: dict[str, Any]) -> str:
        """Key of a measurement."""
        return measuring.measurement_key(self.measures, inputs)

    def end_key(self, run: Run) -> str:
        """Key of a run's last state."""
        return self.key(run, self.schedule(run).epochs)

    def keys(self, run: Run) -> list[str]:
        """Keys of a run's last state and of all its measurements."""
        return [self.end_key(run), *(asked.key for asked in self.asked(run))]

    def sharers(self, run: Run, epoch: int) -> list[Run]:
        """The runs of a seed that are in the same state at the start of an epoch; views are not."""
        key = self.key(run, epoch)
        others = (Run(v, run.seed) for v in self.tree.schedules if v not in self.tree.views)
        return [other for other in others if self.key(other, epoch) == key]

    def kept(self) -> dict[str, str]:
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
