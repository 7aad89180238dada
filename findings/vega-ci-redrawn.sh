#!/usr/bin/env bash
# Surprising: a band or bar with extent="ci" is another one each time that the same chart of the same
#   data is drawn: Vega bootstraps in the viewer, and takes no seed. Of six values, such as six seeds,
#   its edges move by several percent of its width from one opening of a page to the next. The text
#   that a screen reader gets moves with them. With extent="stderr" or "stdev" all drawings are one.
# Versions: altair 6.3.0, vl-convert-python 1.9.0 (Vega-Lite 6), Linux. Seen on 29 November 2026 (lower
#   and upper edge of the mean of six values, drawn five times; different drawings of 20):
#   ci: 2.000 5.000, 2.167 5.000, 2.163 5.167, 2.163 5.167, 2.000 5.000; 8 of 20
#   stderr: 2.653 4.347, 2.653 4.347, 2.653 4.347, 2.653 4.347, 2.653 4.347; 1 of 20
# What to do: compute the interval where the data are made, and draw it from two columns.
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


def edges(extent: str) -> str:
    values = alt.Data(values=[{"loss": loss} for loss in (1, 2, 3, 4, 4, 7)])
    chart = alt.Chart(values).mark_errorbar(extent=extent).encode(alt.X("loss:Q"))
    svg = vl_convert.vegalite_to_svg(chart.to_dict())
    low, high = re.search(r"loss: ([0-9.]+); upper_loss: ([0-9.]+)", svg).groups()
    return f"{float(low):.3f} {float(high):.3f}"


print("altair", version("altair"), "vl-convert", version("vl-convert-python"))
different = {}
for extent in ("ci", "stderr"):
    drawn = [edges(extent) for _ in range(20)]
    different[extent] = len(set(drawn))
    print(f"{extent}: {', '.join(drawn[:5])}; {different[extent]} of 20")
if different["ci"] == 1 or different["stderr"] != 1:
    sys.exit("changed: a bootstrapped interval is the same in each drawing")
PY
