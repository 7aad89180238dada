#!/usr/bin/env bash
# Surprising: the first optimizer of a process, and torch.use_deterministic_algorithms(True), import
#   torch's compiler: hundreds of modules, about as many seconds as `import torch` itself, and 150
#   MiB more, in a process that compiles nothing. `import torch.optim` costs nothing, so a profile
#   of imports does not show it.
# Versions: torch 2.15.0, Python 3.11, Linux, on the CPU (the wheel and its CUDA libraries are some
#   2 GB to download). Seen on 29 November 2026, on a busy machine:
#   torch 2.15.0+cu132; import torch: 14.8 s, 525 MiB
#   torch.optim.SGD(...): 11.2 s, 150 MiB and 908 modules more; torch._dynamo is loaded
#   torch 2.15.0+cu132; import torch: 9.7 s, 527 MiB
#   torch.use_deterministic_algorithms(True): 10.8 s, 149 MiB and 908 modules more; torch._dynamo is
#   loaded
# What to do: in processes that start often, write the update of SGD by hand (torch._foreach_add_
#   and the like), and set what determinism you need by cuDNN's and cuBLAS's own settings.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.15.0 numpy==2.4.6
cat > "$work/cost.py" <<'PYTHON'
import sys
import time
from pathlib import Path

started = time.perf_counter()
import torch


def memory():
    return int(Path("/proc/self/statm").read_text().split()[1]) / 256  # MiB, of pages of 4 KiB


took, resident, modules = time.perf_counter() - started, memory(), len(sys.modules)
before = "torch._dynamo" in sys.modules
print(f"torch {torch.__version__}; import torch: {took:.1f} s, {resident:.0f} MiB")
weights = torch.zeros(2, requires_grad=True)
started = time.perf_counter()
if sys.argv[1] == "optimizer":
    torch.optim.SGD([weights], lr=0.1)
    what = "torch.optim.SGD(...)"
else:
    torch.use_deterministic_algorithms(True)
    what = "torch.use_deterministic_algorithms(True)"
took, after = time.perf_counter() - started, "torch._dynamo" in sys.modules
more = f"{memory() - resident:.0f} MiB and {len(sys.modules) - modules} modules more"
print(f"{what}: {took:.1f} s, {more}; torch._dynamo is {'loaded' if after else 'not loaded'}")
sys.exit(before or not after)
PYTHON
for what in optimizer deterministic; do
  "$work/venv/bin/python" "$work/cost.py" $what \
    || { echo "changed: $what no longer imports the compiler, or import torch does"; exit 1; }
done
