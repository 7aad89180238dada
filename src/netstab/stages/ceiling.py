"""DVC stage `ceiling`: two seeds' references compared with each other."""

import sys
from pathlib import Path
from typing import Any

from netstab import params, paths
from netstab.data.manifest import Manifest, read_manifest
from netstab.errors import DivergedError, NetstabError
from netstab.exits import exit_codes
from netstab.locks import results_lock
from netstab.results.write import write_json
from netstab.store import finished
from netstab.store.ledger import Ledger, open_ledger


def main() -> None:
    """Write metrics/ceiling.json; trains what it needs and the store lacks."""
    with exit_codes():
        content = params.read(paths.PARAMS)
        found: dict[str, Any] = {"seeds": [], "comparisons": []}
        if content.ceiling_pair:
            manifest = read_manifest()
            ledger = open_ledger(Path(), content=content)
            try:
                found = finished.ceiling(ledger) or _measured(ledger, manifest)
            except DivergedError as error:
                print(f"{error}. The report will do without the ceiling", file=sys.stderr)
                found = {
                    "seeds": list(content.ceiling_pair),
                    "comparisons": [],
                    "failure": str(error),
                }
        with results_lock("ceiling"):
            write_json(paths.CEILING, found)


def _measured(ledger: Ledger, manifest: Manifest) -> dict[str, Any]:
    # Only now torch: what is measured already is collected without it.
    from netstab.sweep.ceiling import compare_seeds

    compare_seeds(ledger, manifest)
    found = finished.ceiling(ledger)
    if found is None:
        raise NetstabError("the ceiling cannot be used; run the same command again")
    return found


if __name__ == "__main__":
    main()
