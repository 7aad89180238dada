"""DVC stages `reference`, `train`, `rival` and `own`: one variant, one seed."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from netstab import params, paths
from netstab.data.manifest import Manifest, read_manifest
from netstab.errors import NetstabError, TrainingError
from netstab.locks import results_lock
from netstab.machine import wait_passively
from netstab.store import finished
from netstab.store.ledger import Ledger, open_ledger
from netstab.store.records import Record
from netstab.study.experiments import Run, find_variant, runs


def main(
    variant: Annotated[str, typer.Argument(help="Such as baseline, expB-64 or expE-ema.")],
    seed: Annotated[int, typer.Argument(help="One of params.yaml's seeds.")],
) -> None:
    """Train a run to its end, from what the store has, and write its files under metrics/runs."""
    wait_passively()
    try:
        content = params.read(paths.PARAMS)
        manifest = read_manifest()
        run = Run(find_variant(content, variant), seed)
        ledger = open_ledger(Path(), content=content)
        there = finished.complete(ledger, run)
        record = there or _train(ledger, run, manifest)
        with results_lock(run.name):
            if not there:
                _refuse_outdated(ledger, run)
            finished.write(ledger, run, record, finished.images(manifest), root=Path())
    except NetstabError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last saved state", file=sys.stderr)
        raise typer.Exit(130) from None


def _train(ledger: Ledger, run: Run, manifest: Manifest) -> Record:
    if (end := ledger.finished(run)) is not None and end.key not in ledger.store:
        print(
            f"{run.name}: was imported without weights, and lacks measurements that params.yaml "
            "asks for: it is trained again for them",
            file=sys.stderr,
        )
    # Only now torch: a run that is complete is collected without it.
    if ledger.params.runtime.sweep:
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
                # Of another run, whose own stage will fail of it.
                print(f"warning: {fault}", file=sys.stderr)
            return record
        if fault:
            raise fault
    from netstab.sweep.single import train_run

    return train_run(ledger, run, manifest)


def _refuse_outdated(ledger: Ledger, run: Run) -> None:
    """Refuse to write what nobody asks for any more.

    A stage whose `dvc` was killed lives on. By its end params.yaml may be that of another
    experiment, whose results it would replace by its own.
    """
    now = open_ledger(Path(), ledger.store)
    if run not in runs(now.params) or _asked(now, run) != _asked(ledger, run):
        raise TrainingError(
            f"{run.name}: params.yaml or the images have changed while it was trained, so its "
            f"files in {paths.run_dir(run.name)} stay as they are. What was trained is in the "
            "store; run dvc repro"
        )


def _asked(ledger: Ledger, run: Run) -> list[str]:
    end = ledger.key(run, ledger.schedule(run).epochs)
    return [end, *ledger.stability_keys(run).values(), *ledger.sharpness_keys(run).values()]


if __name__ == "__main__":
    typer.run(main)
