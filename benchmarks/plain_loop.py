"""An epoch of training as people write it in PyTorch: what netstab's engine is compared with."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.trainer import Workload
from netstab.data.tensors import Tensors
from netstab.measure.evaluate import BATCH
from netstab.networks.layers import initialise
from netstab.networks.network import build


class PILImages(Dataset[tuple[Tensor, int]]):
    """Images that become PIL's one by one and go through transforms, as torchvision's CIFAR10."""

    def __init__(
        self, images: np.ndarray, labels: np.ndarray, transform: transforms.Compose
    ) -> None:
        self.images = images.squeeze(-1) if images.shape[-1] == 1 else images
        self.labels = labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.fromarray(self.images[index])
        return self.transform(image), self.labels[index]


class PlainLoop:
    """The same network, data, batch size, optimizer and measures as netstab's.

    Args:
        workload: the parameters, how many images, and where.
        arrays: at least as many images as uint8 [N, H, W, C], and labels.
        workers: loader processes.
        bf16: whether autocast computes in bf16; fp32 otherwise.
        channels_last: whether network and images are channels last in memory; NCHW otherwise.
    """

    def __init__(
        self,
        workload: Workload,
        arrays: Tensors,
        workers: int,
        *,
        bf16: bool = False,
        channels_last: bool = False,
    ) -> None:
        study, manifest, self.device = workload.study, workload.manifest, workload.device
        train, (size, _, channels) = study.train, manifest.image_shape
        self.autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=bf16)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.model: nn.Module = build(study, channels, len(manifest.classes)).module
        initialise(self.model, seed=0)
        self.model.to(self.device).to(memory_format=self.layout)
        self.optimizer = torch.optim.SGD(
            self.model.parameters(),
            lr=train.learning_rate,
            momentum=train.momentum,
            weight_decay=train.weight_decay,
        )
        to_tensor = [transforms.ToTensor(), transforms.Normalize(manifest.mean, manifest.std)]
        augment: list[object] = []
        if train.crop_padding:
            augment.append(transforms.RandomCrop(size, padding=train.crop_padding))
        if train.horizontal_flip:
            augment.append(transforms.RandomHorizontalFlip())
        how = {"num_workers": workers, "pin_memory": self.device.type == "cuda"}
        count, tested = len(workload.training), len(workload.validation)
        self.training = DataLoader(
            PILImages(
                arrays.train_images[:count],
                arrays.train_labels[:count],
                transforms.Compose([*augment, *to_tensor]),
            ),
            batch_size=train.batch_size,
            shuffle=True,
            drop_last=True,
            **how,
        )
        self.validation = DataLoader(
            PILImages(
                arrays.test_images[:tested],
                arrays.test_labels[:tested],
                transforms.Compose(to_tensor),
            ),
            batch_size=BATCH,
            **how,
        )

    def epoch(self) -> dict[str, float]:
        """Train one epoch and evaluate; the measures that netstab records too."""
        self.model.train()
        train_loss = train_hits = seen = 0.0
        for x, y in self.training:
            x, y = self._moved(x), y.to(self.device, non_blocking=True)
            self.optimizer.zero_grad()
            logits = self._logits(x)
            loss = functional.cross_entropy(logits, y)
            loss.backward()
            self.optimizer.step()
            train_loss += loss.item() * len(y)
            train_hits += (logits.argmax(1) == y).sum().item()
            seen += len(y)
        return {
            "train_loss": train_loss / seen,
            "train_top1_pct": 100 * train_hits / seen,
            **self._evaluate(),
        }

    def _moved(self, x: Tensor) -> Tensor:
        return x.to(self.device, non_blocking=True, memory_format=self.layout)

    def _logits(self, x: Tensor) -> Tensor:
        with self.autocast:
            logits: Tensor = self.model(x)
        return logits.float()

    @torch.no_grad()
    def _evaluate(self) -> dict[str, float]:
        self.model.eval()
        loss = top1 = top5 = seen = 0.0
        for x, y in self.validation:
            x, y = self._moved(x), y.to(self.device, non_blocking=True)
            logits = self._logits(x)
            loss += functional.cross_entropy(logits, y, reduction="sum").item()
            guesses = logits.topk(min(5, logits.shape[1]), dim=1).indices == y[:, None]
            top1 += guesses[:, 0].sum().item()
            top5 += guesses.sum().item()
            seen += len(y)
        return {
            "val_loss": loss / seen,
            "val_top1_pct": 100 * top1 / seen,
            "val_top5_pct": 100 * top5 / seen,
        }
