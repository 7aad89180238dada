#!/usr/bin/env bash
# Surprising: a `matrix` over the keys of a mapping makes no stage at all where the keys are
#   integers, and nobody says so: `dvc repro` runs the rest and ends with 0. Keys that are text make
#   theirs.
# Versions: dvc 3.67.1, Python 3.11, Linux. Seen on 29 November 2026, of two matrices of two each:
#   named@a  No outputs or dependencies
#   named@b  No outputs or dependencies
# What to do: quote keys that look like numbers ('64': ...), and check that the stages you mean are
#   there (`dvc stage list`).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet dvc==3.67.1 dulwich==1.2.21 pathspec==1.1.1
export HOME="$work" PATH="$work/venv/bin:$PATH"
git config --global user.name somebody; git config --global user.email somebody@example.org

mkdir "$work/project"; cd "$work/project"; git init --quiet; dvc init --quiet
dvc config core.analytics false
cat > params.yaml <<'YAML'
widths:
  64: {rate: 0.1}
  128: {rate: 0.2}
names:
  a: {rate: 0.1}
  b: {rate: 0.2}
YAML
cat > dvc.yaml <<'YAML'
stages:
  numbered:
    matrix:
      width: ${widths}
    cmd: echo training at width ${item.width}
  named:
    matrix:
      name: ${names}
    cmd: echo training ${item.name}
YAML

dvc --version
stages=$(dvc stage list)
echo "$stages"
dvc repro --quiet
[ "$(grep --count "^named@" <<< "$stages")" = 2 ] && ! grep --quiet "^numbered" <<< "$stages" \
  || { echo "changed: integer keys make stages, or are refused"; exit 1; }
