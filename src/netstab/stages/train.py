"""DVC stages `reference`, `train`, `rival` and `own`: one variant, one seed."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from netstab import params, paths
from netstab.data.manifest import Manifest, read_manifest
from netstab.errors import NetstabError, TrainingError
from netstab.study.experiments import Run, find_variant
from netstab.training import runfiles
from netstab.training.dataset import Dataset
from netstab.training.ledger import Ledger, versions
from netstab.training.store import Record, Store


def main(
    variant: Annotated[str, typer.Argument(help="Such as baseline, expB-64 or expE-ema.")],
    seed: Annotated[int, typer.Argument(help="One of params.yaml's seeds.")],
) -> None:
    """Train a run to its end, from what the store has, and write its files under metrics/runs."""
    try:
        content = params.read(paths.PARAMS)
        manifest = read_manifest()
        run = Run(find_variant(content, variant), seed)
        store = Store(paths.store_root())
        ledger = Ledger(content, Dataset.prepared(manifest), store, *versions())
        record = ledger.finished(run)
        if record is None or record.interim or any(ledger.unmeasured(run)):
            record = _train(ledger, run, manifest)
        data = {
            "name": manifest.name,
            "official": manifest.official,
            "content_sha256": manifest.content_sha256,
        }
        runfiles.write(ledger, run, record, data, root=Path())
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
        from netstab.training.board import Board
        from netstab.training.sweep import sweep

        fault = None
        try:
            sweep(ledger, manifest, Board(ledger, Console(highlight=False, soft_wrap=True)))
        except TrainingError as error:
            fault = error
        record = ledger.finished(run)
        if record is not None and not record.interim and not any(ledger.unmeasured(run)):
            if fault:
                # Of another run, whose own stage will fail of it.
                print(f"warning: {fault}", file=sys.stderr)
            return record
        if fault:
            raise fault
    from netstab.training.job import train

    return train(ledger, run, manifest)


if __name__ == "__main__":
    typer.run(main)
