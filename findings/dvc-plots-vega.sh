#!/usr/bin/env bash
# Surprising: the page that `dvc plots show` writes loads Vega-Lite 5, whatever draws into it. A
#   template made with today's Altair declares version 6, and gets the older library: what only 6
#   knows is drawn otherwise or not at all, with no more than a warning in the browser's console.
# Versions: dvc 3.67.1, dvc-render 1.0.2, altair 6.3.0, Linux. Seen on 29 November 2026:
#   altair declares https://vega.github.io/schema/vega-lite/v6.4.1.json
#   the page loads https://cdn.jsdelivr.net/npm/vega-embed@6.18.2
#   the page loads https://cdn.jsdelivr.net/npm/vega-lite@5.2.0
#   the page loads https://cdn.jsdelivr.net/npm/vega@5.20.2
# What to do: swap the page by `plots.html_template` in .dvc/config for one that loads the version
#   that your templates declare.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet dvc==3.67.1 dvc-render==1.0.2 altair==6.3.0 dulwich==1.2.21 pathspec==1.1.1
export HOME="$work" PATH="$work/venv/bin:$PATH"
git config --global user.name somebody; git config --global user.email somebody@example.org

mkdir "$work/project"; cd "$work/project"; git init --quiet; dvc init --quiet
dvc config core.analytics false
mkdir -p .dvc/plots
python - <<'PYTHON'
import json
from pathlib import Path

import altair as alt

rows = alt.Data(values=[{"x": 1, "y": 1}])
spec = alt.Chart(rows).mark_line().encode(x="x:Q", y="y:Q").to_dict()
spec["data"] = {"values": "<DVC_METRIC_DATA>"}
Path(".dvc/plots/ours.json").write_text(json.dumps(spec))
print("altair declares", spec["$schema"])
PYTHON
printf 'x,y\n1,1\n2,3\n' > curve.csv
cat > dvc.yaml <<'YAML'
plots:
- curve.csv:
    x: x
    y: y
    template: ours
YAML

dvc --version
dvc plots show --quiet
page=dvc_plots/index.html
grep --only-matching 'https://cdn[^"]*' "$page" | sort -u | sed 's/^/the page loads /'
grep --quiet 'schema/vega-lite/v6' "$page" && grep --quiet 'vega-lite@5' "$page" \
  || { echo "changed: the page loads another version, or altair declares another one"; exit 1; }
