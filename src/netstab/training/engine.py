"""One epoch, fast: no host synchronisation between its first and its last step."""

from collections.abc import Callable
from math import isfinite

import torch
from torch import Tensor
from torch.nn import functional

from netstab.data.batches import Images, draw_epoch, training_batches
from netstab.errors import TrainingError
from netstab.measure.evaluate import Evaluation, evaluate
from netstab.params import PARTS, Train
from netstab.study.schedule import Frozen, Phase
from netstab.training.model import ResNet18, apply_modes
from netstab.training.optimizer import apply_rates, sgd
from netstab.training.store import Row

Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Images and labels -> mean loss (differentiable) and number of first guesses that are right."""

AfterStep = Callable[[], None]
"""Told after every optimizer step."""


class Engine:
    """A network, its optimizer, and how to take them through an epoch.

    Attributes:
        model: the network, channels last in memory.
        optimizer: one parameter group a part.
    """

    def __init__(
        self, model: ResNet18, train: Train, device: torch.device, *, compiled: bool = False
    ) -> None:
        self.model = model.to(device).to(memory_format=torch.channels_last)
        self.optimizer = sgd(self.model, train)
        self.train = train
        self.device = device
        self.autocast = torch.autocast(
            device.type, torch.bfloat16, enabled=train.precision == "bf16"
        )
        self._compiled = compiled
        self._compiled_pattern: tuple[Frozen | None, ...] = ()
        self._phase: Phase | None = None
        self._step: Step = self._forward

    def enter(self, phase: Phase) -> None:
        """Put model and optimizer into a phase; entering the one in force changes nothing."""
        if phase == self._phase:
            return
        apply_modes(self.model, phase)
        apply_rates(self.optimizer, phase)
        if self._compiled and _pattern(phase) != self._compiled_pattern:
            self._step = _freshly_compiled(self._forward)
            self._compiled_pattern = _pattern(phase)
        self._phase = phase

    def leave(self) -> None:
        """Forget the phase in force: weights or momentum were replaced from outside."""
        self._phase = None

    def epoch(
        self,
        phase: Phase,
        training: Images,
        validation: Images,
        seed: int,
        epoch: int,
        after_step: AfterStep | None = None,
    ) -> Row:
        """Train one epoch and evaluate.

        A batch larger than `train.batch_size` is taken in pieces of that size, whose gradients
        are averaged: batch norm sees as many images as ever.

        Args:
            phase: what is trained, how.
            training: images to train on.
            validation: images to evaluate on.
            seed: of order and augmentation.
            epoch: likewise.
            after_step: told after every step; looks at the weights and changes nothing.

        Returns:
            `epoch`; `train_loss`, `train_top1_pct` over the augmented batches as trained;
            `val_loss`, `val_top1_pct`, `val_top5_pct`; `lr_PART` and `frozen_PART`. Losses are
            cross-entropies in nats, accuracies in percent.

        Raises:
            TrainingError: a loss is not finite; the epoch and the step are named.
        """
        self.enter(phase)
        draws = draw_epoch(
            len(training),
            phase.batch_size,
            padding=training.padding,
            flip=self.train.horizontal_flip,
            seed=seed,
            epoch=epoch,
        )
        piece = min(phase.batch_size, self.train.batch_size)
        pieces = phase.batch_size // piece
        losses = torch.empty(len(draws.order) // piece, dtype=torch.float64, device=self.device)
        hits = torch.zeros((), dtype=torch.int64, device=self.device)
        learns = bool(phase.trained)
        for index, (x, y) in enumerate(training_batches(training, draws, piece)):
            if index % pieces == 0:
                self.optimizer.zero_grad(set_to_none=True)
            loss, right = self._step(x, y)
            if learns:
                (loss / pieces if pieces > 1 else loss).backward()  # type: ignore[no-untyped-call]
            losses[index] = loss.detach()
            hits += right
            if index % pieces == pieces - 1:
                if learns:
                    self.optimizer.step()
                if after_step:
                    after_step()
        result = evaluate(self.model, validation, self.autocast)
        top1_pct = 100 * int(hits) / len(draws.order)
        return self._row(phase, epoch, losses.cpu().view(-1, pieces).mean(1), top1_pct, result)

    def _forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        with self.autocast:
            logits = self.model(x)
        logits = logits.to(x.dtype)
        right = (logits.detach().argmax(1) == y).sum()
        return functional.cross_entropy(logits, y), right

    def _row(
        self, phase: Phase, epoch: int, losses: Tensor, top1_pct: float, result: Evaluation
    ) -> Row:
        if not losses.isfinite().all():
            step = int((~losses.isfinite()).nonzero()[0])
            raise TrainingError(
                f"the training loss is not finite at epoch {epoch}, step {step}; "
                "lower train.learning_rate or the rate of the intervention"
            )
        row: Row = {
            "epoch": epoch,
            "train_loss": float(losses.mean()),
            "train_top1_pct": top1_pct,
            "val_loss": float(result.loss),
            "val_top1_pct": float(result.top1_pct),
            "val_top5_pct": float(result.top5_pct),
        }
        if not isfinite(row["val_loss"]):
            raise TrainingError(
                f"the validation loss is not finite after epoch {epoch}; "
                "lower train.learning_rate or the rate of the intervention"
            )
        for part in PARTS:
            setting = phase.setting(part)
            row[f"lr_{part}"] = 0.0 if isinstance(setting, Frozen) else setting
        for part in PARTS:
            row[f"frozen_{part}"] = int(isinstance(phase.setting(part), Frozen))
        return row


def _pattern(phase: Phase) -> tuple[Frozen | None, ...]:
    return tuple(s if isinstance(s, Frozen) else None for s in phase.settings)


def _freshly_compiled(forward: Step) -> Step:
    # A compiled graph may outlive a change of requires_grad: each freeze pattern gets its own.
    torch._dynamo.reset()
    compiled: Step = torch.compile(forward, fullgraph=True, dynamic=False)
    return compiled
