"""What a learning rate does from an epoch on: it is another one, `frozen`, or follows a shape.

A shape is a mapping such as `{shape: cosine, to: 0.0, until: 200}`. Its rate is constant within an
epoch. In the epoch in which it begins it is the rate that the shape leads from, as in torch's
schedulers.
"""

from collections.abc import Mapping
from itertools import accumulate
from math import cos, pi
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag

from netstab.params.fields import Epoch, Number, Rate, Section, Whole, is_finite, unquote_hint

FROZEN: Literal["frozen"] = "frozen"


class Shape(Section):
    """What all shapes have: the rates that they lead from and to, and where they end."""

    model_config = ConfigDict(serialize_by_alias=True)
    shortest: ClassVar[int] = 1
    """Epochs of a run that a cycle takes at least, so that it gets anywhere."""

    shape: str
    """Its name."""
    first: Annotated[Rate | None, Field(alias="from")] = None
    """The rate that it leads from; the one in force before by default."""
    to: Rate
    """The rate that it leads to."""
    until: Epoch | None = None
    """Epoch at which it ends; by default where the next change is, or at the end of the run."""

    def rate(self, first: float, share: float) -> float:
        """The rate at a share of a cycle, from 0 to below 1, where it leads from `first`."""
        return first + (self.to - first) * self._way(share)

    def last(self, first: float) -> float:
        """The rate that holds from its end on."""
        return self.to

    def bounds(self, begin: int, until: int) -> tuple[float, ...]:
        """Epochs at which each cycle begins, and the one at which the shape ends."""
        return (*(begin + share * (until - begin) for share in self._begins()), until)

    def _way(self, share: float) -> float:
        """The share of the way from the first rate to the other one."""
        return share

    def _begins(self) -> tuple[float, ...]:
        """Where each cycle begins, as a share of the shape's length."""
        return (0.0,)


def _half_cosine(share: float) -> float:
    return (1 - cos(pi * share)) / 2


class Linear(Shape):
    """In equal steps (torch's LinearLR)."""

    shape: Literal["linear"]


class Cosine(Shape):
    """Along half a cosine (torch's CosineAnnealingLR; 1608.03983)."""

    shape: Literal["cosine"]

    def _way(self, share: float) -> float:
        return _half_cosine(share)


class Exponential(Shape):
    """By the same factor each epoch (torch's ExponentialLR)."""

    shape: Literal["exponential"]
    first: Annotated[Annotated[Number, Field(gt=0)] | None, Field(alias="from")] = None
    to: Annotated[Number, Field(gt=0)]

    def rate(self, first: float, share: float) -> float:
        """The rate at a share of the shape, from 0 to below 1, where it leads from `first`."""
        return float(first * (self.to / first) ** share)


Cycles = Annotated[Whole, Field(ge=1, le=1000)]


class Triangular(Shape):
    """In cycles to another rate and back, in equal steps (torch's CyclicLR; 1506.01186)."""

    shortest: ClassVar[int] = 2

    shape: Literal["triangular"]
    cycles: Cycles
    """Number of cycles, all of one length."""

    def last(self, first: float) -> float:
        """The rate that holds from its end on: each cycle ends where it began."""
        return first

    def _way(self, share: float) -> float:
        return 1 - abs(2 * share - 1)

    def _begins(self) -> tuple[float, ...]:
        return tuple(cycle / self.cycles for cycle in range(self.cycles))


class WarmRestarts(Shape):
    """A cosine after the other, each from the first rate (torch's CosineAnnealingWarmRestarts)."""

    shortest: ClassVar[int] = 2

    shape: Literal["warm_restarts"]
    cycles: Cycles
    """Number of cosines."""
    growth: Annotated[Whole, Field(ge=1, le=10)] = 1
    """How many times as long as the one before each is."""

    def _way(self, share: float) -> float:
        return _half_cosine(share)

    def _begins(self) -> tuple[float, ...]:
        ends = [*accumulate(self.growth**cycle for cycle in range(self.cycles))]
        return tuple(end / ends[-1] for end in (0, *ends[:-1]))


class _Unknown(Shape):
    """A mapping that names no shape: it is refused with the names of those that there are."""

    model_config = ConfigDict(extra="allow")

    shape: Literal["linear", "cosine", "exponential", "triangular", "warm_restarts"]


AnyShape = Linear | Cosine | Exponential | Triangular | WarmRestarts | _Unknown
SHAPES: Mapping[str, type[AnyShape]] = {
    "[linear]": Linear,
    "[cosine]": Cosine,
    "[exponential]": Exponential,
    "[triangular]": Triangular,
    "[warm_restarts]": WarmRestarts,
    "[shape]": _Unknown,
}
"""What stands in the place of a fault -> the model that found it."""


def _kind(value: object) -> str:
    if isinstance(value, Shape):  # written down, not read
        return f"[{value.shape}]"
    if not isinstance(value, dict):
        return "[rate]"
    kind = f"[{value.get('shape')}]"
    return kind if kind in SHAPES else "[shape]"


def _step(value: object) -> object:
    if value == FROZEN:
        return value
    if not is_finite(value) or value < 0:
        raise ValueError(
            "is neither `frozen` nor a learning rate, finite and not negative, nor a shape"
            f"{unquote_hint(value)}"
        )
    return float(value)


Step = Annotated[float | Literal["frozen"], BeforeValidator(_step)]
Change = Annotated[
    Annotated[Step, Tag("[rate]")]
    | Annotated[Linear, Tag("[linear]")]
    | Annotated[Cosine, Tag("[cosine]")]
    | Annotated[Exponential, Tag("[exponential]")]
    | Annotated[Triangular, Tag("[triangular]")]
    | Annotated[WarmRestarts, Tag("[warm_restarts]")]
    | Annotated[_Unknown, Tag("[shape]")],
    Discriminator(_kind),
]
Changes = dict[str, Change]
"""Epoch -> what holds from its start on, until the next."""


def by_epoch(changes: Changes, end: int = 0) -> list[tuple[int, Change, int]]:
    """Epoch, change, and the epoch of the next one (`end` behind the last), in rising order."""
    epochs = sorted(changes, key=int)
    nexts = [*map(int, epochs[1:]), end]
    return [(int(epoch), changes[epoch], n) for epoch, n in zip(epochs, nexts, strict=False)]
