#!/usr/bin/env bash
# Surprising: two trainings at once on the same cores, each with torch's default of a thread a core,
#   take many times as long as one alone, not twice. Threads spin while they wait for each other, and
#   each waits for one whose core the other process's spinning takes. The same two, an epoch of one
#   and then an epoch of the other, take two to three times. On the CPU a sweep that starts a second
#   trainer by default settings takes longer than one after the other.
# Versions: torch 2.15.0, Python 3.11, Linux on two cores, nothing else at work (the wheel and its
#   CUDA libraries are some 2 GB to download). Seen on 29 November 2026, median [min, max]:
#   torch 2.15.0+cu132, 2 threads, 2 cores
#   two side by side, over one alone: 46.0 [33.9, 50.2], n = 5
#   two in turn, over one alone: 2.7 [2.5, 2.9], n = 5
#   and in the next run, so much is left to chance:
#   two side by side, over one alone: 5.2 [3.0, 56.6], n = 5
#   two in turn, over one alone: 2.5 [2.4, 3.9], n = 5
# What to do: take turns an epoch each (a lock), or give each process its share of the cores
#   (torch.set_num_threads), which comes to other bits. OMP_WAIT_POLICY=PASSIVE helps two, and made
#   one alone three times slower with a small network.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.15.0 numpy==2.4.6
cat > "$work/train.py" <<'PYTHON'
import fcntl
import sys
import time

import torch
from torch import nn

steps, turns = int(sys.argv[1]), sys.argv[2:]
net = nn.Sequential(
    *(m for c in (3, 16, 16, 16) for m in (nn.Conv2d(c, 16, 3, padding=1), nn.ReLU())),
    nn.Flatten(),
    nn.LazyLinear(10),
)
x, y = torch.randn(64, 3, 16, 16), torch.randint(10, (64,))
net(x)
optimizer = torch.optim.SGD(net.parameters(), 0.01)


def epoch(steps):
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()


epoch(20)
print("ready", flush=True)
sys.stdin.readline()
started = time.perf_counter()
for _ in range(5):
    if turns:
        with open(turns[0], "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            epoch(steps)
        time.sleep(0.01)
    else:
        epoch(steps)
print(time.perf_counter() - started, flush=True)
PYTHON
cat > "$work/compare.py" <<'PYTHON'
import os
import statistics
import subprocess
import sys

import torch

ROUNDS, LIMIT_S = 5, 20


def seconds(count, *turns):
    command = [sys.executable, "train.py", "20", *turns]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    found = [subprocess.Popen(command, **pipes) for _ in range(count)]
    for one in found:
        one.stdout.readline()
    for one in found:
        one.stdin.write("go\n")
        one.stdin.flush()
    return max(map(told, found))


def told(one):
    try:
        return float(one.communicate(timeout=LIMIT_S)[0])
    except subprocess.TimeoutExpired:
        one.kill()
        return LIMIT_S


alone, beside, turns = ([] for _ in range(3))
for _ in range(ROUNDS):
    alone.append(seconds(1))
    beside.append(seconds(2) / alone[-1])
    turns.append(seconds(2, "turn") / alone[-1])
print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} cores")
for name, ratios in (("side by side", beside), ("in turn", turns)):
    told = f"{statistics.median(ratios):.1f} [{min(ratios):.1f}, {max(ratios):.1f}]"
    print(f"two {name}, over one alone: {told}, n = {ROUNDS}")
sys.exit(statistics.median(beside) < 2.8 or statistics.median(turns) > statistics.median(beside))
PYTHON
cd "$work"
unset OMP_NUM_THREADS OMP_WAIT_POLICY GOMP_SPINCOUNT
venv/bin/python compare.py || {
  echo "changed, if nothing else was at work: two at once are no longer many times slower"; exit 1; }
