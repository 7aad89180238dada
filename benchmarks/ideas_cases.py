"""What `benchmarks.ideas` times in its own process."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional

from benchmarks.common import Took
from benchmarks.ideas import AS_IT_IS, WIDE
from benchmarks.trainer import WARM_UP_STEPS, Course, Trainer, first, trunk
from netstab.data.batches import draw_epoch, training_batches
from netstab.measure import evaluate as evaluation
from netstab.study.schedule import Phase
from netstab.training.engine import Engine
from netstab.training.model import ResNet18

STACKED = 2
"""Seeds that are stacked in one network."""


def cases(course: Course, steps: int, batches: Sequence[int]) -> dict[str, Callable[[], Took]]:
    """Every case, warmed up; each tells the seconds for as many images as a batch has."""
    phase = trunk(course.study)
    found = {AS_IT_IS: _steps(course, phase, steps)}
    for batch in batches:
        other = max(1, steps * phase.batch_size // batch)
        study = course.study.model_copy(
            update={"train": course.study.train.model_copy(update={"batch_size": batch})}
        )
        resized = replace(course, study=study)
        share = phase.batch_size / batch
        found[f"batches of {batch}"] = _steps(
            resized, replace(phase, batch_size=batch), other, share
        )
    found["two seeds stacked in one network"] = _stacked(course, steps)
    found |= _optimizers(course) | _parts(course, phase, steps)
    return found


def _steps(course: Course, phase: Phase, steps: int, share: float = 1.0) -> Callable[[], Took]:
    made = Trainer(course.study, course.manifest, course.device)
    few = first(course.validation, 1)

    def train(count: int) -> float:
        started = time.perf_counter()
        made.epoch(phase, first(course.training, count * phase.batch_size), few)
        return time.perf_counter() - started

    train(WARM_UP_STEPS)
    return lambda: Took(train(steps) / steps * share)


def _stacked(course: Course, steps: int) -> Callable[[], Took]:
    """Two networks as one: channels side by side, convolutions in groups, two heads."""
    size, classes = course.shape, len(course.manifest.classes)
    model = ResNet18(STACKED * size.width, STACKED * size.channels, STACKED * classes)
    for parent in list(model.modules()):
        for name, conv in list(parent.named_children()):
            if isinstance(conv, nn.Conv2d):
                shape = conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride
                grouped = nn.Conv2d(*shape, conv.padding, groups=STACKED, bias=False)
                setattr(parent, name, grouped)
    # Its head has the weights of both, and as many again that are of no use: nothing beside the
    # convolutions.
    engine = Engine(model, course.study.train, course.device)
    phase = trunk(course.study)
    engine.enter(phase)
    batch, side = phase.batch_size, size.image_size
    x = torch.randn(batch, STACKED * size.channels, side, side)
    x = x.contiguous(memory_format=torch.channels_last)
    y = torch.randint(0, classes, (STACKED, batch))

    def train(count: int) -> float:
        started = time.perf_counter()
        for _ in range(count):
            engine.optimizer.zero_grad(set_to_none=True)
            logits = model(x).view(batch, STACKED, classes)
            loss = sum(functional.cross_entropy(logits[:, k], y[k]) for k in range(STACKED))
            loss.backward()  # type: ignore[union-attr]
            engine.optimizer.step()
        return time.perf_counter() - started

    train(WARM_UP_STEPS)
    return lambda: Took(train(steps) / steps / STACKED)


def _optimizers(course: Course) -> dict[str, Callable[[], Took]]:
    """The optimizer alone, in each form that torch has of it."""
    train = course.study.train

    def case(form: str) -> Callable[[], Took]:
        model = ResNet18(course.shape.width, course.shape.channels, len(course.manifest.classes))
        made = torch.optim.SGD(
            model.parameters(),
            lr=train.learning_rate,
            momentum=train.momentum,
            weight_decay=train.weight_decay,
            foreach=form == "foreach",
            fused=form == "fused",
        )
        for weight in model.parameters():
            weight.grad = torch.randn_like(weight)
        made.step()
        return lambda: Took(_mean(made.step, 20))

    return {f"of it: SGD, {form}": case(form) for form in ("loop", "foreach", "fused")}


def _parts(course: Course, phase: Phase, steps: int) -> dict[str, Callable[[], Took]]:
    """Augmentation from uint8, and evaluation by the size of its batches."""
    images = first(course.training, steps * phase.batch_size)

    def augment() -> None:
        draws = draw_epoch(
            len(images), phase.batch_size, padding=images.padding, flip=True, seed=0, epoch=0
        )
        for _ in training_batches(images, draws, phase.batch_size):
            pass

    engine = Trainer(course.study, course.manifest, course.device).engine
    engine.start(seed=0)

    def evaluate(batch: int) -> Callable[[], Took]:
        def case() -> Took:
            before, evaluation.BATCH = evaluation.BATCH, batch
            try:
                took = _mean(
                    lambda: evaluation.evaluate(engine.model, course.validation, engine.autocast), 1
                )
            finally:
                evaluation.BATCH = before
            return Took(took * phase.batch_size / len(course.validation))

        case()
        return case

    augment()
    sizes = (phase.batch_size, WIDE, 2 * WIDE)
    return {
        "of it: augmentation": lambda: Took(_mean(augment, 1) / steps),
        **{f"evaluation, batches of {batch}": evaluate(batch) for batch in sizes},
    }


def _mean(work: Callable[[], object], times: int) -> float:
    started = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - started) / times
