"""The tree of shared pasts as lanes: one a run, from where it leaves another to its end."""

from collections.abc import Iterator
from dataclasses import dataclass

from netstab.study.experiments import Variant
from netstab.study.plan import Segment, Tree


@dataclass(frozen=True, slots=True)
class Lane:
    """The stretch of a run that is drawn as its own.

    Attributes:
        variant: whose lane it is.
        start: where it leaves its parent.
        end: number of epochs of the run.
        parent: whose lane it leaves; None for one from epoch 0 on.
        is_view: whether nothing is trained here: the baseline seen otherwise.
    """

    variant: Variant
    start: int
    end: int
    parent: Variant | None
    is_view: bool = False


def lanes_of(tree: Tree) -> list[Lane]:
    """Every run's lane, each below its parent's; the later it leaves, the nearer.

    So no line from a parent to a child crosses another lane.
    """
    found: list[Lane] = []
    for root in tree.roots:
        found += _below(root, None, tree)
    return found


def _below(first: Segment, parent: Variant | None, tree: Tree) -> Iterator[Lane]:
    variant = first.variants[0]
    yield Lane(variant, first.start, tree.schedules[variant].epochs, parent)
    branches: list[list[Lane]] = []
    segment: Segment | None = first
    while segment is not None:
        following = None
        for child in segment.children:
            if child.variants[0] == variant:
                following = child
            else:
                branches.append(list(_below(child, variant, tree)))
        segment = following
    for view, start in tree.views.items():
        if variant == Variant("baseline"):
            epochs = tree.schedules[view].epochs
            branches.append([Lane(view, start, epochs, variant, is_view=True)])
    for branch in sorted(branches, key=lambda branch: -branch[0].start):
        yield from branch
