"""DVC stages `reference`, `train`, `rival`, `own` and `cyclical`: one variant, one seed."""

import sys

from netstab.exits import exit_codes
from netstab.store import ahead


def main(variant: str, seed: int) -> None:
    """Put the files of a run under metrics/runs: collected from the store, or else trained.

    Args:
        variant: such as baseline, expB-64 or expE-ema.
        seed: one of params.yaml's seeds.
    """
    with exit_codes():
        if ahead.take(f"{variant}-{seed}"):
            return
    # Only now what checks parameters and records: most of the time of a stage that collects.
    from netstab.stages import run

    run.main(variant, seed)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
