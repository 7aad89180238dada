"""Every target by its name."""

from torture.fuzz import images, settings
from torture.fuzz.bounds import Target

TARGETS: dict[str, Target] = {
    target.name: target for group in (settings, images) for target in group.TARGETS
}
