#!/usr/bin/env bash
# Surprising: the same weights, order of images and single thread, but another instruction set of the
#   processor, is another run. After three epochs the two disagree on a fifth of held-out images, and
#   at the end on two thirds as many as two orders of images do. Each of them comes to the same bits each
#   time, so a test of reproducibility on one machine sees nothing of it.
# Versions: torch 2.15.0, scikit-learn 1.9.1, Python 3.11, Linux on x86-64 with AVX2 or more (the wheel
#   and its CUDA libraries are some 2 GB to download). Seen on 29 November 2026, with AVX-512:
#   the same once more: 0.0 % of held-out images predicted otherwise
#   epoch 1: SSE4.1 0.3 %, another order of images 31.5 %
#   epoch 3: SSE4.1 19.9 %, another order of images 59.5 %
#   epoch 20: SSE4.1 5.7 %, another order of images 8.5 %
# Why: torch's own kernels and oneDNN's sum in the order that their vectors suggest. A first difference of
#   1e-7 grows at a high learning rate until the trajectories have nothing but their start in common.
# What to do: compare runs within one kind of processor, state it with results, or set
#   ATEN_CPU_CAPABILITY and ONEDNN_MAX_CPU_ISA to what all machines have.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.15.0 numpy==2.4.6 scikit-learn==1.9.1
cat > "$work/train.py" <<'PYTHON'
import sys

import torch
from sklearn.datasets import load_digits
from torch import nn

EPOCHS, TRAINED = 20, 1200
order, target = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
images += 0.25 * torch.randn(images.shape, generator=torch.Generator().manual_seed(9))
labels = torch.tensor(digits.target)


def block(inputs, outputs):
    layer = nn.Conv2d(inputs, outputs, 3, padding=1)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU())


torch.manual_seed(0)
body = [block(1, 16), block(16, 16), nn.MaxPool2d(2), block(16, 32), block(32, 32)]
model = nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
shuffled, said = torch.Generator().manual_seed(order), []
for epoch in range(EPOCHS):
    for batch in torch.randperm(TRAINED, generator=shuffled).split(64):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        said.append(model(images[TRAINED:]).argmax(1))
    model.train()
torch.save(torch.stack(said), target)
PYTHON
cat > "$work/compare.py" <<'PYTHON'
import sys

import torch

usual, again, fewer, order = (torch.load(f"{sys.argv[1]}/{n}") for n in ("usual", "again", "fewer", "order"))


def apart(other, epoch):
    return 100 * (usual != other)[epoch - 1].float().mean().item()


print(f"the same once more: {apart(again, 20):.1f} % of held-out images predicted otherwise")
for epoch in (1, 3, 20):
    sets, orders = apart(fewer, epoch), apart(order, epoch)
    print(f"epoch {epoch}: SSE4.1 {sets:.1f} %, another order of images {orders:.1f} %")
sys.exit(bool((usual != again).any()) or apart(fewer, 20) < apart(order, 20) / 4)
PYTHON
cd "$work"
for name in usual again; do venv/bin/python train.py 0 $name; done
ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 venv/bin/python train.py 0 fewer
venv/bin/python train.py 1 order
venv/bin/python compare.py . \
  || { echo "changed: one instruction set is not the same bits, or two end closer together"; exit 1; }
