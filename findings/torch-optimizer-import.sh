#!/usr/bin/env bash
# Surprising: the first optimizer of a process, torch.use_deterministic_algorithms(True), and the
#   first operation that a TorchDispatchMode of one's own sees, each import torch's compiler: hundreds
#   of modules, about as many seconds as `import torch` itself, and 160 MiB more, in a process that
#   compiles nothing. `import torch.optim` costs nothing, so a profile of imports does not show it.
# Versions: torch 2.15.0, Python 3.11, Linux, on the CPU (the wheel and its CUDA libraries are some
#   2 GB to download). Seen on 29 November 2026:
#   torch 2.15.0+cu132; import torch: 1.3 s, 528 MiB
#   torch.optim.SGD(...): 1.1 s, 160 MiB and 908 modules more; torch._dynamo is loaded
#   torch 2.15.0+cu132; import torch: 1.3 s, 528 MiB
#   torch.use_deterministic_algorithms(True): 1.1 s, 158 MiB and 908 modules more; torch._dynamo is
#   loaded
#   torch 2.15.0+cu132; import torch: 1.3 s, 528 MiB
#   an operation under a TorchDispatchMode: 1.1 s, 162 MiB and 908 modules more; torch._dynamo is
#   loaded
# What to do: in processes that start often, write the update of SGD by hand (torch._foreach_add_
#   and the like), and set what determinism you need by cuDNN's and cuBLAS's own settings. A mode
#   whose _should_skip_dynamo returns False imports nothing.
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
elif sys.argv[1] == "mode":
    from torch.utils._python_dispatch import TorchDispatchMode

    class Mode(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            return function(*args, **(kwargs or {}))

    with Mode():
        weights + 1
    what = "an operation under a TorchDispatchMode"
else:
    torch.use_deterministic_algorithms(True)
    what = "torch.use_deterministic_algorithms(True)"
took, after = time.perf_counter() - started, "torch._dynamo" in sys.modules
more = f"{memory() - resident:.0f} MiB and {len(sys.modules) - modules} modules more"
print(f"{what}: {took:.1f} s, {more}; torch._dynamo is {'loaded' if after else 'not loaded'}")
sys.exit(before or not after)
PYTHON
for what in optimizer deterministic mode; do
  "$work/venv/bin/python" "$work/cost.py" $what \
    || { echo "changed: $what no longer imports the compiler, or import torch does"; exit 1; }
done
