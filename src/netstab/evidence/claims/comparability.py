"""When runs differ by more than the intervention that a claim is about.

Each experiment's section of `params.yaml` is self-contained, so that one can be changed without
the other. A claim that compares two then has nothing to say. An obstacle is a function of the
parameters: why the runs cannot be compared, or "".
"""

from collections.abc import Callable
from itertools import pairwise

from netstab.params import Changes, Decay, Params, Shape
from netstab.params.changes import by_epoch
from netstab.params.fields import Section
from netstab.params.interventions import Outpost
from netstab.study.experiments import Variant, schedule
from netstab.study.measuring import parts_of

Obstacle = Callable[[Params], str]

ARTICLE_BLOCKS = ("64", "128"), ("256", "512")
"""The article's early and late filter blocks, which some claims name."""


def any_of(*obstacles: Obstacle) -> Obstacle:
    """The first obstacle that applies."""
    return lambda params: next(filter(None, (obstacle(params) for obstacle in obstacles)), "")


def early_and_late(params: Params) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The first and the second half of the blocks; of an odd number the middle one is neither."""
    blocks = in_order(params)
    half = len(blocks) // 2
    return blocks[:half], blocks[len(blocks) - half :]


def in_order(params: Params) -> tuple[str, ...]:
    """The blocks by their first parts, from input to output."""
    return tuple(sorted(params.blocks, key=lambda b: params.parts.index(parts_of(params, b)[0])))


def no_halves(params: Params) -> str:
    """The claim speaks of early and late blocks, which must be there, one behind the other."""
    if len(params.blocks) < 2:
        return "speaks of early and late blocks, and params.yaml has a single one"
    if tuple(p for block in in_order(params) for p in parts_of(params, block)) == params.parts:
        return ""
    return "speaks of early and late blocks, and those of params.yaml lie within one another"


def has_batch_norm(params: Params) -> str:
    """The claim speaks of batch norm, which the network must have."""
    norm = params.model.norm
    return "" if params.model.has_batch_norm else f"speaks of batch norm, and the norm is {norm}"


def decays(*names: str) -> Obstacle:
    """Each experiment's rate must fall at least once."""

    def obstacle(params: Params) -> str:
        still = [name for name in names if not _falls(params, name)]
        return f"the rate of {', '.join(still)} never falls" if still else ""

    return obstacle


def same_decay(name: str, other: str) -> Obstacle:
    """Two experiments must decay at the same epochs, by the same factor, and at all."""
    return any_of(decays(name), _agreement(name, other, lambda _, mine, theirs: (mine, theirs)))


def decay_begins(name: str, other: str) -> Obstacle:
    """The first must decay as the second does, but may leave out last decays."""

    def as_many(_params: Params, mine: Steps, theirs: Steps) -> tuple[Steps, Steps]:
        return mine, theirs[: len(mine)]

    return any_of(decays(name), _agreement(name, other, as_many))


def same_decay_around(name: str, key: str, other: str) -> Obstacle:
    """Two experiments must decay alike until the window after the first one's freeze is over."""

    def before(params: Params, mine: Steps, theirs: Steps) -> tuple[Steps, Steps]:
        freeze: int = getattr(_section(params, name), key)
        over = params.train.at_scale(freeze) + params.train.window(params.report.jump_epochs)
        return [step for step in mine if step[0] < over], [s for s in theirs if s[0] < over]

    return any_of(decays(name, other), _agreement(name, other, before))


Steps = list[tuple[int, float]]
"""Epoch and factor of each decay."""


def _agreement(
    name: str, other: str, compared: Callable[[Params, Steps, Steps], tuple[Steps, Steps]]
) -> Obstacle:
    """What is compared of two experiments' decays must be the same."""

    def obstacle(params: Params) -> str:
        mine, theirs = _decay(params, name), _decay(params, other)
        one, another = compared(params, _steps(params, mine), _steps(params, theirs))
        if one == another and not (_changes(mine) or _changes(theirs)):
            return ""
        return f"{name} decays {_when(mine)}, {other} {_when(theirs)}"

    return obstacle


def at_first_decay(name: str, key: str, other: str) -> Obstacle:
    """An experiment's freeze (or start) must come when the other's rate first falls."""

    def obstacle(params: Params) -> str:
        first = first_decay(params, other)
        mine: int = getattr(_section(params, name), key)
        if params.train.at_scale(mine) == params.train.at_scale(first):
            return ""
        return f"{name}.{key} is {mine}, and {other} first decays at {first}"

    return any_of(decays(other), obstacle)


def covers_the_end(name: str, key: str) -> Obstacle:
    """A view without a memory may begin at any epoch, if it covers the last ones, which count."""

    def obstacle(params: Params) -> str:
        start: int = getattr(_section(params, name), key)
        last = params.train.run_epochs - params.train.window(params.report.final_epochs)
        if params.train.at_scale(start) <= last:
            return ""
        return f"{name}.{key} is {start}, within the last epochs, of which final figures are"

    return obstacle


def freezes_last(name: str) -> Obstacle:
    """An experiment's freeze must come after its last decay."""

    def obstacle(params: Params) -> str:
        section = _section(params, name)
        last, freeze = _decay(params, name).decay_epochs[-1], getattr(section, "freeze_epoch", 0)
        if params.train.at_scale(freeze) > params.train.at_scale(last):
            return ""
        return f"{name}.freeze_epoch is {freeze}, and its last decay is at {last}"

    return any_of(decays(name), obstacle)


def constant_baseline(params: Params) -> str:
    """Experiments change the constant rate: a baseline of another differs by more than that."""
    changes = params.baseline.changes
    return f"the baseline's rate is not constant ({_told(changes)})" if changes else ""


def first_decay(params: Params, name: str) -> int:
    """Epoch (at time scale 1) at which an experiment's rate is first changed."""
    decay = _decay(params, name)
    changes = _changes(decay)
    return min(map(int, changes)) if changes else decay.decay_epochs[0]


def _section(params: Params, name: str) -> Section:
    """The section of an experiment: `outpost`, `expA`, `expE.batch`."""
    experiment, _, rival = name.partition(".")
    section: Section = getattr(params, experiment)
    return params.expE.rivals[rival] if rival else section


def _decay(params: Params, name: str) -> Decay:
    section = _section(params, name)
    if not isinstance(section, Decay):
        raise TypeError(f"{name} has no decay")
    return section


def _changes(decay: Decay) -> Changes:
    """The changes that an outpost states in place of decay epochs."""
    return decay.changes if isinstance(decay, Outpost) else {}


def _falls(params: Params, name: str) -> bool:
    decay = _decay(params, name)
    if not _changes(decay):
        return bool(decay.decay_epochs) and decay.decay_factor < 1
    rates = [phase.settings for phase in schedule(params, Variant(name)).phases]
    return any(after < before for before, after in pairwise(rates))


def _steps(params: Params, decay: Decay) -> Steps:
    return [(params.train.at_scale(epoch), decay.decay_factor) for epoch in decay.decay_epochs]


def _told(changes: Changes) -> str:
    """`cosine from 60, 0.001 from 150`."""
    return ", ".join(
        f"{change.shape if isinstance(change, Shape) else change} from {epoch}"
        for epoch, change, _ in by_epoch(changes)
    )


def _when(decay: Decay) -> str:
    if changes := _changes(decay):
        return f"by changes of its own ({_told(changes)})"
    if not decay.decay_epochs:
        return "never"
    return f"at {', '.join(map(str, decay.decay_epochs))} (x {decay.decay_factor:g})"
