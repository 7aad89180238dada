"""What the page and the charts say in words, from parameters and provenance."""

from dataclasses import dataclass

from netstab.data.manifest import read_manifest
from netstab.errors import DataError
from netstab.evidence.summary.aggregate import Summary
from netstab.params import Params
from netstab.results.runs import Collection

MEASURE_TITLES = {
    "train_loss": "Training loss",
    "train_top1_pct": "Training top-1",
    "val_loss": "Validation loss",
    "val_top1_pct": "Validation top-1",
    "val_top5_pct": "Validation top-5",
}

FIGURES = ("val_top1_pct", "train_loss", "val_loss", "train_top1_pct", "val_top5_pct")
"""Measures in the order of the page; an experiment's first figure is drawn wide."""


def measure_title(measure: str) -> str:
    """The measure's name with its unit, where it has one."""
    return MEASURE_TITLES[measure] + ("" if measure.endswith("loss") else " (%)")


def shown(summary: Summary, key: str, digits: int) -> tuple[str, str]:
    """A figure and its standard deviation over seeds; a dash and nothing where there is none."""
    value, spread = summary.get(key), summary.get(f"{key}_sd")
    return (
        "\N{EN DASH}" if value is None else f"{value:.{digits}f}",
        "" if spread is None else f"{spread:.{digits}f}",
    )


def counted(number: int, what: str) -> str:
    """`1 epoch`, `10 epochs`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def shortened(text: str, limit: int) -> str:
    """The text, cut to `limit` characters with an ellipsis where it is longer."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


EXPERIMENT_TITLES = {
    "expA": "Experiment A: decay in one block",
    "expB": "Experiment B: freeze all blocks but one",
    "expC": "Experiment C: decay in one block, then freeze the others",
    "expD": "Experiment D: decay everywhere, then freeze all blocks but one",
    "expE": "Experiment E: rival explanations (ours)",
    "own": "Interventions of your own",
}

EXPERIMENT_IDEAS = {
    "expA": "Only block k follows the outpost's step decay; every other block keeps its rate.",
    "expB": "No rate ever decays. From the freeze on, block k alone is trained.",
    "expC": "Block k decays while the others keep their rate; from the freeze on, "
    "block k alone is trained.",
    "expD": "The outpost's decay in every block; from the freeze on, block k alone is trained.",
    "expE": "Can something else than a falling rate have the outpost's gain? ema and bnrecal look "
    "at the baseline otherwise (averaged weights; recomputed batch-norm statistics), batch "
    "enlarges the batch where the rate would fall, head trains the linear head alone, and strict "
    "is experiment B with still batch-norm statistics.",
    "own": "What the section own of params.yaml asks for.",
}


@dataclass(frozen=True, slots=True)
class DataNote:
    """What the runs were trained on.

    Attributes:
        name: as the runs' provenance has it.
        official: whether these are the official CIFAR-10 images, all of them.
        warning: short note for every figure; None for the official CIFAR-10.
        details: counts and sizes, where known.
    """

    name: str
    official: bool
    warning: str | None
    details: str


def data_note(params: Params, collection: Collection) -> DataNote:
    """Describe the data from the provenance of the runs; the manifest adds the counts."""
    origins = {p.data.content_sha256: p.data for p in collection.provenance.values()}
    names = list(dict.fromkeys(origin.name for origin in origins.values()))
    name = " and ".join(names) or "images of unknown origin"
    official = bool(origins) and all(origin.official for origin in origins.values())
    is_cifar10 = params.data.dataset == "cifar10"
    if official and is_cifar10:
        warning = None
    else:
        warning = f"not {'the official ' if is_cifar10 else ''}CIFAR-10: {name}"
    return DataNote(name, warning is None, warning, _counts())


def _counts() -> str:
    try:
        manifest = read_manifest()
    except DataError:
        # The counts are a courtesy: without the manifest there is a page all the same.
        return ""
    height, width, _ = manifest.image_shape
    return (
        f"{manifest.train.count:,} training and {manifest.test.count:,} validation images of "
        f"{height} x {width} pixels, {len(manifest.classes)} classes"
    )


ARTICLE = {"width": 64, "epochs": 200, "time scale": 1.0, "batch": 128, "image size": 32}


def size_differences(params: Params) -> list[str]:
    """How the size differs from the article's; empty where it does not."""
    mine = {
        "width": params.model.width,
        "epochs": params.train.run_epochs,
        "time scale": params.train.time_scale,
        "batch": params.train.batch_size,
        "image size": params.data.image_size,
    }
    return [
        f"{what} {mine[what]:g} instead of {article:g}"
        for what, article in ARTICLE.items()
        if mine[what] != article
    ]
