"""Barriers between stored states of a seed; see `measure.barriers`.

No run can measure them by itself: they are of two, so they are taken once both ends are stored.
Nothing is trained for them. A state is read, and its loss taken, once for all its lines.
"""

import time
from collections.abc import Callable
from functools import lru_cache, partial

import torch
from torch import Tensor

from netstab.data.manifest import Manifest
from netstab.data.tensors import load
from netstab.measure import barriers
from netstab.measure.probe import probe
from netstab.networks.network import build
from netstab.store.ledger import Ledger
from netstab.study.barriers import Pair
from netstab.study.experiments import Run
from netstab.training import device as devices
from netstab.training import state, trainer
from netstab.training.observer import provenance

KEPT = 6
"""States that are held at a time: a run's end, and what others of its seed are joined with too."""


class DamagedError(Exception):
    """A state that is needed was damaged; it is set aside."""


def measure_barriers(
    ledger: Ledger, manifest: Manifest, read: trainer.Read = load, host: str | None = None
) -> None:
    """Measure each barrier whose two states are stored; what is found goes to the store.

    Args:
        ledger: what is wanted, and what the store has.
        manifest: of the images.
        read: brings the images.
        host: what provenance calls this machine; its own name without it.

    Raises:
        NetstabError: the images are not what the manifest says, or the store cannot be written.
    """
    # One process at a time; and what is in use is not collected as garbage.
    with ledger.store.lock("barriers", "another process measures barriers; waiting for it"):
        ready, _ = ledger.unmeasured_barriers()
        if not ready:
            return
        device, threads = devices.set_up(ledger.params)
        line = _lines(ledger, manifest, device, read)
        used = devices.hardware(device, threads, host)
        for pair in ready:
            started = time.monotonic()
            try:
                with devices.turn(used):
                    losses = line(pair)
            except DamagedError:
                continue
            steps = len(losses) - 1
            rows = [{"share": at / steps, "loss": loss} for at, loss in enumerate(losses)]
            told = provenance(pair.run.name, time.monotonic() - started, used)
            entry = {"rows": rows, "provenance": told}
            ledger.measurements.write(ledger.barrier_key(pair), ledger.barrier_inputs(pair), entry)


def _lines(
    ledger: Ledger, manifest: Manifest, device: torch.device, read: trainer.Read
) -> Callable[[Pair], list[float | None]]:
    """What takes the losses of a line, from end to end."""
    params, settings = ledger.params, ledger.params.measure.barriers
    training, _ = trainer.load_images(params, manifest, device, read)
    x, y = probe(training, settings.images or 0, "barriers")
    model = build(params, manifest.image_shape[2], len(manifest.classes)).module
    model.to(device).to(memory_format=torch.channels_last)
    known: dict[str, float | None] = {}

    @lru_cache(KEPT)
    def weights(run: Run, epoch: int) -> dict[str, Tensor]:
        view = ledger.is_view(run)
        fits = partial(state.fits_average if view else state.fits, model)
        record = ledger.store.record(ledger.key(run, epoch))
        tensors = state.read_checked(ledger.store, record, fits) if record else None
        if tensors is None:
            raise DamagedError
        kind = "average." if view else "model."
        own = {n.removeprefix(kind): t.to(device) for n, t in tensors.items() if n.startswith(kind)}
        return {**weights(ledger.host(run), epoch), **own} if view else own

    def end(run: Run, epoch: int) -> float | None:
        key = ledger.key(run, epoch)
        if key not in known:
            known[key] = barriers.loss_at(model, weights(run, epoch), x, y)
        return known[key]

    def line(pair: Pair) -> list[float | None]:
        ends = (pair.run, ledger.schedule(pair.run).epochs), (pair.other, pair.epoch)
        first, second = (weights(*of) for of in ends)
        inner = barriers.losses_between(model, first, second, settings.points, x, y)
        return [end(*ends[0]), *inner, end(*ends[1])]

    return line
