"""Stage `report`: figures, curves and the page from the runs' files."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from netstab import paths
from netstab.data.manifest import read_manifest
from netstab.errors import DataError, NetstabError, visible
from netstab.evidence import report
from netstab.evidence.results import Results
from netstab.evidence.summary.terminal import summary_table
from netstab.exits import exit_codes
from netstab.locks import results_lock
from netstab.params import Params, read
from netstab.results import folder
from netstab.results.read import UnusableFileError, read_json
from netstab.results.schema import BarriersFile
from netstab.results.write import write_json
from netstab.store import finished
from netstab.store.ledger import open_ledger
from netstab.text import few


def main() -> None:
    """Sum up every run, draw the curves and write the page.

    Fails at its end where a run could not be trained: all is written by then.
    """
    with exit_codes():
        content = read(paths.PARAMS)
        barriers = _barriers(content)
        with results_lock("report"):
            if paths.RUNS.is_dir():  # without any run the report is refused, and leaves nothing
                write_json(paths.BARRIERS, barriers.model_dump(mode="json"))
            results = _made(content)
            if study := os.environ.get(folder.VARIABLE):
                folder.fill(Path(study), Path())
        collection = results.collection
        for fault in (*collection.faults, *collection.disagreements()):
            _warn(fault)
        Console().print(summary_table(results.summaries))
        print(f"The page: {paths.REPORT}")
        if failed := [fault.run.name for fault in collection.faults if fault.failed]:
            raise NetstabError(
                f"the report is made, but not complete: {len(failed)} of "
                f"{len(collection.expected)} runs could not be trained: {few(failed)}. See the "
                "warnings above for what to change; what is trained stays"
            )


def _barriers(content: Params) -> BarriersFile:
    """Barriers between the runs' states, measured now where the store has both and no barrier yet.

    They are of two runs each, so they are taken when all runs are there. What cannot be measured
    here, as in a clone without the states, stays as it is in the file.
    """
    told = BarriersFile(measures=0, barriers=(), missing=())
    with suppress(UnusableFileError):
        told = read_json(paths.BARRIERS, BarriersFile)
    try:
        manifest = read_manifest()
    except DataError:
        return told  # the report does without the manifest
    ledger = open_ledger(Path(), content=content)
    why = ""
    if ready := ledger.unmeasured_barriers()[0]:
        # Only now torch: what is measured already is collected without it.
        from netstab.sweep.barriers import measure_barriers

        print(f"measuring barriers between states of a seed ({len(ready)})", file=sys.stderr)
        try:
            measure_barriers(ledger, manifest)
        except DataError as error:
            _warn(f"no barrier is measured: {error}")
            why = "the images are not prepared here"
    return finished.barriers(ledger, told.barriers, why)


def _warn(what: object) -> None:
    print(f"warning: {visible(str(what))}", file=sys.stderr)


def _made(content: Params) -> Results:
    try:
        return report.make(content)
    except OSError as error:
        # A file that is open already has no name in the error where the disk fills.
        where = error.filename or paths.METRICS
        raise NetstabError(
            f"{where}: cannot be written ({error.strerror}). Make room or make it writable, then: "
            "dvc repro report"
        ) from error


if __name__ == "__main__":
    main()
