#!/usr/bin/env bash
# Surprising: `dvc exp run -S` keeps the comments of params.yaml, but where it replaces a list it
#   removes the comment behind it, which is about the next key. Where it removes the last entry of a
#   mapping below a comment it writes a file that it cannot read itself: the error calls params.yaml
#   corrupted, although the file was valid, and is left as it was.
# Versions: dvc 3.67.1, Python 3.11, Linux. Seen on 29 November 2026:
#   -S 'seeds=[0]': comments before 2, after 1
#   -S '~own.late': exit code 255
#   ERROR: unable to read: 'params.yaml', YAML file structure is corrupted: [...]
# What to do: no comment behind a list; comments of a mapping above its key, not below.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet dvc==3.67.1 dulwich==1.2.21 pathspec==1.1.1
export HOME="$work" PATH="$work/venv/bin:$PATH"
git config --global user.name somebody; git config --global user.email somebody@example.org

mkdir "$work/project"; cd "$work/project"; git init --quiet; dvc init --quiet
dvc config core.analytics false
cat > params.yaml <<'YAML'
seeds:
- 0
- 1
# The optimizer's.
rate: 0.1
own:
  # Changes of one's own.
  late: 1
YAML
cat > dvc.yaml <<'YAML'
stages:
  train:
    cmd: echo trained
    params: [own, rate, seeds]
YAML
git add --all; git commit --quiet --message one

dvc --version
before=$(grep -c '#' params.yaml)
dvc exp run --quiet -S 'seeds=[0]'
after=$(grep -c '#' params.yaml)
echo "-S 'seeds=[0]': comments before $before, after $after"
code=0; dvc exp run -S '~own.late' 2> "$work/errors" || code=$?
echo "-S '~own.late': exit code $code"; head -n 1 "$work/errors"
[ "$before $after" = '2 1' ] && [ "$code" = 255 ] && grep -q corrupted "$work/errors" \
  || { echo 'changed: comments are kept'; exit 1; }
