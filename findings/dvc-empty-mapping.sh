#!/usr/bin/env bash
# Surprising: `dvc exp run -S 'own={}'` ends with 0 and changes nothing: a mapping is merged into
#   the one that is there, so an empty one empties nothing. A list, `-S 'seeds=[]'`, replaces.
# Versions: dvc 3.67.1, Python 3.11, Linux. Seen on 29 November 2026:
#   own:
#     late: 1
#     early: 2
#   seeds: []
# What to do: remove keys one by one (-S '~own.late' -S '~own.early').
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet dvc==3.67.1 dulwich==1.2.21 pathspec==1.1.1
export HOME="$work" PATH="$work/venv/bin:$PATH"
git config --global user.name somebody; git config --global user.email somebody@example.org

mkdir "$work/project"; cd "$work/project"; git init --quiet; dvc init --quiet
dvc config core.analytics false
cat > params.yaml <<'YAML'
own:
  late: 1
  early: 2
seeds: [0, 1]
YAML
cat > dvc.yaml <<'YAML'
stages:
  train:
    cmd: echo trained
    params: [own, seeds]
YAML
git add --all; git commit --quiet --message one

dvc --version
dvc exp run --quiet -S 'own={}' -S 'seeds=[]'
cat params.yaml
[ "$(cat params.yaml)" = "$(printf 'own:\n  late: 1\n  early: 2\nseeds: []')" ] \
  || { echo "changed: an empty mapping replaces, or a list is merged"; exit 1; }
