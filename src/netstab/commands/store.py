"""`netstab store ls`, `verify` and `gc`: what is stored, what for, and what nothing needs."""

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from netstab import paths
from netstab.errors import NetstabError
from netstab.store import housekeeping
from netstab.store.ledger import Ledger, open_ledger
from netstab.store.states import Store
from netstab.sweep.ray import marks, start

NOTHING = Text("nothing in the current params.yaml", style="dim")


def ls(ledger: Ledger, console: Console, *, as_json: bool = False) -> None:
    """List every state, with what the parameters, or a study's results, want it for."""
    found, unreadable = studies(paths.project_root(), ledger.store)
    for problem in unreadable:
        print(f"warning: {problem}", file=sys.stderr)
    entries = housekeeping.entries(ledger, found)
    if as_json:
        print(json.dumps(_as_json(ledger, entries), indent=2))
    else:
        table(ledger, entries, console)


def verify(store: Store) -> bool:
    """Check all that is stored and set aside what is damaged; whether nothing was."""
    sound, aside = housekeeping.verify(store)
    print(f"{sound} states and measurements are sound, {aside} were set aside")
    return not aside


def gc(ledger: Ledger, *, dry_run: bool, confirm: Callable[[str], bool]) -> bool:
    """Say what nothing needs, and remove it; whether that was agreed to, or nothing to ask.

    What killed sweeps by Ray left behind goes without asking: marks, and local Rays' folders.

    Args:
        ledger: of the current parameters.
        dry_run: remove nothing.
        confirm: asks a question.

    Raises:
        NetstabError: what is needed cannot be known, so nothing is removed.
    """
    if ledger.dataset.identity is None:
        raise NetstabError(
            f"{paths.MANIFEST}: is missing or damaged, so what is needed is not known. "
            "Prepare the images first: dvc repro data"
        )
    others, unreadable = studies(paths.project_root(), ledger.store)
    if unreadable:
        raise NetstabError("\n".join(unreadable))
    found = housekeeping.garbage(ledger, *others.values())
    if not dry_run:
        marks.collect_marks(ledger.store.root)
        start.collect_folders(start.temporary_root())
    size = sum(map(housekeeping.size_of, found))
    states = sum(path.suffix == ".json" for path in found)
    print(
        f"{len(found)} files ({states} states, {size / 1e6:,.1f} MB) are of no use to the current "
        f"params.yaml{''.join(f', or of {name}' for name in others)}. Metrics stay; only time is "
        "lost if a state is wanted again."
    )
    if dry_run or not found:
        return True
    if not confirm("Remove them?"):
        return False
    housekeeping.remove(found)
    print("removed")
    return True


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
                f"{error}\nWhat the study in {folder.name}/ needs of the store is not known: make "
                "it again, or move that folder away"
            )
    for folder in paths.under_way(root):
        # By parameters that cannot be read nothing was trained.
        with suppress(NetstabError):
            found[f"{folder.relative_to(root)}/"] = open_ledger(folder, store)
    return found, unreadable


def _as_json(ledger: Ledger, found: Sequence[housekeeping.Entry]) -> dict[str, Any]:
    states = [
        {
            "key": entry.record.key,
            "run": entry.record.run,
            "epoch": entry.record.epoch,
            "bytes": entry.record.size,
            "imported": entry.imported,
            "wanted_for": entry.wanted_for,
        }
        for entry in found
    ]
    total = sum(entry.record.size for entry in found)
    return {"store": str(ledger.store.root), "bytes": total, "states": states}


def table(ledger: Ledger, found: Sequence[housekeeping.Entry], console: Console) -> None:
    """Print a line a state, and their sum."""
    listing = Table("key", "trained by", "epoch", "MB", "wanted for", box=None, pad_edge=False)
    for entry in found:
        record = entry.record
        listing.add_row(
            record.key[:12],
            Text(record.run),
            str(record.epoch),
            "imported" if entry.imported else f"{record.size / 1e6:.1f}",
            Text(entry.wanted_for) if entry.wanted_for else NOTHING,
        )
    if found:
        console.print(listing)
    total = sum(entry.record.size for entry in found)
    states = sum(not entry.imported for entry in found)
    said = f"{states} states, {total / 1e6:,.1f} MB in {ledger.store.root}"
    if states < len(found):
        said += f"; {len(found) - states} imported runs, without weights"
    print(said)
