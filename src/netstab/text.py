"""Words for people, whatever they are about."""


def duration(seconds: float) -> str:
    """Seconds in the unit that a person would use: `42 s`, `12 min`, `4.5 h`, `4 days`."""
    if seconds < 100:
        return f"{seconds:.2g} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    hours = f"{round(seconds / 3600, 1):g} h"
    return hours if seconds < 72 * 3600 else f"{seconds / 86400:.0f} days"


def one_line(error: Exception) -> str:
    """What an exception says, short and without line breaks."""
    return " ".join(str(error).split())[:200]


def few(names: list[str]) -> str:
    """Names in a row; of more than four the first and how many more."""
    return ", ".join(names) if len(names) <= 4 else f"{names[0]} and {len(names) - 1} more"
