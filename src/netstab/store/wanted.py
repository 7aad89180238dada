"""What the parameters ask for: runs, and the keys of their states and measurements. No files."""

from functools import cached_property
from itertools import chain
from typing import Any

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


class Wanted:
    """The study's runs and their keys.

    Args:
        params: the parameters.
        dataset: what is known of the images.
        numerics: version of the numbers that training computes.
        measures: version of the numbers that the measures compute.
    """

    def __init__(self, params: Params, dataset: Dataset, numerics: int, measures: int) -> None:
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

    def keys_over_epochs(self, run: Run, measure: str) -> dict[int, str]:
        """Epoch -> key of what `measure` says over it, in rising order; a view has none."""
        if self.is_view(run):
            return {}
        return {
            epoch: self.measurement_key(self.epoch_inputs(run, measure, epoch))
            for epoch in measuring.epochs_of(self.params, self.schedule(run), measure)
        }

    def epoch_keys(self, run: Run) -> dict[tuple[str, int], str]:
        """(measure, epoch) -> key, of whatever is measured over an epoch."""
        return {
            (measure, epoch): key
            for measure in measuring.OVER_EPOCHS
            for epoch, key in self.keys_over_epochs(run, measure).items()
        }

    def has_floor(self, run: Run, measure: str, epoch: int) -> bool:
        """Whether a measurement over an epoch has its floor: in the first and the last one."""
        wanted = measuring.epochs_of(self.params, self.schedule(run), measure)
        return epoch in (wanted[0], wanted[-1])

    def epoch_inputs(self, run: Run, measure: str, epoch: int) -> dict[str, Any]:
        """What determines a measurement over an epoch."""
        state, batch = self.key(run, epoch + 1), self.schedule(run).at(epoch).batch_size
        floor = self.has_floor(run, measure, epoch)
        return measuring.epoch_inputs(self.params, measure, state, batch, floor=floor)

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
        measured = self.epoch_keys(run).values(), self.sharpness_keys(run).values()
        return [self.end_key(run), *chain(*measured)]

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
