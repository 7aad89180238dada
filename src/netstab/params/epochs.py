"""Faults of epochs, and of what comes into force at them: what no section can tell by itself."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from netstab.params.changes import FROZEN, SHAPES, Changes, Exponential, Shape, by_epoch
from netstab.params.interventions import BLOCK_EXPERIMENTS, Baseline, ExpE, ExpF, Outpost, Own
from netstab.params.models import Timing
from netstab.params.networks import NETWORK

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}")
EPOCH_NAME = re.compile(r"[0-9]{1,6}")


def time_faults(train: Timing, sections: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the epochs that sections state by keys of their own."""
    if train.run_epochs < 1:
        yield f"train.time_scale: leaves no epoch of {train.epochs}; raise it"
        return
    rivals = sections.get("expE", ExpE()).rivals
    timed = {name: sections.get(name) for name in ("outpost", *BLOCK_EXPERIMENTS)}
    timed["expF"] = sections.get("expF")
    for name, section in {**timed, **{f"expE.{n}": s for n, s in rivals.items()}}.items():
        decays: tuple[int, ...] = getattr(section, "decay_epochs", ())
        for epoch in decays:
            yield from _past_end(f"{name}.decay_epochs", epoch, train)
        yield from _order_faults(f"{name}.decay_epochs", decays, train)
        for key in ("freeze_epoch", "start_epoch"):
            start: int | None = getattr(section, key, None)
            if start is not None:
                yield from _past_end(f"{name}.{key}", start, train)


def _past_end(key: str, epoch: int, train: Timing) -> Iterator[str]:
    if train.at_scale(epoch) >= train.run_epochs:
        yield f"{key}: {epoch} is past the end (train.epochs is {train.epochs}); lower it"


def _order_faults(key: str, epochs: tuple[int, ...], train: Timing) -> Iterator[str]:
    for earlier, later in pairwise(epochs):
        if later <= earlier:
            yield f"{key}: {later} comes after {earlier}; put them in rising order"
        elif train.at_scale(later) == train.at_scale(earlier):
            yield (
                f"{key}: {earlier} and {later} fall on the same epoch at "
                f"train.time_scale {train.time_scale:g}; raise the scale"
            )


def reference_faults(name: str, section: Baseline | Outpost, train: Timing | None) -> Iterator[str]:
    """What is wrong with the changes of a reference."""
    changes, key = section.changes, f"{name}.changes"
    if changes and isinstance(section, Outpost) and section.decay_epochs:
        yield f"{name}.decay_epochs: states the rate as {key} does; empty it ([]), or {key} ({{}})"
    for epoch, change in changes.items():
        if change == FROZEN:
            yield f"{key}.{epoch}: no reference is frozen; give it a rate, or try it in own"
    yield from changes_faults(key, changes, train)


def cyclical_faults(section: ExpF, train: Timing | None) -> Iterator[str]:
    """What is wrong with the cyclical rates; their length counts where there are any."""
    if len(set(section.shapes)) < len(section.shapes):
        yield "expF.shapes: name a shape twice; remove one"
    begin, end = section.start_epoch, section.end_epoch
    if train is None or train.run_epochs < 1:
        return
    if end > train.epochs:
        yield f"expF.end_epoch: {end} is past the end (train.epochs is {train.epochs}); lower it"
    elif end <= begin:
        yield f"expF.end_epoch: {end} is not behind expF.start_epoch, {begin}; raise it"
    else:
        for name in section.shapes:
            cycles = 1 if name == "cosine" else section.cycles
            bounds = [begin + (end - begin) * cycle / cycles for cycle in range(cycles + 1)]
            shortest = SHAPES[f"[{name}]"].shortest
            yield from _length_faults(f"expF ({name})", [*map(train.at_scale, bounds)], shortest)


def own_faults(
    own: Own, blocks: dict[str, tuple[str, ...]] | None, train: Timing | None
) -> Iterator[str]:
    """What is wrong with the interventions of one's own."""
    for name, by_block in own.items():
        if not NAME.fullmatch(name):
            yield f"own.{name}: start names with a letter; letters, digits and _ only, 60 at most"
        for block, changes in by_block.items():
            key = f"own.{name}.{block}"
            if blocks is not None and block not in (*blocks, NETWORK):
                yield f"{key}: is not a block; known are {', '.join(blocks)}, or {NETWORK} for all"
            yield from changes_faults(key, changes, train)


def changes_faults(key: str, changes: Changes, train: Timing | None) -> Iterator[str]:
    """What is wrong with epochs and shapes; shapes are looked at where all epochs are sound."""
    names = [text for text in changes if EPOCH_NAME.fullmatch(text)]
    epochs = sorted(map(int, names))
    faults = [
        f"{key}.{text}: is not an epoch; write it like '60'"
        for text in changes
        if text not in names
    ]
    if train is not None and train.run_epochs >= 1:
        for epoch in map(int, names):
            faults += _past_end(key, epoch, train)
        faults += _order_faults(key, tuple(epochs), train)
        faults = faults or [*_shape_faults(key, changes, train)]
    yield from faults


def _shape_faults(key: str, changes: Changes, train: Timing) -> Iterator[str]:
    rate: float | None = 1.0  # the initial one, which is above zero; None: frozen
    for epoch, change, following in by_epoch(changes, train.epochs):
        here = f"{key}.{epoch}"
        if not isinstance(change, Shape):
            rate = None if change == FROZEN else float(change)
            continue
        if change.first is None and rate is None:
            yield f"{here}.from: is missing; add it, for what is frozen has no rate to go on from"
        first = rate or 0.0 if change.first is None else change.first
        if isinstance(change, Exponential) and rate is not None and first == 0:
            yield f"{here}.from: is 0, which no factor changes; take one above it"
        until = following if change.until is None else change.until
        if until > following:
            what = "the next change" if following < train.epochs else "the end"
            yield f"{here}.until: {until} is past {what}, at {following}; lower it"
        elif until <= epoch:
            yield f"{here}.until: {until} is not behind {epoch}, where the shape begins; raise it"
        else:
            bounds = [*map(train.at_scale, change.bounds(epoch, until))]
            yield from _length_faults(here, bounds, change.shortest)
        rate = change.last(first)


def _length_faults(key: str, bounds: Sequence[int], fewest: int) -> Iterator[str]:
    shortest = min(end - begin for begin, end in pairwise(bounds))
    if shortest < fewest:
        epochs = "epoch" if shortest == 1 else "epochs"
        yield (
            f"{key}: has {shortest} {epochs} a cycle at this train.time_scale, and needs {fewest}; "
            "lengthen the shape, ask for fewer cycles, or raise the scale"
        )
