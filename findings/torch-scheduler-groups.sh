#!/usr/bin/env bash
# Surprising: most of torch's learning-rate schedulers multiply the rate that is there, so what they
#   do to a parameter group depends on its past. A rate set to 0 by hand for one epoch (a layer
#   frozen) stays 0 for good; a group that is added during a warm-up ends above the rate that it was
#   given, by the factor that the warm-up has still to go. LambdaLR computes from the first rate: it
#   goes on as if nothing had been set, and refuses a group that is added.
# Versions: torch 2.15.0, Python 3.11, Linux, on the CPU (the wheel and its CUDA libraries are some
#   2 GB to download). Seen on 29 November 2026 (rates of six epochs; 0 is set at the third):
#   StepLR: 0.1 0.1 0 0 0 0
#   CosineAnnealingLR: 0.1 0.0976 0 0 0 0
#   LambdaLR: 0.1 0.09 0 0.0729 0.0656 0.059
#   LinearLR, a warm-up from a third: 0.1; the group added in its first epoch, at 0.1: 0.3
# What to do: compute rates from the epoch, in closed form (LambdaLR, or by hand), and freeze by
#   requires_grad, not by the rate.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.15.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import sys

import torch
from torch.optim import lr_scheduler


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)


def rates(make) -> list[float]:
    """Rates of six epochs; at the third it is set to 0 by hand."""
    opt = optimizer()
    scheduler, seen = make(opt), []
    [group] = opt.param_groups
    for epoch in range(6):
        if epoch == 2:
            group["lr"] = 0.0
        seen.append(round(group["lr"], 4))
        opt.step()
        scheduler.step()
    return seen


print("torch", torch.__version__)
stays, goes_on = [0, 0, 0, 0], [0, 0.0729, 0.0656, 0.059]
for name, make, expected in (
    ("StepLR", lambda opt: lr_scheduler.StepLR(opt, 10), stays),
    ("CosineAnnealingLR", lambda opt: lr_scheduler.CosineAnnealingLR(opt, 10), stays),
    ("LambdaLR", lambda opt: lr_scheduler.LambdaLR(opt, lambda epoch: 0.9**epoch), goes_on),
):
    seen = rates(make)
    print(f"{name}:", *(f"{rate:g}" for rate in seen))
    if seen[2:] != expected:
        sys.exit("changed: the rate after the one set by hand is another")

opt = optimizer()
warm_up = lr_scheduler.LinearLR(opt, start_factor=1 / 3, total_iters=5)
opt.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.1})
for _ in range(5):
    opt.step()
    warm_up.step()
first, added = (round(group["lr"], 4) for group in opt.param_groups)
print(f"LinearLR, a warm-up from a third: {first:g}; the group added in its first epoch, at 0.1: {added:g}")
if (first, added) != (0.1, 0.3):
    sys.exit("changed: an added group ends at another rate")
PY
