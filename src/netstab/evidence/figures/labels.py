"""Names beside points: a place for each where it covers neither a point nor another name."""

from collections.abc import Sequence

Point = tuple[float, float]
Side = tuple[int, int, str]
"""Offset (dx, dy) of a name from its point in pixels, and its alignment."""

_SIDES: tuple[Side, ...] = (
    (9, 0, "left"), (-9, 0, "right"), (0, -13, "center"), (0, 13, "center"),
    (7, -10, "left"), (7, 10, "left"), (-7, -10, "right"), (-7, 10, "right"),
    (12, -20, "left"), (12, 20, "left"), (-12, -20, "right"), (-12, 20, "right"),
)  # fmt: skip
"""The best first."""
_LETTER, _LINE = 6.6, 12.5
"""Width and height of a letter, in pixels, of the wider ones among the page's fonts."""

_Box = tuple[float, float, float, float]


def place(
    names: Sequence[tuple[str, Point]], small: Sequence[Point], width: float, height: float
) -> list[Side | None]:
    """A side for each name; None where there is none: its point tells it when hovered over.

    Args:
        names: each with its point, in pixels from the upper left corner.
        small: points that a name rather leaves clear.
        width: of the plot in pixels.
        height: likewise.
    """
    taken = [_around(point, 6) for _, point in names]
    rather_not = [_around(point, 2) for point in small]
    sides: list[Side | None] = []
    for name, (x, y) in names:
        free = []
        for rank, (dx, dy, align) in enumerate(_SIDES):
            box = _box(x + dx, y + dy, align, len(name) * _LETTER)
            inside = box[0] >= 0 and box[2] <= width and box[1] >= 0 and box[3] <= height
            if inside and not any(_overlap(box, other) for other in taken):
                # Whose name it is must stay plain: four sides further off are worth one point.
                cost = rank // 4 + sum(_overlap(box, other) for other in rather_not)
                free.append((cost, rank, box))
        if not free:
            sides.append(None)
            continue
        _, rank, box = min(free)
        taken.append(box)
        sides.append(_SIDES[rank])
    return sides


def _around(point: Point, radius: float) -> _Box:
    x, y = point
    return x - radius, y - radius, x + radius, y + radius


def _box(x: float, y: float, align: str, width: float) -> _Box:
    left = x - {"left": 0.0, "center": width / 2, "right": width}[align]
    return left, y - _LINE / 2, left + width, y + _LINE / 2


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
