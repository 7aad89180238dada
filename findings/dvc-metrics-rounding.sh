#!/usr/bin/env bash
# Surprising: `dvc metrics show` and `dvc metrics diff` print a metric of 0.0000041 as 0.0, and its
#   change by a factor of three as -0.0: they round to five decimals, not to digits that count. No
#   setting changes it, only `--precision` at each call.
# Versions: dvc 3.67.1, Python 3.11, Linux. Seen on 29 November 2026:
#   Path    loss_sd
#   m.json  0.0
#   Path    Metric    HEAD    workspace    Change
#   m.json  loss_sd   0.0     0.0          -0.0
# What to do: store small figures in a unit in which they are not small, and put it into the name.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet dvc==3.67.1 dulwich==1.2.21 pathspec==1.1.1
export HOME="$work" PATH="$work/venv/bin:$PATH"
git config --global user.name somebody; git config --global user.email somebody@example.org

mkdir "$work/project"; cd "$work/project"; git init --quiet; dvc init --quiet
dvc config core.analytics false
cat > dvc.yaml <<'YAML'
stages:
  train:
    cmd: echo trained
    metrics:
    - m.json:
        cache: false
YAML
echo '{"loss_sd": 0.0000041}' > m.json
git add --all; git commit --quiet --message one
echo '{"loss_sd": 0.0000012}' > m.json

dvc --version
shown=$(dvc metrics show); changed=$(dvc metrics diff)
echo "$shown"; echo "$changed"
[ "$(awk '/m.json/ {print $2}' <<< "$shown")" = 0.0 ] \
  && [ "$(awk '/m.json/ {print $3, $4, $5}' <<< "$changed")" = "0.0 0.0 -0.0" ] \
  || { echo "changed: small metrics are no longer shown as 0.0"; exit 1; }
