"""What the study came to so far: all that figures and page are made of."""

from dataclasses import dataclass

from netstab.data.manifest import Manifest
from netstab.evidence.claims.judge import judge
from netstab.evidence.claims.judgement import Judgement
from netstab.evidence.summary.curves import Bands, bands
from netstab.evidence.summary.summaries import Summary, summarise
from netstab.params import Params
from netstab.results.runs import Collection


@dataclass(frozen=True, slots=True)
class DataNote:
    """What the runs were trained on.

    Attributes:
        name: as the runs' provenance has it.
        warning: short note for every figure; None for the official CIFAR-10, all of it.
        details: counts and sizes, where known.
    """

    name: str
    warning: str | None
    details: str


@dataclass(frozen=True, slots=True)
class Results:
    """Summaries, curves and verdicts.

    Attributes:
        params: what was asked for.
        collection: what the runs left behind.
        data: what they were trained on.
        summaries: of every variant by its name, in the order of the study.
        bands: curves over epochs, for every variant with a usable run.
        judgements: of every claim.
    """

    params: Params
    collection: Collection
    data: DataNote
    summaries: dict[str, Summary]
    bands: Bands
    judgements: tuple[Judgement, ...]

    @classmethod
    def of(
        cls, params: Params, collection: Collection, manifest: Manifest | None = None
    ) -> "Results":
        """Sum up the runs by variant, and judge the claims.

        Args:
            params: the parameters.
            collection: the runs' files.
            manifest: of the prepared images, where it is known: it adds their counts.
        """
        return cls(
            params,
            collection,
            _data_note(params, collection, manifest),
            {v.name: summarise(params, collection, v) for v in collection.schedules},
            bands(collection),
            judge(params, collection),
        )


def _data_note(params: Params, collection: Collection, manifest: Manifest | None) -> DataNote:
    """Describe the data from the provenance of the runs; the manifest adds the counts."""
    origins = {p.data.content_sha256: p.data for p in collection.provenance.values()}
    names = list(dict.fromkeys(origin.name for origin in origins.values()))
    name = " and ".join(names) or "images of unknown origin"
    is_cifar10 = params.data.dataset == "cifar10"
    warning: str | None = f"not {'the official ' if is_cifar10 else ''}CIFAR-10: {name}"
    if is_cifar10 and origins and all(origin.official for origin in origins.values()):
        warning = None
    return DataNote(name, warning, _counts(manifest) if manifest else "")


def _counts(manifest: Manifest) -> str:
    height, width, _ = manifest.image_shape
    return (
        f"{manifest.train.count:,} training and {manifest.test.count:,} validation images of "
        f"{height} x {width} pixels, {len(manifest.classes)} classes"
    )
