"""What all runs of a study share: versions of the numerics, images, sections of parameters."""

import json
from typing import Any

from netstab import paths, source_code
from netstab.data.manifest import Manifest
from netstab.errors import NetstabError
from netstab.params import Params
from netstab.study.measuring import MEASURES

SHARED = {"blocks", "model", "train", "measure"}
"""Sections of `params.yaml` that every run depends on."""


def versions() -> tuple[int, dict[str, int]]:
    """Versions of the numbers that the code computes: of training, and of each measure.

    The first is part of every state's key, those of a measure of the keys of its measurements.
    """
    content = json.loads(paths.NUMERICS.read_text(encoding="utf-8"))
    version, measures = content.get("version"), content.get("measures")
    numbers = [version, *(measures.values() if isinstance(measures, dict) else [None])]
    if not all(isinstance(number, int) for number in numbers) or set(measures) != set(MEASURES):
        raise NetstabError(f"{paths.NUMERICS}: has no version; restore it from git")
    return version, measures


def settings(content: Params, manifest: Manifest) -> dict[str, Any]:
    """Content of metrics/settings.json, on which the stages of all runs depend.

    Args:
        content: what `params.yaml` says.
        manifest: of the images.

    Raises:
        NetstabError: there is no code of the network that `params.yaml` names.
    """
    numerics, measures = versions()
    shared = content.model_dump(mode="json", include=SHARED)
    # No run's stage measures these: their settings make none of them stale.
    del shared["measure"]["barriers"]
    told = {
        "numerics": {"training": numerics, "measures": measures},
        "images": manifest.model_dump(mode="json", include={"name", "official", "content_sha256"}),
        **shared,
    }
    if content.model.is_own:
        told["code"] = source_code.digest(content.model.name)
    # In an order of its own: DVC takes a mapping whose keys are in another order for the same.
    sorted_told: dict[str, Any] = json.loads(json.dumps(told, sort_keys=True))
    return sorted_told
