"""What a claim came to: the form in which claims, table, page and terminal speak of it."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """Whether the study bears a statement out."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    INCONCLUSIVE = "inconclusive"
    TOO_FEW_SEEDS = "too few seeds"
    TOO_FEW_EPOCHS = "too few epochs"
    NOT_COMPARABLE = "not comparable"
    MISSING_RUN = "missing run"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Part:
    """One test of a claim.

    Attributes:
        name: what is compared, e.g. `expB-64: final val_top1_pct, less baseline's`.
        unit: of effect and interval: `points`, `nats`, `log ratio`, `%`
        wanted: the claimed side, for people: `> 0`, `< 0`, `within ± 0.3`, `>= 99.9`.
        claimed: the ends of that side; infinite where it has none.
        values: the effect in each seed, by seed.
        effect: their mean; None without values.
        low: lower end of the interval (claims.confidence; equivalence: 2 x confidence - 1, the
            interval of two one-sided tests); None with fewer than three seeds, and where an
            exact zero leaves no logarithm.
        high: upper end.
        p: p-value of the test for the claimed side, at most 1 - claims.confidence just where the
            part is supported: the two-sided t-test's, 1 where the effect is on the other side; for
            an equivalence, the larger of two one-sided tests'. None with fewer than three seeds,
            and where an exact zero in every seed supports the part without a test.
        verdict: of this part alone.
        note: what else a reader must know, e.g. `exactly zero in every seed`.
    """

    name: str
    unit: str
    wanted: str
    claimed: tuple[float, float]
    values: dict[int, float]
    effect: float | None
    low: float | None
    high: float | None
    p: float | None
    verdict: Verdict
    note: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One claim.

    Attributes:
        id: `A1` ... `D1`, `S1` ... `S3`, `R-ema` ... `R-strict`.
        statement: the claim in one sentence.
        verdict: over all its parts.
        n: seeds that it rests on; 0 where there was nothing to compute.
        parts: every test, in order; empty where there was nothing to test.
        deciding: index of the part that decided (the weakest one); None without parts.
        p_holm: Holm-adjusted p-value over all claims that have one.
        note: why there is no verdict (which run is missing, what is not comparable), or "".
    """

    id: str
    statement: str
    verdict: Verdict
    n: int
    parts: tuple[Part, ...]
    deciding: int | None
    p_holm: float | None
    note: str

    @property
    def decider(self) -> Part | None:
        """The part that decided."""
        return None if self.deciding is None else self.parts[self.deciding]
