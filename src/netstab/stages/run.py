"""One variant, one seed, as the stages of runs want it: collected from the store, or trained."""

import sys
from pathlib import Path

from netstab import params, paths
from netstab.data.manifest import Manifest, read_manifest
from netstab.errors import DivergedError, TrainingError
from netstab.exits import exit_codes
from netstab.locks import results_lock
from netstab.store import finished
from netstab.store.ledger import Ledger, open_ledger
from netstab.store.records import Record
from netstab.study.experiments import Run, find_variant


def main(variant: str, seed: int) -> None:
    """Train a run to its end, from what the store has, and write its files under metrics/runs.

    Args:
        variant: such as baseline, expB-64 or expE-ema.
        seed: one of params.yaml's seeds.
    """
    with exit_codes():
        content = params.read(paths.PARAMS)
        manifest = read_manifest()
        run = Run(find_variant(content, variant), seed)
        ledger = open_ledger(Path(), content=content)
        there = finished.complete(ledger, run)
        found: Record | DivergedError
        try:
            found = there or _train(ledger, run, manifest)
        except DivergedError as diverged:
            print(f"{diverged}. The report will do without this run", file=sys.stderr)
            found = diverged
        data = finished.images(manifest)
        with results_lock(run.name):
            if not there:
                finished.refuse_outdated(ledger, run)
            finished.write(ledger, run, found, data, root=Path())
        if there:
            finished.collect_ahead(ledger, run, data)


def _train(ledger: Ledger, run: Run, manifest: Manifest) -> Record:
    if (end := ledger.finished(run)) is not None and end.key not in ledger.store:
        print(
            f"{run.name}: was imported without weights, and lacks measurements that params.yaml "
            "asks for: it is trained again for them",
            file=sys.stderr,
        )
    # Only now torch: a run that is complete is collected without it.
    if ledger.params.runtime.sweep:
        from rich.console import Console

        from netstab.sweep.display import Display
        from netstab.sweep.local.pool import sweep

        fault = None
        try:
            console = Console(highlight=False, soft_wrap=True, stderr=True)
            sweep(ledger, manifest, Display(ledger, console))
        except TrainingError as error:
            fault = error
        if (record := finished.complete(ledger, run)) is not None:
            if fault:
                # Of another run, whose own stage will tell of it.
                print(f"warning: {fault}", file=sys.stderr)
            return record
        # One that diverged does so once more below, and leaves its history.
        if fault and not isinstance(fault, DivergedError):
            raise fault
    from netstab.sweep.single import train_run

    return train_run(ledger, run, manifest)
