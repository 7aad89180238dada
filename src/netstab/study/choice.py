"""Which runs a person means: some of the study's, by names and seeds."""

from collections.abc import Sequence

from netstab.errors import NetstabError
from netstab.params import Params
from netstab.study.experiments import REFERENCES, Run, Variant, variants

REFERENCE = "reference"
"""Name of both references together, as of their stage in dvc.yaml."""


def choose(params: Params, names: Sequence[str], seeds: Sequence[int]) -> list[Run]:
    """The runs that some names stand for, seed by seed, in the order of the study.

    Args:
        params: the parameters.
        names: of experiments (`expA`), of variants (`expA-64`), or `reference` for both; several
            may stand in one, with commas between. None stand for all.
        seeds: some of the parameters'; none stand for all.

    Raises:
        NetstabError: a name or a seed is none of the study's; with those that are.
    """
    known = _known(params)
    wanted = [name.strip() for text in names for name in text.split(",") if name.strip()]
    if names and not wanted:
        raise NetstabError(f"no run is named; known are {', '.join(known)}")
    for name in wanted:
        if name not in known:
            raise NetstabError(f"{name}: is no run of this study; known are {', '.join(known)}")
    for seed in seeds:
        if seed not in params.seeds:
            told = ", ".join(map(str, params.seeds))
            raise NetstabError(f"seed {seed}: is not in params.yaml; its seeds are {told}")
    chosen = {v for name in wanted for v in known[name]} if wanted else set(variants(params))
    return [
        Run(variant, seed)
        for seed in params.seeds
        if not seeds or seed in seeds
        for variant in variants(params)
        if variant in chosen
    ]


def _known(params: Params) -> dict[str, list[Variant]]:
    """Name -> variants: groups first, then each variant alone."""
    every = variants(params)
    groups = {REFERENCE: [Variant(name) for name in REFERENCES]}
    for variant in every:
        if variant.block is not None:
            groups.setdefault(variant.experiment, []).append(variant)
    return groups | {variant.name: [variant] for variant in every}
