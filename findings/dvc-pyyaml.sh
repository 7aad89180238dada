#!/usr/bin/env bash
# Surprising: `dvc exp run -S` writes params.yaml as YAML 1.2, and a training script that reads it by
#   PyYAML, as most do, reads YAML 1.1. So a rate of 0.00001 reaches the script as a string, `off` as
#   False, and `1:30` as 90. The file reads well, and DVC itself (params diff, exp show, templates)
#   shows what was asked for.
# Versions: dvc 3.67.1, PyYAML 6.0.3, Python 3.11, Linux. Seen on 29 November 2026:
#   -S rate=0.00001 in the file: rate: 1e-05, in the script: '1e-05'
#   -S augment=off in the file: augment: off, in the script: False
#   -S limit=1:30 in the file: limit: 1:30, in the script: 90
# What to do: read params.yaml by dvc.api.params_show() or ruamel.yaml, or check the types of what was
#   read.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet dvc==3.67.1 dulwich==1.2.21 pathspec==1.1.1 PyYAML==6.0.3
export HOME="$work" PATH="$work/venv/bin:$PATH"
git config --global user.name somebody; git config --global user.email somebody@example.org

mkdir "$work/project"; cd "$work/project"; git init --quiet; dvc init --quiet
dvc config core.analytics false
printf 'rate: 0.1\naugment: flip\nlimit: none\n' > params.yaml
cat > train.py <<'PY'
import yaml
with open("params.yaml") as file:
    found = yaml.safe_load(file)
open("seen.txt", "w").writelines(f"{name} {value!r}\n" for name, value in found.items())
PY
cat > dvc.yaml <<'YAML'
stages:
  train:
    cmd: python train.py
    params: [rate, augment, limit]
YAML
dvc repro --quiet; echo /seen.txt >> .gitignore; git add --all; git commit --quiet --message one

dvc --version
dvc exp run --quiet -S rate=0.00001 -S augment=off -S limit=1:30
for asked in rate=0.00001 augment=off limit=1:30; do
  name=${asked%%=*}
  echo "-S $asked in the file: $(grep "^$name:" params.yaml), in the script: $(sed -n "s/^$name //p" seen.txt)"
done
[ "$(xargs -d '\n' < seen.txt)" = "rate '1e-05' augment False limit 90" ] \
  || { echo 'changed: the script reads what was asked for'; exit 1; }
