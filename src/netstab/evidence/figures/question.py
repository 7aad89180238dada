"""The question as a picture: does a variant gain by sharpness, or by stability?

Each variant is a point, sharper or not, steadier or not, coloured by its gain (see `relative`).
"""

from collections.abc import Sequence
from math import ceil, exp, floor, log, log10
from typing import Any

import altair as alt

from netstab import paths
from netstab.evidence.figures import labels
from netstab.evidence.figures.figure import Figure, built, finished, warning
from netstab.evidence.figures.theme import (
    EVEN_COLOUR,
    EXPERIMENT_SHAPES,
    FIT,
    GAIN_COLOUR,
    INK,
    LOSS_COLOUR,
    NARROW,
    WIDTH,
    legend_columns,
    pick,
    when_picked,
)
from netstab.evidence.results import Results
from netstab.evidence.summary.relative import Point, largest_error, locate
from netstab.evidence.texts import significant

HEIGHT = 400
SIZES = {"wide": (WIDTH, HEIGHT), "narrow": (270, HEIGHT)}
"""Plots that names are placed for: on a page or in an SVG file, and on a phone."""

Range = tuple[float, float]


def question(results: Results) -> tuple[Figure | None, list[str]]:
    """Change in sharpness against change in drift; and which variants are left out, and why.

    No figure where no variant beside the baseline has a place.
    """
    points, left_out = locate(results.params, results.collection)
    absent = [f"{', '.join(variants)}: {why}" for why, variants in left_out.items()]
    means = [p for p in points if p.seed is None]
    if len(means) < 2:
        return None, absent
    places = ", ".join(
        f"{p.variant.name} sharpness x {significant(row['sharpness'], 3)}, "
        f"drift x {significant(row['drift'], 3)}, "
        f"top-1 {p.gain:+.2f}"
        for p in means
        for row in [p.row()]
    )
    spec = finished(
        _spec(points),
        "Sharper, or steadier?",
        [*warning(results), "large: mean over seeds, small: each seed", *_precision(results)],
        "Each variant by its change in sharpness and in forward drift at the end "
        f"against the baseline, coloured by its gain in final validation top-1. {places}.",
        points=[point.row() for point in points],
        names=[
            {**row, "size": size} for size, plot in SIZES.items() for row in names(points, *plot)
        ],
    )
    files = [("claims.csv", paths.CLAIM_PARTS.name), ("runs", f"{paths.RUNS.name}/")]
    return Figure(spec, files), absent


def _precision(results: Results) -> list[str]:
    """How far sharpness may be off, where that is known."""
    files = results.collection.sharpness.values()
    error = largest_error(files, results.params.train.run_epochs)
    return [] if error is None else [f"eigenvalues: stated error at most {error:.1%}"]


def domains(points: Sequence[Point]) -> tuple[Range, Range]:
    """Ends of the two axes, as ratios: all points and the baseline, with a margin."""
    ends = []
    for values in ([p.sharpness for p in points], [p.drift for p in points]):
        low, high = min(0.0, *values), max(0.0, *values)
        margin = 0.09 * (high - low) or 0.5
        ends.append((exp(low - margin), exp(high + margin)))
    return ends[0], ends[1]


def names(points: Sequence[Point], width: float, height: float) -> list[dict[str, Any]]:
    """The names of means that have a place, with their offsets.

    Args:
        points: as `locate` has them.
        width: of the plot in pixels.
        height: likewise.
    """
    (left, right), (bottom, top) = domains(points)

    def spot(point: Point) -> tuple[float, float]:
        x = (point.sharpness - log(left)) / (log(right) - log(left)) * width
        return x, (log(top) - point.drift) / (log(top) - log(bottom)) * height

    means = [point for point in points if point.seed is None]
    named = [(point.variant.name.removeprefix("exp"), spot(point)) for point in means]
    seeds = [spot(point) for point in points if point.seed is not None]
    sides = labels.place(named, seeds, width, height)
    return [
        {
            "name": name,
            **dict(zip(("dx", "dy", "align"), side, strict=True)),
            **{key: point.row()[key] for key in ("sharpness", "drift")},
        }
        for point, (name, _), side in zip(means, named, sides, strict=True)
        if side is not None
    ]


def _spec(points: Sequence[Point]) -> dict[str, Any]:
    """The plot; its dataset `names` tells for which size the place of a name was found."""
    means = [p for p in points if p.seed is None]
    experiments = list(dict.fromkeys(p.variant.experiment for p in means))
    across, up = domains(points)
    x = _ratio(alt.X, "sharpness", "sharpness at the end, relative to the baseline", across)
    y = _ratio(
        alt.Y,
        "drift",
        "forward drift at the end, relative to the baseline",
        up,
        # Along the top, where it needs no room beside the labels.
        titleAngle=0,
        titleAlign="left",
        titleBaseline="bottom",
        titleX=-34,
        titleY=-7,
    )
    even = alt.Chart(alt.InlineData([{"one": 1}])).mark_rule(color="#999999", aria=False)
    base = alt.Chart(alt.NamedData("points")).encode(
        x=x,
        y=y,
        color=_gain(max(0.5, *(abs(p.gain) for p in means))),
        shape=_experiment(experiments),
    )
    layers = [
        even.encode(x=alt.X("one:Q")),
        even.encode(y=alt.Y("one:Q")),
        *_points(base),
        *_names(x, y),
    ]
    return built(alt.layer(*layers), width="container", height=HEIGHT, autosize=FIT)


def _points(base: alt.Chart) -> list[alt.Chart]:
    """Small ones for seeds, large ones for their means."""
    seeds = (
        base.transform_filter("isValid(datum.seed)")
        .mark_point(filled=True, size=16, stroke="#777777", strokeWidth=0.4, aria=False)
        .encode(opacity=when_picked(alt.OpacityValue, 0.75, 0.05))
        # Of the first layer with a legend: Vega-Lite has the legend react for this one alone.
        .add_params(pick("experiment"))
    )
    means = (
        base.transform_filter("!isValid(datum.seed)")
        .mark_point(filled=True, size=110, stroke=INK, strokeWidth=1, aria=False)
        .encode(
            opacity=when_picked(alt.OpacityValue, 1, 0.12),
            tooltip=[
                alt.Tooltip("variant:N"),
                alt.Tooltip("sharpness:Q", title="sharpness, ratio", format=".3g"),
                alt.Tooltip("drift:Q", title="drift, ratio", format=".3g"),
                alt.Tooltip("gain:Q", title="gain in top-1 (points)", format="+.2f"),
            ],
        )
    )
    return [seeds, means]


def _names(x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Names, each over a white one with a wide outline: legible on whatever is below."""
    offsets: dict[str, Any] = {name: alt.ExprRef(f"datum.{name}") for name in ("align", "dx", "dy")}
    base = (
        alt.Chart(alt.NamedData("names"))
        .transform_filter(f"datum.size === (room < {NARROW} ? 'narrow' : 'wide')")
        .encode(x=x, y=y, text=alt.Text("name:N"))
    )
    shared: dict[str, Any] = {"fontSize": 10.5, "baseline": "middle", "aria": False, **offsets}
    halo = base.mark_text(color="white", stroke="white", strokeWidth=3, opacity=0.8, **shared)
    return [halo, base.mark_text(color=INK, **shared)]


def _gain(most: float) -> alt.Color:
    """Gain or loss up to the largest, in points."""
    return alt.Color(
        "gain:Q",
        scale=alt.Scale(
            domain=[-most, 0, most], range=[LOSS_COLOUR, EVEN_COLOUR, GAIN_COLOUR], clamp=True
        ),
        legend=alt.Legend(
            title="gain in final validation top-1 (points)",
            titleFontWeight="normal",
            titleLimit=400,
            orient="bottom",
            gradientLength=alt.ExprRef(f"room < {NARROW} ? 240 : 300"),
            gradientThickness=9,
            gradientOpacity=1,
            tickCount=5,
        ),
    )


def _experiment(experiments: Sequence[str]) -> alt.Shape:
    return alt.Shape(
        "experiment:N",
        scale=alt.Scale(
            domain=list(experiments), range=[EXPERIMENT_SHAPES[name] for name in experiments]
        ),
        legend=alt.Legend(
            orient="top",
            offset=26,
            columns=legend_columns(experiments),
            symbolFillColor="#BBBBBB",
            symbolStrokeColor=INK,
            symbolStrokeWidth=1,
            symbolSize=80,
        ),
    )


def _ratio(channel: Any, field: str, title: str, domain: Range, **options: Any) -> Any:
    """A logarithmic axis of ratios, with ticks at 1, 2 and 5; options are the axis's."""
    low, high = domain
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    ticks = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    axis = alt.Axis(
        grid=True,
        values=[float(f"{tick:.3g}") for tick in ticks if low <= tick <= high],
        labelExpr="'\N{MULTIPLICATION SIGN} ' + format(datum.value, '~g')",
        **options,
    )
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    return channel(f"{field}:Q", title=title, scale=scale, axis=axis)
