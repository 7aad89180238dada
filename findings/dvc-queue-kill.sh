#!/usr/bin/env bash
# Surprising: `dvc queue stop --kill` loses experiments that nobody has killed. The two under way end
#   as Failed, as one expects; then a worker takes up the third before it stops, so that this one
#   says `Running` for good, with no worker, and neither `dvc queue start` runs it nor
#   `dvc queue remove --queued` removes it. No command starts failed ones again.
# Versions: dvc 3.67.1, Python 3.11, Linux. Seen on 29 November 2026, half a
#   minute after the second `dvc queue start`:
#   grid-3   Running
#   grid-1   Failed
#   grid-2   Failed
#   Worker status: 0 active, 0 idle
# What to do: `dvc queue remove --all` (after `dvc queue kill NAME` for the one that stays), and queue
#   the same experiments again. A stage has to keep its work elsewhere to go on from it.
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
  slow:
    cmd: touch $HOME/started-${value}; sleep 20; echo ${value} > slow.txt
    params: [value]
    outs: [slow.txt]
YAML
echo "value: 0" > params.yaml
git add . && git commit --quiet --message project

dvc --version
dvc exp run --quiet --queue --name grid -S 'value=1,2,3'
dvc queue start --jobs 2
while [ "$(ls "$work" | grep -c started)" -lt 2 ]; do sleep 0.2; done
dvc queue stop --kill
sleep 30
dvc queue start --jobs 2
sleep 40
said=$(dvc queue status); echo "$said"
[ "$(grep -c Failed <<< "$said")" = 2 ] && grep -q Running <<< "$said" \
  && grep -q '0 active, 0 idle' <<< "$said" \
  || { echo "changed: a killed queue goes on where it is started again"; exit 1; }
