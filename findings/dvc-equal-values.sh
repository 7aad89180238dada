#!/usr/bin/env bash
# Surprising: to DVC a parameter that turns from 1 into true, or into 1.0, has not changed, and the
#   stage that depends on it does not run: values are compared as Python compares them, so 1, 1.0
#   and True are one, and 0 is false. The text '1' is another. A program that treats `layers: 1` and
#   `layers: true` differently keeps the results of the value before.
# Versions: dvc 3.67.1, Python 3.11, Linux. Seen on 29 November 2026 (the value before was 1):
#   layers: true: up to date
#   layers: 1.0: up to date
#   layers: '1': changed
# What to do: give a parameter one type, and refuse the others where you read it.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet dvc==3.67.1 dulwich==1.2.21 pathspec==1.1.1
export HOME="$work" PATH="$work/venv/bin:$PATH"

mkdir "$work/project"; cd "$work/project"; git init --quiet; dvc init --quiet
dvc config core.analytics false
echo 'layers: 1' > params.yaml
cat > dvc.yaml <<'YAML'
stages:
  train:
    cmd: echo trained
    params: [layers]
YAML

dvc --version
dvc repro --quiet
for value in true 1.0 "'1'"; do
  echo "layers: $value" > params.yaml
  if dvc status | grep -q modified; then seen=changed; else seen='up to date'; fi
  echo "layers: $value: $seen"
  case "$value:$seen" in "'1':changed" | "true:up to date" | "1.0:up to date") ;;
    *) echo 'changed: values are compared otherwise'; exit 1 ;;
  esac
done
