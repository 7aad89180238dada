"""The interventions: references, the article's experiments A to D, our rivals, the user's own.

Each is one short function from parameters (and a block or a name) to a schedule. Source: "Proposing
a new effect of learning rate decay - Network Stability" (2020); for the rivals see `params`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from netstab.errors import NetstabError
from netstab.params import BLOCK_EXPERIMENTS, FROZEN, Batch, BnRecal, Decay, Ema, Params
from netstab.study.courses import Course, courses, in_force, stated, sweeps
from netstab.study.schedule import Frozen, Schedule, Setting, build

REFERENCES = ("baseline", "outpost")
COMPARED_WITH: dict[str, tuple[str, ...]] = {
    "expA": ("outpost",),
    "expB": ("baseline",),
    "expC": ("baseline", "outpost"),
    "expD": ("baseline", "outpost"),
    "expE": ("baseline", "outpost"),
    "expF": ("baseline", "outpost"),
    "own": ("baseline", "outpost"),
}
"""The references that each experiment is drawn with (A to D: as the article does)."""

PANEL = {"strict": "expE"}
"""Experiments that are drawn with another one."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One intervention: an experiment, and the block it is tried on (expE to own: its name)."""

    experiment: str
    block: str | None = None

    @property
    def name(self) -> str:
        """`baseline`, `expB-64`, `expE-ema`, `own-warm_restart`: in stage, file and curve names."""
        return self.experiment if self.block is None else f"{self.experiment}-{self.block}"


BASELINE, OUTPOST = (Variant(name) for name in REFERENCES)


@dataclass(frozen=True, slots=True)
class Run:
    """One variant trained with one seed."""

    variant: Variant
    seed: int

    @property
    def name(self) -> str:
        """`expB-64-0`: variant and seed."""
        return f"{self.variant.name}-{self.seed}"


def variants(params: Params) -> list[Variant]:
    """Every variant that the parameters ask for: references, experiments, rivals, cycles, own."""
    return [
        BASELINE,
        OUTPOST,
        *(
            Variant(experiment, block)
            for experiment in BLOCK_EXPERIMENTS
            if experiment in params.experiments
            for block in params.blocks
        ),
        *(Variant("expE", name) for name in params.expE.rivals),
        *cyclical(params),
        *(Variant("own", name) for name in params.own),
    ]


def cyclical(params: Params) -> list[Variant]:
    """The cyclical rates that are asked for."""
    return [Variant("expF", shape) for shape in params.expF.shapes]


def view(params: Params, variant: Variant) -> Ema | BnRecal | None:
    """The settings of a view of the baseline; None for a variant that is trained."""
    return params.expE.views.get(variant.block or "") if variant.experiment == "expE" else None


def runs(params: Params) -> list[Run]:
    """Every run that the parameters ask for, seed by seed."""
    return [Run(variant, seed) for seed in params.seeds for variant in variants(params)]


def find_variant(params: Params, name: str) -> Variant:
    """The variant of a name.

    Raises:
        NetstabError: the parameters ask for no such variant.
    """
    known = {variant.name: variant for variant in variants(params)}
    if name not in known:
        raise NetstabError(f"{name}: is not a variant; known are {', '.join(known)}")
    return known[name]


def schedule(params: Params, variant: Variant) -> Schedule:
    """The schedule of a variant, with every epoch at scale; a view has the baseline's."""
    setting = _SETTINGS[variant.experiment](params, variant.block or "")
    enlarged = params.expE.batch if variant == Variant("expE", "batch") else None

    def batch_size(epoch: int) -> int:
        return _grown(params, enlarged, epoch)[0] if enlarged else params.train.batch_size

    host = "baseline" if view(params, variant) else variant.experiment
    shapes = sweeps(stated(params, host, variant.block or ""), params)
    return build(params.train.run_epochs, batch_size, setting, params.parts, shapes)


_Settings = Callable[[str, int], Setting]


def baseline(params: Params, _block: str) -> _Settings:
    """The initial rate throughout, unless its section states changes."""
    return _as_stated(params, "baseline")


def outpost(params: Params, _block: str) -> _Settings:
    """Step decay in every block, unless its section states changes."""
    if params.outpost.changes:
        return _as_stated(params, "outpost")
    return lambda part, epoch: _decayed(params, params.outpost, epoch)


def exp_a(params: Params, block: str) -> _Settings:
    """Step decay in one block alone."""
    return lambda part, epoch: (
        _decayed(params, params.expA, epoch)
        if part in params.blocks[block]
        else params.train.learning_rate
    )


def exp_b(params: Params, block: str) -> _Settings:
    """No decay; from an epoch on, all blocks but one are frozen."""
    freeze = params.train.at_scale(params.expB.freeze_epoch)
    return lambda part, epoch: (
        _frozen(params)
        if part not in params.blocks[block] and epoch >= freeze
        else params.train.learning_rate
    )


def exp_c(params: Params, block: str) -> _Settings:
    """Step decay in one block alone; from an epoch on, all others are frozen."""
    freeze = params.train.at_scale(params.expC.freeze_epoch)

    def setting(part: str, epoch: int) -> Setting:
        if part in params.blocks[block]:
            return _decayed(params, params.expC, epoch)
        return _frozen(params) if epoch >= freeze else params.train.learning_rate

    return setting


def exp_d(params: Params, block: str) -> _Settings:
    """Step decay in every block; from an epoch on, all blocks but one are frozen."""
    freeze = params.train.at_scale(params.expD.freeze_epoch)
    return lambda part, epoch: (
        _frozen(params)
        if part not in params.blocks[block] and epoch >= freeze
        else _decayed(params, params.expD, epoch)
    )


def strict(params: Params, block: str) -> _Settings:
    """expB with still batch norm: nothing in the frozen blocks moves."""
    freeze = params.train.at_scale(params.strict.freeze_epoch)
    return lambda part, epoch: (
        _still(params)
        if part not in params.blocks[block] and epoch >= freeze
        else params.train.learning_rate
    )


def exp_e(params: Params, name: str) -> _Settings:
    """Rival explanations: a larger batch, a head alone, or a view of the baseline."""
    rivals = params.expE
    if name == "batch" and (batch := rivals.batch):
        return lambda part, epoch: _grown(params, batch, epoch)[1]
    if name == "head" and (head := rivals.head):
        freeze = params.train.at_scale(head.freeze_epoch)
        return lambda part, epoch: (
            _frozen(params)
            if part != params.parts[-1] and epoch >= freeze
            else params.train.learning_rate
        )
    return baseline(params, name)


def _grown(params: Params, batch: Batch, epoch: int) -> tuple[int, float]:
    """Batch size and rate of `expE.batch`: their quotient falls as the outpost's rate does.

    The batch is a whole number of `train.batch_size`, so that batch norm sees the same number
    of images as ever; what it falls short of its aim, the rate makes up for.
    """
    train = params.train
    rate = _decayed(params, batch, epoch)
    aim = train.batch_size * train.learning_rate / rate if rate else inf
    # A hair more, since 64 * 0.1 / (0.1 * 0.1) falls short of 640.
    times = int(min(aim, batch.largest_batch) * (1 + 1e-9)) // train.batch_size
    size = max(1, times) * train.batch_size
    return size, train.learning_rate * size / aim


def exp_f(params: Params, name: str) -> _Settings:
    """A rate that falls along a cosine, or in cycles, to the outpost's last one, and stays."""
    return _as_stated(params, "expF", name)


def own(params: Params, name: str) -> _Settings:
    """The user's own changes: block -> epoch -> rate, `frozen` or shape, each until the next."""
    return _as_stated(params, "own", name)


def _as_stated(params: Params, experiment: str, name: str = "") -> _Settings:
    """What a section states as changes, block by block."""
    of_part: dict[str, list[Course]] = {
        part: courses(changes, params.train)
        for block, changes in stated(params, experiment, name).items()
        for part in params.blocks[block]
    }

    def setting(part: str, epoch: int) -> Setting:
        course = in_force(of_part.get(part, ()), epoch)
        found = params.train.learning_rate if course is None else course.setting(epoch)
        return _frozen(params) if found == FROZEN else float(found)

    return setting


_SETTINGS: dict[str, Callable[[Params, str], _Settings]] = {
    "baseline": baseline,
    "outpost": outpost,
    "expA": exp_a,
    "expB": exp_b,
    "expC": exp_c,
    "expD": exp_d,
    "strict": strict,
    "expE": exp_e,
    "expF": exp_f,
    "own": own,
}


def _decayed(params: Params, decay: Decay, epoch: int) -> float:
    steps = sum(epoch >= params.train.at_scale(start) for start in decay.decay_epochs)
    return params.train.learning_rate * decay.decay_factor**steps


def _frozen(params: Params) -> Frozen:
    return Frozen.LIVE if params.freeze.batch_norm == "live" else _still(params)


def _still(params: Params) -> Frozen:
    """Mode eval, which without batch norm is no other than live: runs share what they train."""
    return Frozen.EVAL if params.model.has_batch_norm else Frozen.LIVE
