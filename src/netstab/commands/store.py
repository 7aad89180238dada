"""`netstab store`: what is stored, and what for; what killed sweeps by Ray left behind."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.table import Table

from netstab import paths
from netstab.errors import NetstabError
from netstab.store.housekeeping import entries
from netstab.store.ledger import Ledger, open_ledger
from netstab.store.states import Store
from netstab.sweep.ray import start
from netstab.sweep.ray import store_server as depot


def collect_left_overs(store: Path) -> None:
    """Remove what sweeps by Ray left behind that were killed: marks, and local Rays' folders."""
    depot.collect_marks(store)
    start.collect_folders(start.beside())


def studies(root: Path, store: Store) -> tuple[dict[str, Ledger], list[str]]:
    """Ledgers of other studies of a checkout, by their folder; and whose cannot be known, and why.

    Those of `netstab study`'s results, and of temporary experiments that are under way or were
    killed.
    """
    found: dict[str, Ledger] = {}
    unreadable = []
    for folder in paths.studies(root):
        try:
            found[f"{folder.name}/"] = open_ledger(folder, store)
        except NetstabError as error:
            unreadable.append(
                f"{error}\nWhat the study in {folder.name}/ needs of the store cannot be told: "
                "make it again, or move that folder away"
            )
    for folder in paths.under_way(root):
        # By parameters that cannot be read nothing was trained.
        with suppress(NetstabError):
            found[f"{folder.relative_to(root)}/"] = open_ledger(folder, store)
    return found, unreadable


def table(ledger: Ledger, studies: Mapping[str, Ledger], console: Console) -> None:
    """Print a line a state, and their sum.

    Args:
        ledger: of the current parameters.
        studies: of `netstab study`'s results, by their folder.
        console: where to.
    """
    found = entries(ledger, studies)
    listing = Table("key", "trained by", "epoch", "MB", "wanted for", box=None, pad_edge=False)
    for entry in found:
        record = entry.record
        listing.add_row(
            record.key[:12],
            record.run,
            str(record.epoch),
            "imported" if entry.imported else f"{record.size / 1e6:.1f}",
            entry.wanted_for or "[dim]nothing in the current params.yaml[/dim]",
        )
    if found:
        console.print(listing)
    total = sum(entry.record.size for entry in found)
    states = sum(not entry.imported for entry in found)
    said = f"{states} states, {total / 1e6:,.1f} MB in {ledger.store.root}"
    if states < len(found):
        said += f"; {len(found) - states} imported runs, without weights"
    console.print(said, markup=False, soft_wrap=True)
