"""Words for people, whatever they are about."""


def duration(seconds: float) -> str:
    """Seconds in the unit that a person would use: `42 s`, `12 min`, `5 h`, `4 days`."""
    if seconds < 100:
        return f"{seconds:.2g} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 72 * 3600 else f"{seconds / 86400:.0f} days"
