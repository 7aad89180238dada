"""One epoch, fast: no host synchronisation between its first and its last step."""

from collections.abc import Callable
from math import isfinite

import torch
from torch import Tensor
from torch.nn import functional

from netstab.data.batches import Images, draw_epoch, training_batches
from netstab.data.seeds import drawing
from netstab.errors import TrainingError
from netstab.measure.evaluate import Evaluation, evaluate
from netstab.networks.network import Network
from netstab.params import Train
from netstab.results.schema import Row, history_row
from netstab.study.schedule import Frozen, Phase
from netstab.training.compiled import Compiled, Forward
from netstab.training.modes import apply_modes
from netstab.training.optimizer import apply_rates, sgd

AfterStep = Callable[[], None]
"""Told after every optimizer step."""


class Engine:
    """A network, its optimizer, and how to take them through an epoch.

    Args:
        network: what is trained.
        train: how it is trained.
        device: where.
        compiled: whether the forward pass is compiled, for each freeze pattern by itself.

    Attributes:
        network: with its parts.
        model: its module, channels last in memory.
        optimizer: one parameter group a part.
        compiled: functions for each freeze pattern; None where nothing is compiled.
    """

    def __init__(
        self, network: Network, train: Train, device: torch.device, *, compiled: bool = False
    ) -> None:
        self.network = network
        self.model = network.module.to(device).to(memory_format=torch.channels_last)
        self.optimizer = sgd(network, train)
        self.train = train
        self.device = device
        self.autocast = torch.autocast(
            device.type, torch.bfloat16, enabled=train.precision == "bf16"
        )
        self.compiled = Compiled(self.forward) if compiled else None

    def start(self, seed: int) -> None:
        """Bring network and optimizer into the state of epoch 0."""
        self.network.initialise(self.model, seed)
        self.optimizer.state.clear()

    def enter(self, phase: Phase) -> Forward:
        """Put model and optimizer into a phase, and give its forward pass."""
        apply_modes(self.network, phase)
        apply_rates(self.optimizer, phase)
        return self.compiled.of(phase) if self.compiled else self.forward

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
            seed: of order, augmentation, and what layers draw.
            epoch: likewise.
            after_step: told after every step; looks at the weights and changes nothing.

        Returns:
            `epoch`; `train_loss`, `train_top1_pct` over the augmented batches as trained;
            `val_loss`, `val_top1_pct`, `val_top5_pct`; `lr_PART` and `frozen_PART`. Losses are
            cross-entropies in nats, accuracies in percent.

        Raises:
            TrainingError: a loss is not finite; the epoch and the step are named.
        """
        with drawing(self.device, seed, "layers", epoch):
            return self._epoch(phase, training, validation, seed, epoch, after_step)

    def _epoch(
        self,
        phase: Phase,
        training: Images,
        validation: Images,
        seed: int,
        epoch: int,
        after_step: AfterStep | None,
    ) -> Row:
        forward = self.enter(phase)
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
        for index, (x, y) in enumerate(training_batches(training, draws, piece)):
            if index % pieces == 0:
                self._forget_gradients(accumulate=pieces > 1)
            loss, right = forward(x, y)
            losses[index] = loss.detach()
            hits += right
            if phase.trained:
                (loss / pieces if pieces > 1 else loss).backward()  # type: ignore[no-untyped-call]
            if index % pieces == pieces - 1:
                if phase.trained:
                    self.optimizer.step()
                if after_step:
                    after_step()
        result = evaluate(self.model, validation, self.autocast)
        top1_pct = 100 * int(hits) / len(draws.order)
        return self._row(phase, epoch, losses.cpu().view(-1, pieces).mean(1), top1_pct, result)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Mean loss of a batch, differentiable, and the number of first guesses that are right."""
        with self.autocast:
            logits = self.model(x)
        logits = logits.to(x.dtype)
        # Of equal logits the first class is the guess, as in `evaluate`.
        right = (logits.detach().argmax(1) == y).sum()
        return functional.cross_entropy(logits, y), right

    def _forget_gradients(self, *, accumulate: bool) -> None:
        """Clear all gradients; `accumulate` says whether several backward passes add to them."""
        self.optimizer.zero_grad(set_to_none=True)
        if accumulate and self.compiled:
            # A gradient that a CUDA graph made lies where the next run puts its own: sums are kept
            # in memory outside.
            for parameter in self.model.parameters():
                if parameter.requires_grad:
                    parameter.grad = torch.zeros_like(parameter)

    def _row(
        self, phase: Phase, epoch: int, losses: Tensor, top1_pct: float, result: Evaluation
    ) -> Row:
        if not losses.isfinite().all():
            step = int((~losses.isfinite()).nonzero()[0])
            raise TrainingError(
                f"the training loss is not finite at epoch {epoch}, step {step}; "
                "lower train.learning_rate or the rate of the intervention"
            )
        seen = float(result.loss), float(result.top1_pct), float(result.top5_pct)
        if not isfinite(seen[0]):
            raise TrainingError(
                f"the validation loss is not finite after epoch {epoch}; "
                "lower train.learning_rate or the rate of the intervention"
            )
        settings = dict(zip(phase.parts, phase.settings, strict=True))
        rates = {part: 0.0 if isinstance(s, Frozen) else s for part, s in settings.items()}
        frozen = [int(isinstance(setting, Frozen)) for setting in settings.values()]
        return history_row(epoch, (float(losses.mean()), top1_pct, *seen), rates, frozen)
