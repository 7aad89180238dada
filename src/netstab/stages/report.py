"""Stage `report`: figures, curves and the page from the runs' files."""

import typer
from rich.console import Console
from rich.markup import escape

from netstab import paths
from netstab.errors import NetstabError
from netstab.evidence import report
from netstab.evidence.summary.terminal import summary_table
from netstab.locks import results_lock
from netstab.params import read


def main() -> None:
    """Sum up every run, draw the curves and write the page."""
    errors = Console(stderr=True, soft_wrap=True)
    try:
        content = read(paths.PARAMS)
        with results_lock("report"):
            results = report.make(content)
    except NetstabError as error:
        errors.print(f"[bold red]error:[/] {escape(str(error))}")
        raise typer.Exit(1) from None
    except OSError as error:
        # A file that is open already has no name in the error where the disk fills.
        where = error.filename or paths.METRICS
        said = f"{where}: cannot be written ({error.strerror}). Make room or make it "
        errors.print(f"[bold red]error:[/] {escape(said)}writable, then: dvc repro report")
        raise typer.Exit(1) from None
    collection = results.collection
    for fault in (*collection.faults, *collection.disagreements()):
        errors.print(f"[yellow]warning:[/] {escape(str(fault))}")
    console = Console()
    console.print(summary_table(results.summaries))
    console.print(f"The page: {escape(str(paths.REPORT))}", soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
