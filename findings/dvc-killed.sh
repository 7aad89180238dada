#!/usr/bin/env bash
# Surprising: a stage outlives its `dvc`. Where `dvc repro` is killed (kill -9, or for want of
#   memory) its command goes on as an orphan, and the next `dvc repro` clears the dead one's lock
#   with a warning and starts the same command beside it: two write the same outputs.
# Versions: dvc 3.67.1, Python 3.11, Linux. Seen on 29 November 2026:
#   WARNING: Process '.../dvc repro --quiet' with (Pid ...), in RWLock-file 'log.txt' had been
#   killed. Auto removed it from the lock file.
#   commands at work at once: 2
# What to do: let the command itself hold a lock on what it writes (flock), and look for orphans
#   before going on.
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
    cmd: echo $$ >> ../at-work; while [ ! -e ../enough ]; do sleep 0.1; done; echo done >> log.txt
    outs:
    - log.txt:
        persist: true
YAML

dvc --version
dvc repro --quiet & first=$!
while [ ! -s ../at-work ]; do sleep 0.1; done
kill -9 $first; wait $first 2> /dev/null || true
dvc repro & second=$!
for _ in $(seq 600); do [ "$(wc -l < ../at-work)" = 2 ] && break; sleep 0.1; done
alive=0; while read -r process; do kill -0 "$process" && alive=$((alive + 1)); done < ../at-work
touch ../enough; wait $second
echo "commands at work at once: $alive"
[ "$alive" = 2 ] || { echo "changed: the orphan was ended, or waited for"; exit 1; }
