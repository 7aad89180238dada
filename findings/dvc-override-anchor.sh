#!/usr/bin/env bash
# Surprising: where two entries of params.yaml share a mapping by an anchor, `dvc exp run -S` of the
#   one changes both, and their stages run both. Where an entry merges that mapping (`<<`), it does
#   not follow: the old value is written into it. Editing the anchored value by hand changes all
#   three. The diff of params.yaml does not show that the entry with the alias has changed.
# Versions: dvc 3.67.1, Python 3.11, Linux. Seen on 29 November 2026:
#   before: {'plain': 0.1, 'alias': 0.1, 'merged': 0.1}
#   -S alias.rate=0.2: {'plain': 0.2, 'alias': 0.2, 'merged': 0.1}
#   stages that ran: alias plain
# What to do: no anchors in params.yaml; write each value out.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet dvc==3.67.1 dulwich==1.2.21 pathspec==1.1.1
export HOME="$work" PATH="$work/venv/bin:$PATH"
git config --global user.name somebody; git config --global user.email somebody@example.org

mkdir "$work/project"; cd "$work/project"; git init --quiet; dvc init --quiet
dvc config core.analytics false
cat > params.yaml <<'YAML'
plain: &shared
  rate: 0.1
  steps: 5
alias: *shared
merged:
  <<: *shared
  steps: 7
YAML
cat > dvc.yaml <<'YAML'
stages:
  train:
    foreach: [plain, alias, merged]
    do:
      cmd: echo ${item} >> ran.txt
      params:
      - ${item}
YAML
cat > rates.py <<'PY'
from ruamel.yaml import YAML
print({name: part["rate"] for name, part in YAML(typ="safe").load(open("params.yaml")).items()})
PY
dvc repro --quiet; echo /ran.txt >> .gitignore; git add --all; git commit --quiet --message one

dvc --version
echo "before: $(python rates.py)"; : > ran.txt
dvc exp run --quiet -S alias.rate=0.2
after=$(python rates.py); ran=$(sort ran.txt | xargs)
echo "-S alias.rate=0.2: $after"; echo "stages that ran: $ran"
[ "$after" = "{'plain': 0.2, 'alias': 0.2, 'merged': 0.1}" ] && [ "$ran" = 'alias plain' ] \
  || { echo 'changed: an override leaves what shares the mapping alone, or changes all'; exit 1; }
