"""How a study's epochs grow with seeds and with variants: counted from plans. No torch."""

from benchmarks import sizes
from benchmarks.common import Spread
from netstab.params import BLOCK_EXPERIMENTS, check
from netstab.study.plan import tree

Counts = dict[int, Spread]


def against_seeds(size: str, seeds: list[int]) -> dict[str, Counts]:
    """Epochs with shared pasts and each run alone, by the number of seeds."""
    whole = tree(sizes.params(size))
    return {
        "epochs, shared pasts": {n: Spread((float(n * whole.epochs),)) for n in seeds},
        "epochs, each run alone": {n: Spread((float(n * whole.epochs_apart),)) for n in seeds},
    }


def against_variants(size: str) -> dict[str, Counts]:
    """Likewise, of one seed, by the number of variants: references, then expA, expB and so on."""
    shared, alone = Counts(), Counts()
    for count in range(len(BLOCK_EXPERIMENTS) + 1):
        content = sizes.content(size, experiments=list(BLOCK_EXPERIMENTS[:count]))
        whole = tree(check({**content, "own": {}, "expE": {}}))
        variants = len(whole.schedules)
        shared[variants] = Spread((float(whole.epochs),))
        alone[variants] = Spread((float(whole.epochs_apart),))
    return {"epochs, shared pasts": shared, "epochs, each run alone": alone}
