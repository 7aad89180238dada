#!/usr/bin/env bash
# Surprising: one value of zero, or below, on a logarithmic axis costs Vega-Lite the whole chart, not
#   that one point: all points, the good ones too, are drawn at the top edge, and the axis has no
#   labels. Nothing is raised. A missing value (null) is left out as expected.
# Versions: altair 6.3.0, vl-convert-python 1.9.0 (Vega-Lite 6), Linux. Seen on 29 November 2026
#   (the line through four points, and the labels of the logarithmic axis):
#   10, 1, 0.1, 0.01: M0,0L100,100L200,200L300,300, 10 labels
#   10, 1, 0.1, 0: M0,0L100,0L200,0L300,0, 0 labels
#   10, 1, 0.1, -0.01: M0,0L100,0L200,0L300,0, 0 labels
# What to do: filter the data (datum.y > 0), and mark apart what has no place on such an axis.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet altair==6.3.0 vl-convert-python==1.9.0.post1
"$work/venv/bin/python" - <<'PY'
import re
import sys
from importlib.metadata import version

import altair as alt
import vl_convert


def drawn(values: list[float]) -> tuple[str, int]:
    points = [{"x": x, "y": y} for x, y in enumerate(values)]
    y = alt.Y("y:Q", scale=alt.Scale(type="log"))
    chart = alt.Chart(alt.Data(values=points)).mark_line().encode(alt.X("x:Q"), y)
    svg = vl_convert.vegalite_to_svg(chart.to_dict())
    [line] = re.findall(r'aria-roledescription="line mark"[^>]* d="([^"]*)"', svg)
    axis = svg.split("Y-axis", 1)[1]
    return line, len(re.findall(r"<text[^>]*>[0-9.]+</text>", axis))


print("altair", version("altair"), "vl-convert", version("vl-convert-python"))
flat = ("M0,0L100,0L200,0L300,0", 0)
for values in ([10, 1, 0.1, 0.01], [10, 1, 0.1, 0], [10, 1, 0.1, -0.01]):
    line, labels = drawn(values)
    print(f"{', '.join(map(str, values))}: {line}, {labels} labels")
    if ((line, labels) == flat) != (min(values) <= 0):
        sys.exit("changed: values of zero or below no longer flatten the chart")
PY
