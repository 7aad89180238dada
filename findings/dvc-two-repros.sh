#!/usr/bin/env bash
# Surprising: two `dvc repro` of different stages cannot run side by side where both depend on a
#   third, even if that one is up to date and nobody writes it: the second fails at once. One holds
#   its inputs for reading for as long as its command runs, and the other asks to write them before
#   it knows that it will not.
# Versions: dvc 3.67.1, Python 3.11, Linux. Seen on 29 November 2026, while stage `slow` runs:
#   ERROR: failed to reproduce 'data': '.../project/data.txt' is busy, it is being blocked by:
#     (PID ...): .../dvc repro --quiet slow
#   dvc repro fast: exit code 255
#   dvc repro --single-item fast: exit code 0
# What to do: name just the stage (--single-item) where its inputs are up to date, or run one after
#   the other.
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
  data:
    cmd: echo 1 > data.txt
    outs: [data.txt]
  slow:
    cmd: touch ../started; while [ ! -e ../enough ]; do sleep 0.1; done; cp data.txt slow.txt
    deps: [data.txt]
    outs: [slow.txt]
  fast:
    cmd: cp data.txt fast.txt
    deps: [data.txt]
    outs: [fast.txt]
YAML
dvc repro --quiet data

dvc --version
dvc repro --quiet slow &
while [ ! -e ../started ]; do sleep 0.1; done
whole=0; dvc repro fast || whole=$?
echo "dvc repro fast: exit code $whole"
alone=0; dvc --wait-for-lock repro --quiet --single-item fast || alone=$?
echo "dvc repro --single-item fast: exit code $alone"
touch ../enough; wait
[ "$whole" = 255 ] && [ "$alone" = 0 ] \
  || { echo "changed: an unchanged stage that both need no longer keeps them apart"; exit 1; }
