"""Every target by its name."""

from torture.fuzz import images, results, settings, stored, words
from torture.fuzz.bounds import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for group in (settings, images, stored, results, words)
    for target in group.TARGETS
}
