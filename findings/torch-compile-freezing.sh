#!/usr/bin/env bash
# Surprising: torch.compile compiles a network anew for each set of frozen parameters (requires_grad
#   is guarded), and from the ninth set on runs it uncompiled, for as long as the process lives.
#   Results stay right and only a line on stderr tells; a schedule that freezes part after part
#   quietly loses its speed half-way.
# Versions: torch 2.15.0, Python 3.11, Linux, on the CPU (the wheel and its CUDA libraries are some
#   2 GB to download). Seen on 29 November 2026, of ten sets:
#   torch 2.15.0+cu132, limit 8: compiled 1 2 3 4 5 6 7 8 8 8
#   torch._dynamo hit config.recompile_limit (8)
#   torch 2.15.0+cu132, limit 64: compiled 1 2 3 4 5 6 7 8 9 10
# What to do: raise torch._dynamo.config.recompile_limit above the number of sets, or compile one
#   function for each set (torch.compile of a fresh wrapper).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.15.0 numpy==2.4.6
cat > "$work/freeze.py" <<'PYTHON'
import sys

import torch
from torch import nn

limit = int(sys.argv[1])
if limit != 8:
    torch._dynamo.config.recompile_limit = limit
compiled = 0


def backend(graph, _):
    """Runs the graph as it is: only that one was made counts."""
    global compiled
    compiled += 1
    return graph.forward


network = nn.Sequential(*(nn.Linear(4, 4) for _ in range(10)))
step = torch.compile(network, backend=backend)
images, counts = torch.randn(2, 4), []
for frozen in range(10):  # the first layers, one more each time
    for number, layer in enumerate(network):
        layer.requires_grad_(number >= frozen)
    assert torch.equal(step(images), network(images))
    counts.append(compiled)
print(f"torch {torch.__version__}, limit {limit}: compiled {' '.join(map(str, counts))}")
sys.exit(counts[-1] != min(limit, 10))
PYTHON
for limit in 8 64; do
  "$work/venv/bin/python" "$work/freeze.py" $limit 2> "$work/said" \
    || { cat "$work/said"; echo "changed: another number of sets is compiled"; exit 1; }
  grep --only-matching "torch._dynamo hit config.*" "$work/said" || true
done
