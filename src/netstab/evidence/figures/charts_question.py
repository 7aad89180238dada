"""The question as a Vega-Lite spec: each variant a point, sharper or not, steadier or not."""

from collections.abc import Sequence
from math import ceil, floor, log10
from typing import Any

import altair as alt

from netstab.evidence.figures.palette import (
    EVEN_COLOUR,
    EXPERIMENT_SHAPES,
    GAIN_COLOUR,
    INK,
    LOSS_COLOUR,
)

Range = tuple[float, float]


def question(
    experiments: Sequence[str], domains: tuple[Range, Range], most: float, height: int
) -> dict[str, Any]:
    """Each variant by its change in sharpness and in drift, coloured by its gain.

    The dataset `points` is expected to have the rows (variant, experiment, seed, sharpness, drift,
    gain), ratios and percentage points against the baseline, seed null for the mean; `names` has
    (name, sharpness, drift, dx, dy, align, narrow), the last one telling for which plots the place
    of the name was found. The parameter `narrow` chooses.

    Args:
        experiments: in the order of the legend.
        domains: of the two axes, as ratios.
        most: largest gain or loss, in points: the ends of the scale of colours.
        height: of the plot in pixels.
    """
    x = _ratio(alt.X, "sharpness", "sharpness at the end, relative to the baseline", domains[0])
    y = _ratio(alt.Y, "drift", "forward drift at the end, relative to the baseline", domains[1])
    # Along the top, where it needs no room beside the labels.
    for name, value in _ALONG_THE_TOP.items():
        y["axis"][name] = value
    even = alt.Chart(alt.InlineData([{"one": 1}])).mark_rule(color="#999999", aria=False)
    base = alt.Chart(alt.NamedData("points")).encode(
        x=x, y=y, color=_gain(most), shape=_experiment(experiments)
    )
    layers = [even.encode(x="one:Q"), even.encode(y="one:Q"), *_points(base), *_names(x, y)]
    spec: dict[str, Any] = (
        alt.layer(*layers)
        .add_params(
            alt.param(name="narrow", value=False),
            alt.param(name="columns", value=len(experiments)),
        )
        .properties(
            width="container",
            height=height,
            autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        )
        .to_dict(validate=False)
    )
    return spec


def _points(base: alt.Chart) -> list[alt.Chart]:
    """Small ones for seeds, large ones for their means."""
    picked = alt.selection_point(name="pick", fields=["experiment"], bind="legend")
    seeds = (
        base.transform_filter("isValid(datum.seed)")
        .mark_point(filled=True, size=16, stroke="#777777", strokeWidth=0.4, aria=False)
        .encode(opacity=alt.when(picked).then(alt.value(0.75)).otherwise(alt.value(0.05)))
        # Of the first layer with a legend: Vega-Lite has the legend react for this one alone.
        .add_params(picked)
    )
    means = (
        base.transform_filter("!isValid(datum.seed)")
        .mark_point(filled=True, size=110, stroke=INK, strokeWidth=1, aria=False)
        .encode(
            opacity=alt.when(picked).then(alt.value(1)).otherwise(alt.value(0.12)),
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
        .transform_filter("datum.narrow === narrow")
        .encode(x=x, y=y, text="name:N")
    )
    shared: dict[str, Any] = {"fontSize": 10.5, "baseline": "middle", "aria": False, **offsets}
    halo = base.mark_text(color="white", stroke="white", strokeWidth=3, opacity=0.8, **shared)
    return [halo, base.mark_text(color=INK, **shared)]


def _gain(most: float) -> alt.Color:
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
            gradientLength=alt.ExprRef("narrow ? 240 : 300"),
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
            columns=alt.ExprRef("columns"),
            symbolFillColor="#BBBBBB",
            symbolStrokeColor=INK,
            symbolStrokeWidth=1,
            symbolSize=80,
        ),
    )


def _ratio(channel: Any, field: str, title: str, domain: Range) -> Any:
    """A logarithmic axis of ratios, with ticks at 1, 2 and 5."""
    low, high = domain
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    ticks = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    axis = alt.Axis(
        grid=True,
        values=[float(f"{tick:.3g}") for tick in ticks if low <= tick <= high],
        labelExpr="'\N{MULTIPLICATION SIGN} ' + format(datum.value, '~g')",
    )
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    return channel(f"{field}:Q", title=title, scale=scale, axis=axis)


_ALONG_THE_TOP = {
    "titleAngle": 0,
    "titleAlign": "left",
    "titleBaseline": "bottom",
    "titleX": -34,
    "titleY": -7,
}
