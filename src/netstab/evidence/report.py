"""The report: from the runs' files to everything that its stage writes."""

import json
from contextlib import suppress
from pathlib import Path

from altair.utils import schemapi

from netstab import paths
from netstab.data.manifest import Manifest, read_manifest
from netstab.errors import DataError
from netstab.evidence.claims.judge import claims_csv, claims_json
from netstab.evidence.figures import drawings
from netstab.evidence.page import render as page
from netstab.evidence.results import Results
from netstab.evidence.summary.curves import curves
from netstab.evidence.summary.summaries import to_file
from netstab.files import write_file, write_folder
from netstab.params import Params
from netstab.results.runs import collect


def make(params: Params) -> Results:
    """Write `metrics/variants/`, `curves.csv`, the claims, `figures/` and `report.html`.

    Each is replaced whole or not at all, and only once all of them could be made.

    Raises:
        NetstabError: no run at all can be used.
    """
    results = Results.of(params, collect(params), _manifest())
    table = curves(params, results.bands)
    # Altair checks every piece of a chart against its schema; that is for the tests to do.
    with schemapi.debug_mode(False):
        drawn = drawings.draw(results)
        html = page.render(results, drawn)
    pictures = drawings.svgs(drawn, _texts(paths.FIGURES))
    summaries = {
        f"{name}.json": json.dumps(to_file(summary), indent=2) + "\n"
        for name, summary in results.summaries.items()
    }
    judged = claims_json(params, results.judgements)
    parts = claims_csv(params, results.judgements)
    write_folder(paths.VARIANTS, summaries)
    write_file(paths.CURVES, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    write_file(paths.CLAIMS, judged)
    write_file(paths.CLAIM_PARTS, parts)
    write_folder(paths.FIGURES, pictures)
    write_file(paths.REPORT, html)
    return results


def _texts(folder: Path) -> dict[str, str]:
    """The files of a folder that can be read as text, by name; none where it is not there."""
    found = {}
    for path in sorted(folder.glob("*")):
        with suppress(OSError, UnicodeDecodeError):
            found[path.name] = path.read_text(encoding="utf-8")
    return found


def _manifest() -> Manifest | None:
    """The images' manifest; None without a sound one: the page does without their counts."""
    try:
        return read_manifest()
    except DataError:
        return None
