#!/usr/bin/env bash
# Surprising: the bits of an eigenvalue by `eigsh` depend on OPENBLAS_NUM_THREADS although the
#   matrix is a Python function that uses no BLAS, and v0 and rng are given: ARPACK orthogonalises
#   by BLAS, which sums long vectors in another order with two threads. Short vectors give the same
#   bits, so a small test does not show it.
# Versions: scipy 1.17.1, numpy 2.4.6, Python 3.11, Linux on two cores or more. Seen on 29 November
#   2026 (largest eigenvalue, with 1, 1 and 2 threads):
#   n = 1000: 0x1.ffffd12b2d63ep-1 0x1.ffffd12b2d63ep-1 0x1.ffffd12b2d63ep-1
#   n = 100000: 0x1.ffee302a3113fp-1 0x1.ffee302a3113fp-1 0x1.ffee302a31143p-1
# What to do: fix the number of BLAS threads (threadpoolctl, in the program itself) wherever bits
#   are to be compared, and store it with them.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==2.4.6 scipy==1.17.1
cat > "$work/largest.py" <<'PYTHON'
import sys

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh

n = int(sys.argv[1])
diagonal = np.linspace(0, 1, n) ** 4
matrix = LinearOperator((n, n), matvec=lambda v: diagonal * v.ravel(), dtype=float)
rng = np.random.default_rng(0)
values = eigsh(matrix, k=1, v0=np.ones(n), tol=1e-3, rng=rng, return_eigenvectors=False)
print(float(values[0]).hex())
PYTHON
"$work/venv/bin/python" -c 'import numpy, scipy; print("scipy", scipy.__version__, "numpy", numpy.__version__)'
largest() { OPENBLAS_NUM_THREADS=$2 "$work/venv/bin/python" "$work/largest.py" "$1"; }
for n in 1000 100000; do
  one=$(largest $n 1) again=$(largest $n 1) two=$(largest $n 2)
  echo "n = $n: $one $again $two"
  [ "$one" = "$again" ] || { echo "changed: one thread does not repeat itself"; exit 1; }
done
[ "$one" != "$two" ] || { echo "changed: threads no longer change bits"; exit 1; }
