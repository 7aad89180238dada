"""Stage `report`: figures, curves and the page from the runs' files."""

import os
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from netstab import paths
from netstab.errors import NetstabError
from netstab.evidence import report
from netstab.evidence.results import Results
from netstab.evidence.summary.terminal import summary_table
from netstab.exits import exit_codes
from netstab.locks import results_lock
from netstab.params import Params, read
from netstab.results import folder
from netstab.text import few


def main() -> None:
    """Sum up every run, draw the curves and write the page.

    Fails at its end where a run could not be trained: all is written by then.
    """
    errors = Console(stderr=True, soft_wrap=True)
    with exit_codes():
        content = read(paths.PARAMS)
        with results_lock("report"):
            results = _made(content)
            if study := os.environ.get(folder.VARIABLE):
                folder.fill(Path(study), Path())
        collection = results.collection
        for fault in (*collection.faults, *collection.disagreements()):
            errors.print(f"[yellow]warning:[/] {escape(str(fault))}")
        console = Console()
        console.print(summary_table(results.summaries))
        console.print(f"The page: {escape(str(paths.REPORT))}", soft_wrap=True)
        if failed := [fault.run.name for fault in collection.faults if fault.failed]:
            raise NetstabError(
                f"the report is made, but not complete: {len(failed)} of "
                f"{len(collection.expected)} runs could not be trained: {few(failed)}. See the "
                "warnings above for what to change; what is trained stays"
            )


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
