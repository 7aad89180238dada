#!/usr/bin/env bash
# Surprising: Ray puts two tasks with num_gpus=0.5 on the first GPU of a machine and leaves the
#   second one idle, although nothing else runs: of GPUs with room it takes the fullest, within a
#   node. Its SPREAD strategy is about nodes and changes nothing here.
# Versions: ray 2.60.0, Python 3.11, Linux; no GPU is needed. Seen on 29 November 2026:
#   default: tasks at work at once on GPUs ['0', '0']
#   SPREAD: tasks at work at once on GPUs ['0', '0']
# What to do: ask for whole GPUs while there are no more tasks than GPUs; or, in a Ray of your own,
#   let tasks choose their GPU themselves (a lock a place) and use num_gpus to limit their number.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet ray==2.60.0
export HOME="$work" RAY_USAGE_STATS_ENABLED=0
cat > "$work/shares.py" <<'PYTHON'
import sys
import time
from pathlib import Path

import ray

ray.init(num_cpus=2, num_gpus=2, include_dashboard=False, logging_level="ERROR")
print("ray", ray.__version__)


@ray.remote(num_cpus=1, num_gpus=0.5)
def gpu(folder, number):
    Path(folder, str(number)).touch()
    while len(list(Path(folder).iterdir())) < 2:  # until both are at work
        time.sleep(0.05)
    return ray.get_runtime_context().get_accelerator_ids()["GPU"][0]


packed = True
for strategy in ("default", "SPREAD"):
    folder = Path(sys.argv[1], strategy)
    folder.mkdir()
    options = {} if strategy == "default" else {"scheduling_strategy": strategy}
    task = gpu.options(**options)
    found = ray.get([task.remote(str(folder), number) for number in range(2)], timeout=300)
    print(f"{strategy}: tasks at work at once on GPUs {found}")
    packed = packed and found[0] == found[1]
sys.exit(not packed)
PYTHON
cd "$work"
"$work/venv/bin/python" "$work/shares.py" "$work" \
  || { echo "changed: shares of GPUs are spread"; exit 1; }
