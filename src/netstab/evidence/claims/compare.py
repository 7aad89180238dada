"""Claims as data: who is compared with whom, in what, and on which side the effect should lie."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from netstab.evidence.claims.checks import LOG_RATIO, Check, Effect, unit_of
from netstab.evidence.claims.comparability import Obstacle
from netstab.evidence.claims.effects import Study
from netstab.evidence.claims.judgement import Part
from netstab.evidence.claims.statistics import Rule, below
from netstab.evidence.summary.windows import Floats
from netstab.params import Params
from netstab.study.experiments import Variant


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement, and how it is tested.

    Attributes:
        id: `A1` ... `D1`, `S1` ... `S5`, `R-ema` ... `R-strict`, `F1` ... `F3`.
        statement: in one sentence.
        variants: whose runs it needs.
        checks: all of which have to hold.
        obstacle: what keeps the runs from being compared.
        names_blocks: whether it is about early and late blocks, which it calls by the article's
            names.
        remark: what else the results say, from the parts.
        asked: whether a study asks it, so that one that is off is no missing run; None: each does.
    """

    id: str
    statement: str
    variants: Callable[[Params], list[Variant]]
    checks: Callable[[Params], list[Check]]
    obstacle: Obstacle = lambda _params: ""
    names_blocks: bool = False
    remark: Callable[[Params, Sequence[Part]], str] = lambda _params, _parts: ""
    asked: Callable[[Params], bool] | None = None


def each(params: Params, experiment: str) -> list[Variant]:
    """An experiment on each block."""
    return [Variant(experiment, block) for block in params.blocks]


def needs(*names: str, references: Sequence[Variant] = ()) -> Callable[[Params], list[Variant]]:
    """The references, and the experiments on each block."""
    return lambda params: [*references, *(v for name in names for v in each(params, name))]


def final(variant: Variant, other: Variant, measure: str, rule: Rule) -> Check:
    """Final X of a run less that of another."""
    return Check(
        f"{variant.name}: final {measure}, less {other.name}'s",
        unit_of(measure),
        rule,
        lambda study: study.final(variant, measure) - study.final(other, measure),
    )


def jitter(variant: Variant, other: Variant, measure: str, rule: Rule | None = None) -> Check:
    """Jitter of X of a run below that of another, or as a rule says, over the same window."""

    def effect(study: Study) -> Floats:
        start = study.settled(variant, other)
        mine, theirs = (study.log_jitter(v, measure, start) for v in (variant, other))
        return mine - theirs

    name = f"{variant.name}: jitter of {measure}, against {other.name}'s"
    return Check(name, LOG_RATIO, rule or below(), effect)


def net_jump(variant: Variant, other: Variant, measure: str, epoch: int) -> Effect:
    """Jump of X of a run less that of another at the same epoch."""
    return lambda study: study.jump(variant, measure, epoch) - study.jump(other, measure, epoch)


def rise(variant: Variant, measure: str, epoch: int, rule: Rule) -> Check:
    """Change of X from the window at an epoch to the last epochs."""
    name = f"{variant.name}: {measure} at the end, less that from epoch {epoch} on"
    return Check(name, unit_of(measure), rule, lambda study: study.rise(variant, measure, epoch))


def less(effect: Effect, other: Effect) -> Effect:
    """One effect less another, in each seed."""
    return lambda study: effect(study) - other(study)
