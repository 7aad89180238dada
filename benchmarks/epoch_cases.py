"""What `benchmarks.epoch` times."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.kinds import Kinds
from benchmarks.plain_loop import PlainLoop
from benchmarks.rates import Rate, copy, has_bf16, matrix_product
from benchmarks.script import Script
from benchmarks.trainer import WARM_UP_STEPS, Course, trunk
from netstab.study.plan import tree
from netstab.study.schedule import Phase

PLAIN = "plain loop"
SCRIPT = "script"
COPY = "copy"


@dataclass(frozen=True, slots=True)
class Case:
    """An epoch that is timed.

    Attributes:
        epoch: trains it, and evaluates.
        phase: what is trained.
        precision: bf16 or fp32; of a script it is not known, and taken to be fp32.
        images: that it trains on, where these are not those that all others train on.
    """

    epoch: Callable[[], object]
    phase: Phase
    precision: str
    images: int | None = None


def mine(course: Course) -> str:
    """The name of netstab's epoch as the size trains it."""
    return f"netstab {course.study.train.precision}"


def matrix(precision: str) -> str:
    """The name of the matrix product in a precision."""
    return f"matrix product {precision}"


def epochs(course: Course, workers: int, script: Script | None) -> dict[str, Case]:
    """Epochs, warmed up: netstab's, the loops beside it, and those with frozen parts."""
    study, whole = course.study, trunk(course.study)
    own, fast = study.train.precision, "bf16" if has_bf16(course.device) else "fp32"
    cases = {
        f"netstab {precision}": Case(course.epochs(whole, precision), whole, precision)
        for precision in dict.fromkeys((own, "fp32"))
    }
    cases[PLAIN] = Case(plain(course, workers).epoch, whole, "fp32")
    tuned = plain(course, workers, bf16=fast == "bf16", channels_last=True)
    cases[f"{PLAIN}, {fast} NHWC"] = Case(tuned.epoch, whole, fast)
    if script:
        settings = {"batch_size": study.train.batch_size, "width": study.model.width}
        filled = script.filled(**settings, threads=course.on["threads"])
        cases[SCRIPT] = Case(filled.epoch, whole, "fp32", script.images)
    for name, phase in Kinds(tree(study)).frozen.items():
        cases[name] = Case(course.epochs(phase), phase, own)
    return cases


def plain(
    course: Course,
    workers: int,
    *,
    bf16: bool = False,
    channels_last: bool = False,
    phase: Phase | None = None,
) -> PlainLoop:
    """A plain loop, warmed up."""

    def made(course: Course) -> PlainLoop:
        return PlainLoop(
            course.study,
            course.arrays,
            course.manifest,
            course.device,
            workers,
            bf16=bf16,
            channels_last=channels_last,
            phase=phase,
        )

    made(course.cut(WARM_UP_STEPS)).epoch()
    return made(course)


def rates(course: Course) -> dict[str, Rate]:
    """What the device can do: a matrix product in each precision that it has, and a copy."""
    precisions = ("fp32", "bf16") if has_bf16(course.device) else ("fp32",)
    products = {matrix(p): matrix_product(course.device, p) for p in precisions}
    return products | {COPY: copy(course.device)}
