"""Measures taken on a run while it trains, on a twin of its network: training cannot notice.

Every measurement goes to the store at once, under the key of the state that it belongs to, so
whatever shares that state shares the measurement, and a kill loses none.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from torch import Tensor, nn

from netstab.data.batches import Images
from netstab.measure import sharpness
from netstab.measure.probe import probe
from netstab.measure.stability import Path, Row, Signals, compare, signals
from netstab.measure.views import copy_into
from netstab.networks.network import names_of
from netstab.store.ledger import Ledger
from netstab.study import measuring
from netstab.study.experiments import Run
from netstab.training.device import Hardware, timestamp

SHARPNESS_SEED = 0
"""Of start and random vectors: one for all, so that runs differ in their weights alone."""


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
        self._probe = probe(training, settings.stability.images, "stability")
        self._subset = sharpness.Subset(*probe(training, settings.sharpness.images, "sharpness"))

    def state(self, run: Run, epoch: int, model: nn.Module) -> None:
        """Measure what is wanted of the state at the start of an epoch."""
        measurements = self._ledger.measurements
        wanted = {
            scope: key
            for (at, scope), key in self._ledger.sharpness_keys(run).items()
            if at == epoch and key not in measurements
        }
        if wanted:
            self._sharpness(run, epoch, model, wanted)

    def epoch(self, run: Run, epoch: int, model: nn.Module) -> "Watch | None":
        """Begin to measure an epoch whose stability is wanted; None where it is not."""
        key = self._ledger.stability_keys(run).get(epoch)
        if key is None or key in self._ledger.measurements:
            return None
        weights = _weights(model, self._ledger)
        floor = self._ledger.has_floor(run, epoch)

        def finish(rows: list[Row], seconds: float) -> None:
            entry = {"rows": rows, "provenance": provenance(run.name, seconds, self._hardware)}
            inputs = self._ledger.stability_inputs(run, epoch)
            self._ledger.measurements.write(key, inputs, entry)

        return Watch(lambda: self._signals(model), weights, finish, floor=floor)

    def rehearse(self, model: nn.Module) -> None:
        """Measure once, in brief, and record nothing: it takes all the memory that measuring does.

        Raises:
            RuntimeError: there is too little.
        """
        compare(self._signals(model), self._signals(model), "floor", None)
        settings = self._ledger.params.measure.sharpness
        brief = settings.model_copy(update={"max_products": 2, "trace_samples": 2})
        scopes = {measuring.NETWORK: [name for name, _ in self._twin.named_parameters()]}
        sharpness.measure(self._twin, self._subset, scopes, brief, SHARPNESS_SEED)

    def _signals(self, model: nn.Module) -> Signals:
        copy_into(self._twin, model.state_dict())
        return signals(self._twin, self._boundaries, *self._probe)

    def _sharpness(self, run: Run, epoch: int, model: nn.Module, wanted: Mapping[str, str]) -> None:
        """Measure the sharpness of some scopes: scope -> key of the measurement."""
        ledger = self._ledger
        copy_into(self._twin, model.state_dict())
        settings = ledger.params.measure.sharpness
        what = (self._twin, self._subset, settings, SHARPNESS_SEED)
        protocol = sharpness.protocol(self._subset, settings, SHARPNESS_SEED)
        started = time.monotonic()
        self.report(f"measuring sharpness at epoch {epoch}")
        survey = sharpness.survey(*what)
        for scope, key in wanted.items():
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
            ledger.measurements.write(key, ledger.sharpness_inputs(run, epoch, scope), entry)
            started = now


def provenance(measured_for: str, seconds: float, hardware: Hardware) -> dict[str, Any]:
    """Of a measurement: for which run it was taken, when, in how many seconds, and on what."""
    return {
        "measured_for": measured_for,
        "finished_at": timestamp(),
        "seconds": seconds,
        **asdict(hardware),
    }


class Watch:
    """The stability over one epoch: signals at its start, after its first step and at its end.

    Attributes:
        seconds: that measuring took so far.
    """

    def __init__(
        self,
        look: Callable[[], Signals],
        weights: dict[str, list[Tensor]],
        finish: Callable[[list[Row], float], None],
        *,
        floor: bool,
    ) -> None:
        started = time.monotonic()
        self._look = look
        self._finish = finish
        self._path = Path(weights)
        self._before = look()
        self._rows = compare(self._before, look(), "floor", None) if floor else []
        self._stepped = False
        self.seconds = time.monotonic() - started

    def step(self) -> None:
        """After an optimizer step."""
        started = time.monotonic()
        self._path.step()
        if not self._stepped:
            self._stepped = True
            self._rows += compare(self._before, self._look(), "step", self._path.lengths())
        self.seconds += time.monotonic() - started

    def end(self) -> None:
        """After the epoch: the measurement is complete and goes to the store."""
        started = time.monotonic()
        self._rows += compare(self._before, self._look(), "epoch", self._path.lengths())
        self.seconds += time.monotonic() - started
        self._finish(self._rows, self.seconds)


def _weights(model: nn.Module, ledger: Ledger) -> dict[str, list[Tensor]]:
    params = ledger.params
    return {
        block: [model.get_parameter(name) for name in names_of(model, params, parts)]
        for block, parts in params.blocks.items()
    }
