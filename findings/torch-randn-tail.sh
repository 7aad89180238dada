#!/usr/bin/env bash
# Surprising: with one seed, torch.randn(33) is not the start of torch.randn(64), nor the end of
#   anything: on the CPU normal numbers come in blocks of 16, and where the length is no multiple of
#   16 the last 16 are drawn anew, over the ones before. Fewer than 16 come from another algorithm
#   altogether. So one more sample changes values that were there before; with uniform numbers
#   (torch.rand) it does not.
# Versions: torch 2.15.0, Python 3.11, Linux, on the CPU (the wheel and its CUDA libraries are some
#   2 GB to download). Seen on 29 November 2026 (how many values at the start are those of 64):
#   randn: 15: 0, 16: 16, 17: 1, 31: 15, 32: 32, 33: 17
#   rand: 15: 15, 16: 16, 17: 17, 31: 31, 32: 32, 33: 33
# What to do: where a longer draw is to begin with a shorter one (more random vectors, more
#   samples), draw a tensor an item from its own seed, or lengths that are multiples of 16.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.15.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import sys

import torch


def shared(draw, length: int) -> int:
    """Values at the start of a draw of this length that are those of a draw of 64."""
    few, many = (draw(n, generator=torch.Generator().manual_seed(0)) for n in (length, 64))
    return int((few == many[:length]).int().cumprod(0).sum())


print("torch", torch.__version__)
lengths = (15, 16, 17, 31, 32, 33)
for draw, expected in ((torch.randn, [0, 16, 1, 15, 32, 17]), (torch.rand, list(lengths))):
    seen = [shared(draw, length) for length in lengths]
    told = ", ".join(f"{n}: {same}" for n, same in zip(lengths, seen, strict=True))
    print(f"{draw.__name__}: {told}")
    if seen != expected:
        sys.exit("changed: other values are shared")
PY
