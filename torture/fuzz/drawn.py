"""Inputs whose choices hypothesis draws."""

from pathlib import Path
from random import Random

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st

from torture.fuzz.bounds import Tally, Target, judge


def drawn(target: Target, runs: int, start: int, folder: Path) -> Tally:
    """Judge so many inputs of a target, in a folder that is emptied for each."""
    tally = Tally()
    target.make(Random(0))

    @seed(start)
    @settings(
        max_examples=runs,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=False))
    def once(random: Random) -> None:
        judge(target, target.make(random), folder, tally)

    once()
    return tally
