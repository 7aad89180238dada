"""From the runs' files to everything that the report stage writes."""

import json

from netstab import paths
from netstab.evidence import page
from netstab.evidence.aggregate import Results, aggregate, curves
from netstab.evidence.files import write_file, write_folder
from netstab.evidence.runs import collect
from netstab.params import Params


def make(params: Params) -> Results:
    """Write `metrics/variants/`, `metrics/curves.csv` and `metrics/report.html`.

    Each is replaced whole or not at all, and only once all of them could be made.

    Raises:
        NetstabError: no run at all can be used.
    """
    results = aggregate(params, collect(params))
    table = curves(results).to_csv(index=False, float_format="%.6g", lineterminator="\n")
    html = page.render(results)
    summaries = {
        f"{name}.json": json.dumps(summary, indent=2) + "\n"
        for name, summary in results.summaries.items()
    }
    write_folder(paths.VARIANTS, summaries)
    write_file(paths.CURVES, table)
    write_file(paths.REPORT, html)
    return results
