"""How far apart signals can be: the same variant, trained from two seeds.

No single run can say what a similarity of 0.9 means. Two seeds have nothing in common but data and
task; how alike their signals are at the end is what drift can be held against. Only what does not
depend on which channel is which is compared: CKA, and predictions.
"""

from typing import Any

from netstab.data.manifest import Manifest
from netstab.measure.probe import probe
from netstab.measure.stability import Row, Signals, compare, signals
from netstab.study import measuring
from netstab.study.experiments import REFERENCES, Run, Variant
from netstab.training import job, state
from netstab.training.ledger import Ledger
from netstab.training.model import ResNet18, same_layout_copy

COLUMNS = ("block", "forward_cka", "backward_cka", "changed_pct", "kl_nats")


def compare_seeds(ledger: Ledger, manifest: Manifest) -> dict[str, Any]:
    """Compare the ends of both references between the two seeds of `ceiling.seeds`.

    A run that the store lacks is trained first.

    Returns:
        `seeds`, and `comparisons`: a row for each reference and block, and one for the network.

    Raises:
        NetstabError: as for a run.
    """
    seeds = ledger.params.ceiling_pair
    rows: list[dict[str, Any]] = []
    for name in REFERENCES if seeds else ():
        first, second = (_end(ledger, manifest, Run(Variant(name), seed)) for seed in seeds)
        end = ledger.tree.schedules[Variant(name)].epochs
        rows += [
            {"variant": name, "epoch": end, **_shown(row)}
            for row in compare(first, second, "seeds", None)
        ]
    return {"seeds": list(seeds), "comparisons": rows}


def _end(ledger: Ledger, manifest: Manifest, run: Run) -> Signals:
    path = None
    while path is None:  # a damaged state is set aside, and trained again
        record = job.train(ledger, run, manifest)
        path = ledger.store.tensors_file(record)
    tensors = state.read(path)
    device = job.device_of(ledger.params)
    training, _ = job.load_images(ledger, manifest, device)
    model = ResNet18(ledger.params.model.width, manifest.image_shape[2], len(manifest.classes))
    same_layout_copy(
        model, {n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")}
    )
    x, y = probe(training, ledger.params.measure.stability.images, "stability")
    return signals(model.to(device), measuring.boundaries(ledger.params), x, y)


def _shown(row: Row) -> Row:
    return {column: row[column] for column in COLUMNS}
