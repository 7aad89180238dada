#!/usr/bin/env bash
# Surprising: going through a DataLoader that shuffles nothing, and has no workers, draws a number from
#   torch's global generator. So evaluating in the middle of a training changes all that is drawn
#   after it: the next shuffles, augmentations and dropout. Two runs that differ in how often they
#   are evaluated part for good. A loader with a generator of its own draws from that one instead.
# Versions: torch 2.15.0, Python 3.11, Linux, on the CPU (the wheel and its CUDA libraries are some
#   2 GB to download). Seen on 29 November 2026 (order of the second epoch):
#   not evaluated: 0 3 7 1 6 2 5 4
#   evaluated after the first epoch: 6 1 3 4 7 0 5 2
#   evaluated by a loader with its own generator: 0 3 7 1 6 2 5 4
# What to do: give every loader a generator; or derive each epoch's order from the seed and the epoch.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.15.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import sys

import torch
from torch.utils.data import DataLoader


def second_epoch(evaluate) -> str:
    torch.manual_seed(0)
    training = DataLoader(range(8), shuffle=True)
    list(training)
    evaluate()
    return " ".join(str(int(index)) for index in training)


own = torch.Generator()
print("torch", torch.__version__)
orders = {
    "not evaluated": second_epoch(lambda: None),
    "evaluated after the first epoch": second_epoch(lambda: list(DataLoader(range(4)))),
    "evaluated by a loader with its own generator": second_epoch(
        lambda: list(DataLoader(range(4), generator=own))
    ),
}
for name, order in orders.items():
    print(f"{name}: {order}")
without, evaluated, apart = orders.values()
if evaluated == without or apart != without:
    sys.exit("changed: a loader that shuffles nothing draws nothing")
PY
