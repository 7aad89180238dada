"""Barriers as the report has them: those of the very states that the runs of today end in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from netstab.errors import visible
from netstab.params import Params
from netstab.results.read import UnusableFileError, read_json
from netstab.results.schema import Barrier, BarriersFile, Provenance
from netstab.study.barriers import Against, pairs
from netstab.study.experiments import Run, Variant
from netstab.study.keys import identity, state_key, view_identity
from netstab.study.measuring import barrier_inputs, measurement_key
from netstab.study.schedule import Schedule
from netstab.text import few


@dataclass(frozen=True, slots=True)
class Barriers:
    """What is known of the barriers of a study.

    Attributes:
        found: by run, and by what its end is joined with (`study.barriers.AGAINST`).
        missing: which are asked for and not there, and why, in a sentence each.
        problem: why the file cannot be used, and what to do; empty if it can, or is not asked for.
    """

    found: Mapping[tuple[Run, Against], Barrier] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    problem: str = ""


def collect_barriers(
    path: Path,
    params: Params,
    schedules: Mapping[Variant, Schedule],
    provenance: Mapping[Run, Provenance],
    code: str | None,
) -> Barriers:
    """The barriers of a file that are of the states that usable runs have; others count as missing.

    Args:
        path: the file; it need not be there where no barriers are asked for.
        params: the parameters.
        schedules: of every variant.
        provenance: of every usable run.
        code: hash of the source code of a network of one's own.
    """
    wanted = [p for p in pairs(params, schedules) if p.run in provenance and p.other in provenance]
    if not wanted:
        return Barriers()
    try:
        told = read_json(path, BarriersFile)
    except UnusableFileError as problem:
        return Barriers(problem=visible(f"{problem}. Run: dvc repro report"))
    known = {row.key: row for row in told.barriers}
    why = {(row.run, row.against): row.why for row in told.missing}
    found = dict[tuple[Run, Against], Barrier]()
    missing = dict[str, list[str]]()
    for pair in wanted:
        seen, planned = provenance[pair.run], schedules[pair.other.variant]
        keys = seen.key, trained_like(seen, params, pair.other, planned, pair.epoch, code)
        row = known.get(measurement_key({"barrier": told.measures}, barrier_inputs(params, keys)))
        if row is not None and row.barrier is not None:
            found[pair.run, pair.against] = row
            continue
        reason = why.get((pair.run.name, pair.against), "it was measured on other states, or not")
        if row is not None:
            reason = "the loss is not finite on the way"
        missing.setdefault(visible(reason), []).append(f"{pair.run.name} to {pair.against}")
    return Barriers(found, tuple(f"{few(names)}: {why}" for why, names in missing.items()))


def trained_like(
    told: Provenance, params: Params, run: Run, schedule: Schedule, epoch: int, code: str | None
) -> str:
    """Key of a run's state at an epoch, where images and numerics are those that are told of.

    Args:
        told: provenance of this run or another.
        params: the parameters.
        run: whose state.
        schedule: of its variant.
        epoch: of the state.
        code: hash of the source code of a network of one's own.
    """
    data, numerics = told.data.content_sha256, told.numerics_version
    who = identity(params, run.seed, data=data, numerics=numerics, code=code)
    return state_key(who | view_identity(params, run.variant, epoch), schedule, epoch)
