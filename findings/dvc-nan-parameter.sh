#!/usr/bin/env bash
# Surprising: to DVC a parameter that is not a number (`.nan`) has always changed, so its stage runs
#   at every `dvc repro`. In a list of the same one value it never has.
# Versions: dvc 3.67.1, Python 3.11, Linux. Seen on 29 November 2026, right after a `dvc repro`:
#   alone:
#   	changed deps:
#   		params.yaml:
#   			modified:           limit
# What to do: write null, or a number that stands for "no limit"; refuse .nan where you read it.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet dvc==3.67.1 dulwich==1.2.21 pathspec==1.1.1
export HOME="$work" PATH="$work/venv/bin:$PATH"
git config --global user.name somebody; git config --global user.email somebody@example.org

mkdir "$work/project"; cd "$work/project"; git init --quiet; dvc init --quiet
dvc config core.analytics false
cat > params.yaml <<'YAML'
limit: .nan
limits: [.nan]
YAML
cat > dvc.yaml <<'YAML'
stages:
  alone:
    cmd: echo alone
    params: [limit]
  listed:
    cmd: echo listed
    params: [limits]
YAML

dvc --version
dvc repro --quiet
said=$(dvc status)
echo "$said"
grep --quiet "modified: *limit$" <<< "$said" && ! grep --quiet listed <<< "$said" \
  || { echo "changed: .nan alone is no longer modified, or in a list it is"; exit 1; }
