#!/usr/bin/env bash
# Surprising: in a shallow clone, `dvc exp run --temp` runs everything, ends with 0, and keeps
#   nothing: no experiment, no reference, no results. Without --temp the same experiment is kept.
# Versions: dvc 3.67.1, Python 3.11, git 2.39.5, Linux. Seen on 29 November 2026 (exit codes, then
#   the experiments that are there):
#   --temp: 0
#   in place: 0
#   master:
#   	e4c7902 [in-place]
# What to do: `git fetch --unshallow` before, and look for the experiment after (`dvc exp list`).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet dvc==3.67.1 dulwich==1.2.21 pathspec==1.1.1
export HOME="$work" PATH="$work/venv/bin:$PATH"
git config --global user.name somebody; git config --global user.email somebody@example.org

mkdir "$work/project"; cd "$work/project"; git init --quiet; dvc init --quiet
dvc config core.analytics false
echo "rate: 1" > params.yaml
cat > dvc.yaml <<'YAML'
stages:
  train:
    cmd: cp params.yaml result.yaml
    params: [rate]
    metrics:
    - result.yaml:
        cache: false
YAML
dvc repro --quiet
git add --all; git commit --quiet --message one
git commit --quiet --allow-empty --message two
git clone --quiet --depth 1 "file://$work/project" "$work/shallow"; cd "$work/shallow"

dvc --version; git --version
dvc exp run --quiet --temp --name elsewhere -S rate=2 && echo "--temp: $?"
dvc exp run --quiet --name in-place -S rate=3 && echo "in place: $?"
kept=$(dvc exp list)
echo "$kept"
grep --quiet in-place <<< "$kept" && ! grep --quiet elsewhere <<< "$kept" \
  && ! git for-each-ref | grep --quiet elsewhere \
  || { echo "changed: a temporary experiment of a shallow clone is kept, or refused"; exit 1; }
