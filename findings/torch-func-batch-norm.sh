#!/usr/bin/env bash
# Surprising: torch.func.functional_call is no pure function of what it is given, where the network
#   has batch norm in train mode. With parameters alone it moves the network's own running
#   statistics; with buffers too it moves these, in place, and so does torch.func.grad of it: the
#   caller's dictionary has other values after each gradient. As a captured variable the same
#   dictionary is refused.
# Versions: torch 2.15.0, Python 3.11, Linux, on the CPU (the wheel and its CUDA libraries are some
#   2 GB to download). Seen on 29 November 2026 (batches that were counted so far):
#   functional_call(network, parameters): the network's 1
#   functional_call(network, (parameters, buffers)): the network's 1, the caller's 1
#   grad of it, buffers as argument: the caller's 2
#   grad of it, buffers captured: RuntimeError
# What to do: hand in a clone of the buffers at each call, as an argument, and drop it afterwards;
#   or measure in eval mode.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.15.0 numpy==2.4.6
cat > "$work/pure.py" <<'PYTHON'
import sys

import torch
from torch import nn
from torch.func import functional_call, grad

torch.manual_seed(0)
network = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))
images = torch.randn(16, 4) + 3
parameters = {name: weight.detach() for name, weight in network.named_parameters()}
buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}


def own():
    return int(network[1].num_batches_tracked)


def callers():
    return int(buffers["1.num_batches_tracked"])


def loss(parameters, buffers):
    return functional_call(network, (parameters, buffers), (images,)).square().mean()


print("torch", torch.__version__)
functional_call(network, parameters, (images,))
found = [own()]
print("functional_call(network, parameters): the network's", own())
functional_call(network, (parameters, buffers), (images,))
found += [own(), callers()]
print(f"functional_call(network, (parameters, buffers)): the network's {own()}, the caller's", callers())
mean = buffers["1.running_mean"].clone()
grad(loss)(parameters, buffers)
found += [callers(), not torch.equal(mean, buffers["1.running_mean"])]
print("grad of it, buffers as argument: the caller's", callers())
try:
    grad(lambda parameters: loss(parameters, buffers))(parameters)
    captured = "allowed"
except RuntimeError:
    captured = "RuntimeError"
print("grad of it, buffers captured:", captured)
sys.exit([*found, captured] != [1, 1, 1, 2, True, "RuntimeError"])
PYTHON
"$work/venv/bin/python" "$work/pure.py" \
  || { echo "changed: running statistics are treated otherwise"; exit 1; }
