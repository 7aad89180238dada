"""What a process trains with: an engine, images, and the state that the engine is in."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from copy import deepcopy
from functools import cached_property
from typing import NamedTuple

from torch import nn

from netstab.data.batches import Images
from netstab.results.schema import Row
from netstab.store.ledger import Ledger
from netstab.store.records import Record
from netstab.study.experiments import Run
from netstab.training import device as devices
from netstab.training import state
from netstab.training.device import Hardware
from netstab.training.engine import AfterStep, Engine


class Built(NamedTuple):
    """What is built for a study once in a process."""

    engine: Engine
    training: Images
    validation: Images
    hardware: Hardware


class EngineContext:
    """Engine and images, built when they are first used.

    Args:
        build: makes them.

    Attributes:
        key: of the stored state that the engine is in, so that a segment that follows the one
            before needs no reading; None where the engine is in none.
    """

    def __init__(self, build: Callable[[], Built]) -> None:
        self._build = build
        self.key: str | None = None

    @cached_property
    def built(self) -> Built:
        """Engine, images and hardware."""
        return self._build()

    @cached_property
    def twin(self) -> nn.Module:
        """A network of the same shape for whatever only looks at weights."""
        return deepcopy(self.built.engine.model)

    def enter(self, ledger: Ledger, run: Run, record: Record | None) -> bool:
        """Bring the engine into a stored state of a run, or (None) into its first one.

        Returns:
            False where the stored state is damaged; it is set aside then.
        """
        engine = self.built.engine
        if record is None:
            engine.start(run.seed)
            self.key = None
        elif self.key != record.key:
            tensors = state.read_checked(
                ledger.store, record, lambda found: state.fits(engine.model, found)
            )
            if tensors is None:
                return False
            state.restore(engine, tensors)
            self.key = record.key
        return True

    def turn(self) -> AbstractContextManager[None]:
        """This process's turn on the machine's cores; see `device.turn`."""
        return devices.turn(self.built.hardware)

    def epoch(
        self, ledger: Ledger, run: Run, epoch: int, after_step: AfterStep | None = None
    ) -> Row:
        """Train an epoch of a run, from the state at its start; see `Engine.epoch`."""
        engine, training, validation, _ = self.built
        self.key = None
        phase = ledger.schedule(run).at(epoch)
        return engine.epoch(phase, training, validation, run.seed, epoch, after_step)
