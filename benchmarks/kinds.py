"""Kinds of epochs in a plan: what an epoch costs depends on what is frozen, and how. No torch."""

from collections import Counter

from netstab.study.plan import Tree, outstanding
from netstab.study.schedule import Frozen, Phase

TRUNK = "trunk"
"""The kind in which every part is trained."""

Pattern = tuple[Frozen | None, ...]


def pattern(phase: Phase) -> Pattern:
    """For each part None, or how it is frozen; rates and large batches cost the same."""
    return tuple(s if isinstance(s, Frozen) else None for s in phase.settings)


class Kinds:
    """The kinds of epochs of a plan, in its order.

    Attributes:
        phases: name -> a phase of the kind; it is named after the first variant that has it.
        alike: name -> variants that have such epochs.
    """

    def __init__(self, whole: Tree) -> None:
        self._names: dict[Pattern, str] = {}
        self.phases: dict[str, Phase] = {}
        self.alike: dict[str, list[str]] = {}
        for variant, schedule in whole.schedules.items():
            for phase in schedule.phases:
                found = pattern(phase)
                name = variant.name if any(found) else TRUNK
                name = self._names.setdefault(found, name)
                self.phases.setdefault(name, phase)
                like = self.alike.setdefault(name, [])
                if variant.name not in like:
                    like.append(variant.name)

    def of(self, phase: Phase) -> str:
        """The kind of a phase."""
        return self._names[pattern(phase)]

    @property
    def frozen(self) -> dict[str, Phase]:
        """The kinds in which something is frozen."""
        return {name: phase for name, phase in self.phases.items() if name != TRUNK}

    def notes(self) -> list[str]:
        """What each kind stands for, for a reader."""
        return [
            f"{name}: trains {' '.join(phase.trained) or 'nothing'}"
            f"{' (batch norm of the rest still)' if Frozen.EVAL in phase.settings else ''}; "
            f"as {', '.join(v for v in self.alike[name] if v != name) or 'no other'}."
            for name, phase in self.frozen.items()
        ]


def epochs(whole: Tree, kinds: Kinds) -> tuple[Counter[str], Counter[str]]:
    """Epochs of each kind in one seed: with shared pasts, and each run alone.

    Views of the baseline are in neither: they cost no epoch.
    """
    shared: Counter[str] = Counter()
    for work in outstanding(whole, lambda variant, epoch: False):
        shared[kinds.of(work.phase)] += work.epochs
    alone: Counter[str] = Counter()
    for variant, schedule in whole.schedules.items():
        if variant not in whole.views:
            for phase in schedule.phases:
                alone[kinds.of(phase)] += phase.end - phase.start
    return shared, alone
