"""Measures taken on a run while it trains, on a twin of its network: training cannot notice.

Every measurement goes to the store at once, under the key of the state that it belongs to, so
whatever shares that state shares the measurement, and a kill loses none.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache, partial
from typing import Any

from torch import Tensor, nn

from netstab.data.batches import Images
from netstab.measure import field, sharpness
from netstab.measure.probe import probe
from netstab.measure.stability import Row, Signals, compare, signals
from netstab.measure.views import State, copy_into
from netstab.networks.network import names_of
from netstab.store.ledger import Ledger
from netstab.store.wanted import Asked
from netstab.study import measuring
from netstab.study.experiments import Run
from netstab.training.device import Hardware, timestamp
from netstab.training.watch import Lengths, Watch

SHARPNESS_SEED = 0
"""Of start and random vectors: one for all, so that runs differ in their weights alone."""

After = Mapping[str, tuple[State, Lengths]]
"""Distance -> the weights behind it, and the lengths of the ways there."""


class Observer:
    """Takes the measurements that the store lacks.

    Args:
        ledger: says what is wanted, and has the store.
        twin: a network of the same shape, on the same device, for the measures alone.
        training: images that probes are drawn from.
        hardware: for provenance.

    Attributes:
        report: told in words what takes long.
    """

    def __init__(
        self, ledger: Ledger, twin: nn.Module, training: Images, hardware: Hardware
    ) -> None:
        self.report: Callable[[str], None] = lambda words: None
        self._ledger = ledger
        self._twin = twin
        self._hardware = hardware
        settings = ledger.params.measure
        self._boundaries = measuring.boundaries(ledger.params)
        self._blocks = {
            block: names_of(twin, ledger.params, parts)
            for block, parts in ledger.params.blocks.items()
        }
        self._probe = probe(training, settings.stability.images, "stability")
        self._field_probe = probe(training, settings.field.images, "field", settings.field.seed)
        self._subset = sharpness.Subset(*probe(training, settings.sharpness.images, "sharpness"))

    def state(self, run: Run, epoch: int, model: nn.Module) -> None:
        """Measure what is wanted of the state at the start of an epoch."""
        wanted = [asked for asked in self._lacking(run, epoch) if asked.measure == "sharpness"]
        if wanted:
            self._sharpness(run, epoch, model, wanted)

    def epoch(self, run: Run, epoch: int, model: nn.Module) -> Watch | None:
        """Begin to measure an epoch over which a measurement is wanted; None where none is."""
        wanted = [asked for asked in self._lacking(run, epoch) if asked.measure != "sharpness"]
        if not wanted:
            return None
        weights: dict[str, list[Tensor]] = {
            block: [model.get_parameter(name) for name in names]
            for block, names in self._blocks.items()
        }
        return Watch(model, weights, partial(self._take, run, wanted))

    def _lacking(self, run: Run, epoch: int) -> list[Asked]:
        known = self._ledger.measurements
        at_epoch = (asked for asked in self._ledger.asked(run) if asked.epoch == epoch)
        return [asked for asked in at_epoch if asked.key not in known]

    def _take(self, run: Run, wanted: Sequence[Asked], watch: Watch) -> None:
        """Take measurements over an epoch."""
        before = watch.before
        for asked in wanted:
            started = time.monotonic()
            floor: After = {"floor": (before, {})} if asked.inputs["floor"] else {}
            after = {**floor, **watch.after}
            if asked.measure == "stability":
                rows = self._drift(before, after)
            else:
                rows = self._field(asked.inputs["batch_size"], before, after)
            # The way is followed for all of them alike.
            seconds = time.monotonic() - started + watch.seconds / len(wanted)
            entry = {"rows": rows, "provenance": provenance(run.name, seconds, self._hardware)}
            self._ledger.measurements.write(asked.key, asked.inputs, entry)

    def rehearse(self, model: nn.Module) -> None:
        """Measure once, in brief, and record nothing: it takes all the memory that measuring does.

        Raises:
            RuntimeError: there is too little.
        """
        state = model.state_dict()
        compare(self._signals(state), self._signals(state), "floor", None)
        if self._ledger.params.measure.field.every_epochs is not None:
            self._compared(1, state, {"step": state})
        settings = self._ledger.params.measure.sharpness
        brief = settings.model_copy(update={"max_products": 2, "trace_samples": 2})
        scopes = {measuring.NETWORK: [name for name, _ in self._twin.named_parameters()]}
        sharpness.measure(self._twin, self._subset, scopes, brief, SHARPNESS_SEED)

    def _drift(self, before: State, after: After) -> list[Row]:
        """How far signals have drifted: rows of `stability.csv` without their epoch."""
        first = self._signals(before)
        return [
            row
            for distance, (state, lengths) in after.items()
            for row in compare(first, self._signals(state), distance, lengths)
        ]

    def _signals(self, state: State) -> Signals:
        copy_into(self._twin, state)
        return signals(self._twin, self._boundaries, *self._probe)

    def _field(self, batch_size: int, before: State, after: After) -> list[Row]:
        """How far gradients have shifted: rows of `field.csv` without their epoch."""
        states = {distance: state for distance, (state, _) in after.items()}
        return [
            {
                **{"distance": distance, "block": block, **asdict(shift)},
                "path": after[distance][1].get(block, 0.0),
            }
            for distance, shifts in self._compared(batch_size, before, states).items()
            for block, shift in shifts.items()
        ]

    def _compared(
        self, batch_size: int, before: State, after: Mapping[str, State]
    ) -> dict[str, dict[str, field.Shift]]:
        """Compare the field at some weights; without numbers where torch.func cannot take it."""
        x, y = self._field_probe
        try:
            return field.compare(self._twin, self._blocks, x, y, before, after, batch_size)
        except field.UntakenError as why:
            _warn(f"the field is not measured: torch.func cannot take the network ({why})")
            nothing = dict.fromkeys((*self._blocks, measuring.NETWORK), field.NOTHING)
            return dict.fromkeys(after, nothing)

    def _sharpness(self, run: Run, epoch: int, model: nn.Module, wanted: Sequence[Asked]) -> None:
        """Measure the sharpness of some scopes."""
        ledger = self._ledger
        copy_into(self._twin, model.state_dict())
        settings = ledger.params.measure.sharpness
        what = (self._twin, self._subset, settings, SHARPNESS_SEED)
        protocol = sharpness.protocol(self._subset, settings, SHARPNESS_SEED)
        started = time.monotonic()
        self.report(f"measuring sharpness at epoch {epoch}")
        survey = sharpness.survey(*what)
        for asked in wanted:
            scope = asked.scope
            where = "whole network" if scope == measuring.NETWORK else f"block {scope}"
            self.report(f"measuring sharpness at epoch {epoch}, {where}")
            names = names_of(self._twin, ledger.params, measuring.parts_of(ledger.params, scope))
            row = sharpness.measure_scope(scope, names, survey, *what)
            now = time.monotonic()
            entry = {
                "rows": [asdict(row)],
                "protocol": protocol,
                # What all scopes share counts with the first.
                "provenance": provenance(run.name, now - started, self._hardware),
            }
            ledger.measurements.write(asked.key, asked.inputs, entry)
            started = now


def provenance(measured_for: str, seconds: float, hardware: Hardware) -> dict[str, Any]:
    """Of a measurement: for which run it was taken, when, in how many seconds, and on what."""
    return {
        "measured_for": measured_for,
        "finished_at": timestamp(),
        "seconds": seconds,
        **asdict(hardware),
    }


@cache
def _warn(what: str) -> None:
    """Say once what has to stay: what is told by `report` is overwritten."""
    print(f"warning: {what}", file=sys.stderr, flush=True)
