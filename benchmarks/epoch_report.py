"""The tables of `benchmarks.epoch`, and the same as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table

from benchmarks import once
from benchmarks.common import Goal, Spread, make_table, report
from benchmarks.counted import epoch_bytes, epoch_flop
from benchmarks.epoch_cases import COPY, PLAIN, SCRIPT, Case, matrix, mine
from benchmarks.kinds import Kinds
from benchmarks.profiling import Profile
from benchmarks.rates import Rate, has_bf16
from benchmarks.trainer import Course
from netstab.study.plan import tree

SPEED_UP = 4.0
GOALS = {("expB-512", "cuda"): 0.5, ("expB-64", "cuda"): 0.8}
"""An epoch with frozen parts over the trunk's, by kind and type of device."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that was measured.

    Attributes:
        course: what it was measured on.
        cases: the epochs.
        rates: what the device can do.
        measured: seconds of a call, of everything by name.
        settings: how it was measured.
        profile: of the trunk, where one was asked for.
    """

    course: Course
    cases: Mapping[str, Case]
    rates: Mapping[str, Rate]
    measured: Mapping[str, Spread]
    settings: Mapping[str, Any]
    profile: Profile | None

    def seconds(self, name: str) -> Spread:
        """Seconds of an epoch of so many images as all others have; a script's are scaled."""
        images = self.cases[name].images
        share = self.course.amount.training / images if images else 1.0
        return self.measured[name].scaled(share)

    def rate(self, name: str) -> Spread:
        """What the device did of a thing in a second: operations or bytes."""
        return self.rates[name].of(self.measured[name])


def speed(outcome: Outcome, name: str) -> dict[str, Spread]:
    """How fast an epoch is, and how near to what the device can do."""
    case, course, seconds = outcome.cases[name], outcome.course, outcome.seconds(name)
    flop = epoch_flop(case.phase, course.shape, course.amount)
    fewest = epoch_bytes(case.phase, course.shape, course.amount, case.precision)
    done = Spread(tuple(flop / s for s in seconds.values))
    moved = Spread(tuple(fewest / s for s in seconds.values))
    found = {
        "epoch_s": seconds,
        "images_per_s": Spread(tuple(course.amount.trained / s for s in seconds.values)),
        "tflop_per_s": done.scaled(1e-12),
        "computed_fewest_gb_per_s": moved.scaled(1e-9),
        "computed_fewest_bytes_of_copy_rate": Spread.of_ratios(moved, outcome.rate(COPY)),
    }
    for precision in ("fp32", "bf16"):
        if matrix(precision) in outcome.rates:
            ceiling = outcome.rate(matrix(precision))
            found[f"of_{precision}_matrix_rate"] = Spread.of_ratios(done, ceiling)
    return found


def compared(outcome: Outcome, name: str) -> dict[str, Spread]:
    """An epoch against the plain loop's, and against netstab's trunk."""
    own, seconds = mine(outcome.course), outcome.seconds(name)
    return {
        "plain_loop_per_this": Spread.of_ratios(outcome.seconds(PLAIN), seconds),
        f"this_per_{own.replace(' ', '_')}": Spread.of_ratios(seconds, outcome.seconds(own)),
    }


def _speeds(outcome: Outcome) -> Table:
    settings = outcome.settings
    title = f"{settings['size']}: {settings['steps_an_epoch']} steps of "
    title += f"{settings['batch_size']} images, and evaluation"
    precisions = [p for p in ("fp32", "bf16") if matrix(p) in outcome.rates]
    shares = [f"of_{precision}_matrix_rate" for precision in precisions]
    columns = ["epoch of", "s", "images/s", "TFLOP/s", *(f"of {p}" for p in precisions)]
    table = make_table(title, *columns, "of copy")
    for name in outcome.cases:
        found = speed(outcome, name)
        table.add_row(
            name,
            str(found["epoch_s"]),
            f"{found['images_per_s'].median:,.0f}",
            f"{found['tflop_per_s'].median:.3g}",
            *(f"{found[share].median:.1%}" for share in shares),
            f"{found['computed_fewest_bytes_of_copy_rate'].median:.1%}",
        )
    return table


def _ratios(outcome: Outcome) -> Table:
    own = mine(outcome.course)
    table = make_table(
        "ratios of the same epochs", "epoch of", "plain loop / this", f"this / {own}"
    )
    for name in outcome.cases:
        faster, relative = compared(outcome, name).values()
        cells = str(faster) if name != PLAIN else "", str(relative) if name != own else ""
        table.add_row(name, *cells)
    return table


def _others(outcome: Outcome) -> Table:
    table = make_table("the device, and what is paid once", "what", "s", "rate")
    for name in outcome.rates:
        unit, factor = ("GB/s", 1e-9) if name == COPY else ("TFLOP/s", 1e-12)
        rate = outcome.rate(name).scaled(factor)
        table.add_row(name, str(outcome.measured[name]), f"{rate} {unit}")
    for name in _paid_once(outcome):
        table.add_row(name, str(outcome.measured[name]), "")
    return table


def _paid_once(outcome: Outcome) -> list[str]:
    return [n for n in outcome.measured if n not in outcome.cases and n not in outcome.rates]


def _notes(outcome: Outcome) -> list[str]:
    settings, course = outcome.settings, outcome.course
    notes = [
        f"n = {settings['rounds']}; median [min, max]; ratios are taken round by round.",
        "NHWC: channels last in memory. TFLOP/s: operations of the convolutions and the head, "
        "counted on the network's shape, over measured time; 'of fp32' or 'of bf16', over a "
        "large matrix product's rate.",
        "'Of copy' is computed: the fewest bytes that an epoch has to move if no tensor stays in a "
        "cache, over measured time, over a large copy's rate.",
        *Kinds(tree(course.study)).notes(),
    ]
    if not has_bf16(course.device):
        notes.append("This processor has no bf16 units: nothing was timed in bf16.")
    if once.COLD in outcome.measured:
        notes.append(f"Compilation: n = {len(outcome.measured[once.COLD].values)}.")
    elif settings.get("compilation") == "failed":
        notes.append("Compilation was tried, and failed.")
    else:
        notes.append("Compilation was not timed: not asked for, or no compiler is there.")
    if SCRIPT in outcome.cases:
        notes.append(
            f"script: its own images, network and precision; its epoch of "
            f"{settings['script_images']:,} images is scaled to {course.amount.training:,}, and "
            "compared as if it had netstab's network and evaluated as much."
        )
    if settings["share_of_an_epoch"] != 1.0:
        notes.append(f"A trial: {settings['share_of_an_epoch']:.1%} of an epoch's images.")
    return notes


def _goals(outcome: Outcome) -> list[Goal]:
    own, kind = mine(outcome.course), outcome.course.device.type
    aim = 10.0 if kind == "cuda" else SPEED_UP
    faster = Spread.of_ratios(outcome.seconds(PLAIN), outcome.seconds(own)).median
    goals = [Goal(f"{own}, times faster than the plain loop,", faster, aim, True)]
    for (name, where), limit in GOALS.items():
        if where == kind and name in outcome.cases:
            ratio = Spread.of_ratios(outcome.seconds(name), outcome.seconds(own)).median
            goals.append(Goal(f"{name}, over the trunk,", ratio, limit))
    return goals


def write(outcome: Outcome, path: Path | None) -> None:
    """Print the tables, and write all of it as JSON."""
    tables = [_speeds(outcome), _ratios(outcome), _others(outcome)]
    results: dict[str, Any] = {
        name: {k: v.as_json() for k, v in (speed(outcome, name) | compared(outcome, name)).items()}
        for name in outcome.cases
    }
    for name in outcome.rates:
        unit = "bytes_per_s" if name == COPY else "flop_per_s"
        results[name] = {unit: outcome.rate(name).as_json()}
    for name in _paid_once(outcome):
        results[name] = {"s": outcome.measured[name].as_json()}
    if outcome.profile:
        tables.append(outcome.profile.table())
        results["profile"] = outcome.profile.as_json()
    report(
        "epoch",
        path,
        Group(*tables),
        on=outcome.course.on,
        settings=outcome.settings,
        results=results,
        goals=_goals(outcome),
        notes=_notes(outcome),
    )
