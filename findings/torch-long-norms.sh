#!/usr/bin/env bash
# Surprising: on the CPU the float32 norm of a long vector is too small, and by more the longer it is:
#   by 1e-5 of a million numbers, by 6e-3 of 67 million. The dot product of a vector with itself loses
#   up to two thirds of that. What is built on norms inherits it: clip_grad_norm_ leaves gradients
#   longer than asked for, and a vector's cosine with itself is above 1. Sums do not:
#   square().sum() is right to seven digits. The largest layers of a ResNet have two million weights,
#   a table of words has more, and all weights as one vector have many more.
# Versions: torch 2.15.0, Python 3.11, Linux, on the CPU, one thread (the wheel and its CUDA libraries
#   are some 2 GB to download). Seen on 29 November 2026, relative errors of normal numbers:
#   2^20: norm -1e-05, dot -8e-06, square().sum() -5e-09; clipped to 1.000011, cosine 1.000022
#   2^22: norm -9e-05, dot -7e-05, square().sum() 2e-08; clipped to 1.000095, cosine 1.000190
#   2^24: norm -8e-04, dot -5e-04, square().sum() 2e-08; clipped to 1.000751, cosine 1.001503
#   2^26: norm -6e-03, dot -4e-03, square().sum() -6e-08; clipped to 1.005923, cosine 1.011882
# What to do: torch.linalg.vector_norm(x, dtype=torch.float64), which makes no copy, or
#   x.square().sum().sqrt(); dot products in pieces, or in float64.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.15.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import sys

import torch
from torch.nn import Parameter, functional
from torch.nn.utils import clip_grad_norm_

torch.set_num_threads(1)
torch.manual_seed(0)
print("torch", torch.__version__)
for power in (20, 22, 24, 26):
    x = 0.02 * torch.randn(2**power)
    true = x.double().square().sum().item()
    norm = x.norm().item() / true**0.5 - 1
    dot, total = ((found.item() / true - 1) for found in (x @ x, x.square().sum()))
    weight = Parameter(torch.zeros_like(x))
    weight.grad = x.clone()
    clip_grad_norm_([weight], max_norm=1.0)
    clipped = torch.linalg.vector_norm(weight.grad, dtype=torch.float64).item()
    cosine = functional.cosine_similarity(x, x, dim=0).item()
    print(f"2^{power}: norm {norm:.0e}, dot {dot:.0e}, square().sum() {total:.0e}; ", end="")
    print(f"clipped to {clipped:.6f}, cosine {cosine:.6f}")
    if abs(total) > 1e-6:
        sys.exit("changed: sums of squares are off as well")
    if power >= 24 and not (norm < -1e-4 and dot < -1e-5 and cosine > 1.0001):
        sys.exit("changed: norms of long vectors are right")
PY
