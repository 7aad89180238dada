"""The table of claims on the page: its groups, and how numbers are written and pictured."""

from collections import Counter
from math import exp, isfinite

from markupsafe import Markup

from netstab.evidence.claims.judgement import Judgement, Part, Verdict
from netstab.evidence.texts import significant

MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"

MEANINGS = {
    Verdict.SUPPORTED: "every part's interval lies wholly on the claimed side",
    Verdict.CONTRADICTED: "a part's interval, widened for the number of parts (Bonferroni), lies "
    "wholly on the other side",
    Verdict.INCONCLUSIVE: "neither, or what the statement presupposes is not supported",
    Verdict.TOO_FEW_SEEDS: "a verdict takes three seeds or more",
    Verdict.TOO_FEW_EPOCHS: "a window that it speaks of is too short, or holds another change",
    Verdict.NOT_COMPARABLE: "the runs differ by more than the intervention, or lack what the "
    "statement is about",
    Verdict.MISSING_RUN: "a run that the claim needs is missing",
    Verdict.NOT_MEASURED: "a measurement that the claim needs is missing, or is no number to "
    "compare",
}
"""What a verdict means."""


GROUPS = {"S": "Mechanisms", "R": "Rival explanations", "F": "Cyclical rates"}
"""First letter of an id -> what such claims are about; the others are the article's."""


def groups(judgements: tuple[Judgement, ...]) -> dict[str, list[Judgement]]:
    """The claims under the heading of their group."""
    found: dict[str, list[Judgement]] = {}
    for judgement in judgements:
        heading = GROUPS.get(judgement.id[0], "The article's statements")
        found.setdefault(heading, []).append(judgement)
    return found


def counts(judgements: tuple[Judgement, ...]) -> list[tuple[Verdict, int, str]]:
    """How many claims came to each verdict, and what it means; none that no claim came to."""
    found = Counter(judgement.verdict for judgement in judgements)
    return [(v, found[v], MEANINGS[v]) for v in Verdict if found[v]]


def wanted(part: Part) -> str:
    """The claimed side, as it is printed."""
    return part.wanted.replace("-", MINUS).replace(">=", "\N{GREATER-THAN OR EQUAL TO}")


def key(verdict: Verdict) -> str:
    """A verdict as the name of a class."""
    return verdict.replace(" ", "-")


def number(value: float | None, unit: str) -> str:
    """An effect, with as many digits as are worth telling, and a true minus."""
    if value is None:
        return DASH
    return f"{value:.{4 if unit == 'nats' else 2}f}".replace("-", MINUS)


def ratio(part: Part) -> str:
    """The ratio that an effect is the logarithm of, where it is."""
    if part.unit != "log ratio" or part.effect is None:
        return ""
    return f"\N{MULTIPLICATION SIGN} {significant(exp(part.effect), 3)}"


def interval(part: Part) -> str:
    """`[low, high]`; a dash where there is none."""
    if part.low is None or part.high is None:
        return DASH
    return f"[{number(part.low, part.unit)}, {number(part.high, part.unit)}]"


def p_value(p: float | None) -> str:
    """`0.021`, `< 0.001`, or a dash."""
    if p is None:
        return DASH
    return "< 0.001" if p < 0.001 else f"{p:.2g}" if p < 0.0995 else f"{p:.2f}"


_WIDTH, _HEIGHT, _PAD = 132.0, 22.0, 5.0


def picture(part: Part) -> Markup:
    """The claimed side as a tinted field, seeds as ticks, interval as a line, mean as a dot.

    Empty where there is no effect; each picture has a scale of its own.
    """
    if part.effect is None:
        return Markup("")
    lines = [end for end in part.claimed if isfinite(end)]
    ends = [end for end in (part.low, part.high) if end is not None]
    shown = [*lines, part.effect, *ends, *part.values.values()]
    low, high = min(shown), max(shown)
    margin = 0.08 * (high - low) or 1.0
    low, high = low - margin, high + margin

    def x(value: float) -> float:
        return round(_PAD + (value - low) / (high - low) * (_WIDTH - 2 * _PAD), 1)

    left, right = (
        x(end) if isfinite(end) else edge
        for end, edge in zip(part.claimed, (0.5, _WIDTH - 0.5), strict=True)
    )
    middle = _HEIGHT / 2
    marks = [
        f'<rect class="side" x="{left}" y="2" width="{max(0.0, right - left):.1f}" '
        f'height="{_HEIGHT - 4}"/>',
        *(f'<path class="edge-line" d="M{x(at)} 1V{_HEIGHT - 1}"/>' for at in lines),
        *(
            f'<path class="seed" d="M{x(value)} {middle - 5}v10"/>'
            for value in part.values.values()
        ),
        f'<circle class="mean" cx="{x(part.effect)}" cy="{middle}" r="3.6"/>',
    ]
    if ends:
        marks.insert(-1, f'<path class="range" d="M{x(ends[0])} {middle}H{x(ends[1])}"/>')
    size = f'viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" width="{_WIDTH:.0f}" height="{_HEIGHT:.0f}"'
    return Markup(f'<svg class="effect" {size} aria-hidden="true">{"".join(marks)}</svg>')
