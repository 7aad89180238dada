"""Words for people: durations in the unit that a person would use."""

import pytest

from netstab.text import duration


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (1e-5, "0 s"),
        (0.123, "0.12 s"),
        (4.56, "4.6 s"),
        (99.4, "99 s"),
        (99.5, "2 min"),
        (99.6, "2 min"),
        (5999, "100 min"),
        (6000, "1.7 h"),
        (71.96 * 3600, "72 h"),
        (72 * 3600, "3 days"),
    ],
)
def test_a_duration_is_said_without_powers_of_ten(seconds: float, said: str) -> None:
    assert duration(seconds) == said
