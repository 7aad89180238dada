#!/usr/bin/env bash
# Surprising: torch.optim.swa_utils.update_bn, made to recompute running statistics for averaged
#   weights, also resets those of batch-norm layers that are frozen in mode eval, and leaves these
#   layers in mode train: it switches the whole network to train, and afterwards gives all modules
#   the mode that the outermost had. Training that goes on then moves what was to stay frozen.
# Versions: torch 2.15.0, Python 3.11, Linux, on the CPU (the wheel and its CUDA libraries are some
#   2 GB to download). Seen on 29 November 2026 (the frozen layer's mean was 7):
#   before: training False, running mean 7.00
#   after: training True, running mean 0.00
# What to do: note the modes of all modules and the frozen layers' buffers before, and put them back
#   after; or recompute with a loop of your own.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.15.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import sys

import torch
from torch.optim.swa_utils import update_bn

print("torch", torch.__version__)
frozen = torch.nn.BatchNorm1d(1)
network = torch.nn.Sequential(frozen, torch.nn.Linear(1, 1), torch.nn.BatchNorm1d(1))
network.train()
frozen.eval()
frozen.running_mean.fill_(7.0)


def told() -> str:
    return f"training {frozen.training}, running mean {frozen.running_mean.item():.2f}"


print("before:", told())
update_bn([torch.tensor([[-1.0], [1.0]])], network)
print("after:", told())
if told() != "training True, running mean 0.00":
    sys.exit("changed: a frozen layer keeps its mode or its statistics")
PY
