#!/usr/bin/env bash
# Surprising: since SciPy 1.17 the same program with the same matrix and the same starting vector
#   `v0` comes to other eigenvectors each time it is run, unless `eigsh` is given `rng` too. Where
#   the vectors reached from v0 span no more (few distinct eigenvalues, or v0 an eigenvector) it
#   goes on from a random one, which is now seeded by the system. Up to 1.16 the seed was built in:
#   a program repeated itself (but not a second call within it).
# Versions: scipy 1.16.3 and 1.17.1, numpy 2.4.6, Python 3.11, Linux. Seen on 29 November 2026
#   (hashes of eigenvectors, of two runs each):
#   scipy 1.16.3, v0: ea927984 ea927984
#   scipy 1.17.1, v0: 9ef056e2 c004b0b3
#   scipy 1.17.1, v0 and rng: a7263d7f a7263d7f
# What to do: give rng=np.random.default_rng(SEED) at every call where results are to be repeated.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
cat > "$work/vectors.py" <<'PYTHON'
import hashlib
import sys

import numpy as np
from scipy.sparse import diags
from scipy.sparse.linalg import eigsh

n = 100
matrix = diags(np.arange(1.0, n + 1))
start = np.zeros(n)
start[0] = 1  # an eigenvector
seeded = {"rng": np.random.default_rng(0)} if sys.argv[1:] == ["rng"] else {}
_, vectors = eigsh(matrix, k=2, v0=start, **seeded)
print(hashlib.sha256(vectors.tobytes()).hexdigest()[:8])
PYTHON
changed() { echo "changed: scipy $1 repeats itself otherwise"; exit 1; }
run() { OPENBLAS_NUM_THREADS=1 "$work/venv/bin/python" "$work/vectors.py" "$@"; }

"$work/venv/bin/pip" install --quiet numpy==2.4.6 scipy==1.16.3
one=$(run) two=$(run)
echo "scipy 1.16.3, v0: $one $two"
[ "$one" = "$two" ] || changed 1.16.3
"$work/venv/bin/pip" install --quiet scipy==1.17.1
one=$(run) two=$(run) first=$(run rng) second=$(run rng)
echo "scipy 1.17.1, v0: $one $two"
echo "scipy 1.17.1, v0 and rng: $first $second"
[ "$one" != "$two" ] && [ "$first" = "$second" ] || changed 1.17.1
