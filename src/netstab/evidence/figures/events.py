"""What happens to a variant, and when: words for rules, lists and the tree."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from netstab.evidence.results import Results
from netstab.evidence.summary.curves import Panel
from netstab.params import Ema, Params
from netstab.study.experiments import Variant, view
from netstab.study.schedule import Frozen, Schedule, Setting

Schedules = Mapping[Variant, Schedule]

CYCLES = {"triangular": "cycle", "warm_restarts": "restart"}
"""Shape -> what its cycles but the first begin with."""

MOST_WORDS = 2
"""Of a rule's label; where more happens at once, it says `interventions`."""


def scheduled(plan: Schedule) -> dict[int, list[str]]:
    """What happens in a schedule at which epoch: `decay`, `freeze`, `larger batch`, `cosine` ...

    A shape is named where it begins; its later cycles, and where its last rate is held, are marked.
    """
    found: dict[int, set[str]] = {epoch: set() for epoch in plan.interventions}
    for before, after in pairwise(plan.phases):
        words = {
            _change(before.setting(part), after.setting(part))
            for part in plan.unswept(before, after)
        }
        if before.batch_size != after.batch_size:
            grows = after.batch_size > before.batch_size
            words.add("larger batch" if grows else "smaller batch")
        if words:
            found[after.start] |= words
    for sweep in plan.sweeps:
        begin, *cycles = sweep.starts
        found[begin].add(sweep.shape.replace("_", " "))
        for epoch in cycles:
            found[epoch].add(CYCLES[sweep.shape])
        if sweep.held:
            found[sweep.end].add("plateau")
    return {epoch: sorted(words) for epoch, words in found.items()}


def _change(before: Setting, after: Setting) -> str:
    if isinstance(after, Frozen):
        return "freeze"
    if isinstance(before, Frozen):
        return "unfreeze"
    return "decay" if after < before else "raise"


def of_variant(params: Params, variant: Variant, plan: Schedule) -> dict[int, list[str]]:
    """What happens to a variant; a view of the baseline begins at some epoch, and no more."""
    seen = view(params, variant)
    if seen is None:
        return scheduled(plan)
    word = "averaging" if isinstance(seen, Ema) else "recalibration"
    return {params.train.at_scale(seen.start_epoch): [word]}


def of_panel(params: Params, schedules: Schedules, panel: Panel) -> dict[int, str]:
    """Epoch -> what happens there in any of a panel's variants, in rising order of epochs."""
    merged: dict[int, set[str]] = {}
    for line in panel.lines:
        happens = of_variant(params, line.variant, schedules[line.variant])
        for epoch, words in happens.items():
            merged.setdefault(epoch, set()).update(words)
    return {
        epoch: ", ".join(sorted(words)) if len(words) <= MOST_WORDS else "interventions"
        for epoch, words in sorted(merged.items())
    }


def sentences(params: Params, schedules: Schedules, panel: Panel) -> list[str]:
    """A sentence for each group of a panel's variants to which the same happens."""
    groups: dict[str, list[str]] = {}
    for line in panel.lines:
        times: dict[str, list[str]] = {}
        happens = of_variant(params, line.variant, schedules[line.variant])
        for epoch, words in happens.items():
            times.setdefault(" and ".join(words), []).append(str(epoch))
        sentence = ", ".join(f"{what} at {' and '.join(when)}" for what, when in times.items())
        groups.setdefault(sentence or "nothing changes", []).append(line.label)
    return [f"{', '.join(labels)}: {sentence}" for sentence, labels in groups.items()]


def common_epochs(
    results: Results, drawn: Sequence[Variant], *, of_training: bool
) -> dict[Variant, int]:
    """Number of first epochs that each variant has in common with one drawn before it.

    Zero where the two rest on different seeds: then their means differ. A view has all of its
    training in common with the baseline, and its validation up to where it begins.
    """
    params, collection = results.params, results.collection

    def shared(one: Variant, other: Variant) -> int:
        if collection.of(one).keys() != collection.of(other).keys():
            return 0
        starts = [
            params.train.at_scale(seen.start_epoch)
            for variant in (one, other)
            if not of_training and (seen := view(params, variant))
        ]
        plans = collection.schedules
        return min([plans[one].shared_epochs(plans[other]), *starts])

    return {
        variant: max((shared(variant, other) for other in drawn[:index]), default=0)
        for index, variant in enumerate(drawn)
    }
