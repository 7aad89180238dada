"""A naive trainer, written for clarity: what the engine must come to, however it gets there.

A plain loop; each image augmented by itself with torchvision; an optimizer for each single
parameter; and a parameter is frozen by not touching it.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms import functional as vision

from netstab.data.batches import Draws, Images
from netstab.params import Train
from netstab.study.schedule import Frozen, Phase


class NaiveTrainer:
    """Trains a model (in place, any dtype, usual memory layout) step by step."""

    def __init__(self, model: nn.Module, train: Train) -> None:
        self.model = model
        self.train = train
        self.optimizers: dict[str, torch.optim.SGD] = {}

    def steps(self, phase: Phase, images: Images, draws: Draws) -> Iterator[tuple[float, int]]:
        """Train through the batches of an epoch; yields each step's loss and right guesses."""
        self.model.train()
        for name, module in self.model.named_children():
            if phase.setting(name) is Frozen.EVAL:
                module.eval()
        for start in range(0, len(draws.order), phase.batch_size):
            members = range(start, start + phase.batch_size)
            x = torch.stack([self._augmented(images, draws, i) for i in members])
            y = images.labels[draws.order[start : start + phase.batch_size]]
            self.model.zero_grad()
            logits = self.model(x)
            loss = functional.cross_entropy(logits, y)
            loss.backward()
            for name, parameter in self.model.named_parameters():
                self._update(name, parameter, phase.setting(name.split(".")[0]))
            yield loss.item(), int((logits.argmax(1) == y).sum())

    def _augmented(self, images: Images, draws: Draws, index: int) -> Tensor:
        p = images.padding
        height, width = images.size
        image = images.pixels[draws.order[index]].permute(2, 0, 1)[:, p : p + height, p : p + width]
        image = vision.pad(image, [p, p, p, p])
        image = vision.crop(image, int(draws.top[index]), int(draws.left[index]), height, width)
        if draws.flip[index]:
            image = vision.hflip(image)
        scaled = image.to(images.mean.dtype) / 255
        return vision.normalize(scaled, images.mean.tolist(), images.std.tolist())

    def _update(self, name: str, parameter: nn.Parameter, setting: float | Frozen) -> None:
        if isinstance(setting, Frozen):
            self.optimizers.pop(name, None)
            return
        if name not in self.optimizers:
            self.optimizers[name] = torch.optim.SGD(
                [parameter],
                lr=setting,
                momentum=self.train.momentum,
                weight_decay=self.train.weight_decay,
            )
        self.optimizers[name].param_groups[0]["lr"] = setting
        self.optimizers[name].step()
