"""What measuring costs: a measurement against an epoch, and the share of a study's training."""

import tempfile
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks import sizes
from benchmarks.common import Goal, Spread, in_turn, make_table, report
from netstab.study import measuring

if TYPE_CHECKING:
    from benchmarks.trainer import Course
    from netstab.measure.sharpness import Subset

EPOCH = "an epoch of training"
STABILITY = "stability of an epoch"
PRODUCT = "a Hessian-vector product"
PEER = "the same by curvlinops"
LIMITS = {"mini": 0.5, "article": 0.1}
"""Sharpness may take so much of the training time of a study; a demo's epochs are too short."""


def main(
    size: Annotated[str, typer.Option(help="demo, mini or article.")] = "mini",
    source: Annotated[
        Path | None, typer.Option(help="Archive or folder of images; without it, random ones.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Each case is timed once a round.")] = 3,
    epochs: Annotated[int, typer.Option(min=0, help="Trained before anything is measured.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; one a core.")] = None,
    json: Annotated[Path | None, typer.Option(help="Where the JSON goes.")] = None,
) -> None:
    """Time an epoch, measurements, and a Hessian-vector product, in turn; add up a study's.

    Where curvlinops is installed (it is no dependency of netstab) its product is timed too, on
    the same network and images.
    """
    study = sizes.params(
        size,
        data={"source": str(source.resolve())} if source else {},
        runtime={"device": device, "threads": threads},
    )
    from benchmarks import trainer

    with tempfile.TemporaryDirectory() as folder:
        course = trainer.course(study, size, Path(folder), None)
        cases, same = _cases(course, epochs)
        measured = in_turn(cases, rounds)
        counts = _counts(course, Path(folder))
    settings = {"size": size, "rounds": rounds, "epochs_before": epochs, **course.settings}
    settings |= {"measure": study.measure.model_dump(), **same}
    _report(measured, counts, settings, course.on, json)


def _cases(
    course: "Course", epochs: int
) -> tuple[dict[str, Callable[[], object]], dict[str, float]]:
    """What is timed; and how far curvlinops' product is from ours."""
    from benchmarks.trainer import Trainer, trunk
    from netstab.measure import sharpness
    from netstab.measure.probe import probe
    from netstab.measure.stability import Path as WeightPath
    from netstab.measure.stability import compare, signals

    study, training = course.study, course.training
    at_work = Trainer(study, course.manifest, course.device)
    epoch = partial(at_work.epoch, trunk(study), training, course.validation)
    for _ in range(epochs):
        epoch()
    twin = deepcopy(at_work.engine.model)
    boundaries = measuring.boundaries(study)
    images = probe(training, study.measure.stability.images, "stability")

    def stability() -> None:
        path = WeightPath({"all": list(twin.parameters())})
        path.step()
        looks = [signals(twin, boundaries, *images) for _ in range(3)]
        for after in looks[1:]:
            compare(looks[0], after, "epoch", dict.fromkeys([*boundaries, "network"], 1.0))

    subset = sharpness.Subset(*probe(training, study.measure.sharpness.images, "sharpness"))
    cases: dict[str, Callable[[], object]] = {EPOCH: epoch, STABILITY: stability}
    for scope in (measuring.NETWORK, *study.blocks):
        parts = measuring.parts_of(study, scope)
        names = [n for n, _ in twin.named_parameters() if n.split(".", 1)[0] in parts]
        cases[f"sharpness, {scope}"] = partial(
            sharpness.measure, twin, subset, {scope: names}, study.measure.sharpness, 0
        )
    products, same = _products(deepcopy(twin), subset)
    return cases | products, same


def _products(
    model: Any, subset: "Subset"
) -> tuple[dict[str, Callable[[], object]], dict[str, float]]:
    """One product with the whole network's Hessian, ours and curvlinops'."""
    import torch
    from torch.nn import functional

    from netstab.measure.hessian import Hessian
    from netstab.measure.sharpness import CHUNK

    model.eval().requires_grad_(True)
    chunks = list(zip(*(torch.split(part, CHUNK) for part in subset), strict=True))
    count, weights = len(subset.labels), list(model.parameters())
    losses = [functional.cross_entropy(model(x), y, reduction="sum") / count for x, y in chunks]
    hessian = Hessian(losses, weights)
    vector = hessian.random_signs(torch.Generator().manual_seed(0))
    mine = hessian @ vector
    cases: dict[str, Callable[[], object]] = {PRODUCT: lambda: hessian @ vector}
    if find_spec("curvlinops") is None:
        return cases, {}
    from curvlinops import HessianLinearOperator

    peer = HessianLinearOperator(
        model, torch.nn.CrossEntropyLoss(), weights, chunks, check_deterministic=False
    )
    other = peer @ vector
    cases[PEER] = lambda: peer @ vector
    return cases, {"relative_difference_of_products": float((other - mine).norm() / mine.norm())}


def _counts(course: "Course", folder: Path) -> dict[str, float]:
    """How often a seed of the study needs each: epochs by their operations, measurements by key."""
    from benchmarks.trainer import trunk
    from netstab.data.dataset import Dataset
    from netstab.store.ledger import Ledger, versions
    from netstab.store.states import Store
    from netstab.study.experiments import Run
    from netstab.study.plan import Work

    study = course.study
    ledger = Ledger(study, Dataset.prepared(course.manifest), Store(folder / "empty"), *versions())
    seed = study.seeds[0]
    work = ledger.outstanding()[seed]
    one = ledger.costs.flop([Work(work[0].variant, trunk(study), 1)])
    runs = [Run(variant, seed) for variant in ledger.tree.schedules]
    drifts = {key for run in runs for key in ledger.stability_keys(run).values()}
    curvatures = {key: at[1] for run in runs for at, key in ledger.sharpness_keys(run).items()}
    scopes = list(curvatures.values())
    return {
        EPOCH: ledger.costs.flop(work) / one,
        STABILITY: len(drifts),
        **{f"sharpness, {scope}": scopes.count(scope) for scope in dict.fromkeys(scopes)},
    }


def _report(
    measured: dict[str, Spread],
    counts: dict[str, float],
    settings: dict[str, Any],
    on: dict[str, object],
    json: Path | None,
) -> None:
    table = make_table(
        f"{settings['size']}: {settings['measure']['sharpness']['images']} images for sharpness",
        "what",
        "s",
        "this / epoch",
        "times a seed",
    )
    results: dict[str, object] = {}
    for name, seconds in measured.items():
        relative = Spread.of_ratios(seconds, measured[EPOCH])
        times = f"{counts[name]:,.0f}" if name in counts else ""
        table.add_row(name, str(seconds), str(relative) if name != EPOCH else "", times)
        results[name] = {"s": seconds.as_json(), "per_epoch": relative.as_json()}
        if name in counts:
            results[name] = {**results[name], "a_seed": counts[name]}  # type: ignore[dict-item]
    shares = {
        what: Spread(
            tuple(
                sum(counts[n] * measured[n].values[i] for n in counts if n.startswith(what))
                / (counts[EPOCH] * measured[EPOCH].values[i])
                for i in range(settings["rounds"])
            )
        )
        for what in ("stability", "sharpness")
    }
    results["share_of_training"] = {what: share.as_json() for what, share in shares.items()}
    notes = [
        f"n = {settings['rounds']}; median [min, max]; ratios are taken round by round.",
        "times a seed: what runs share counts once; epochs with frozen parts by their operations.",
        f"computed from these, of a seed's training time: stability {shares['stability']}, "
        f"sharpness {shares['sharpness']}",
    ]
    if PEER in measured:
        ratio = Spread.of_ratios(measured[PEER], measured[PRODUCT])
        results["peer_per_product"] = ratio.as_json()
        notes.append(f"curvlinops / netstab, a product: {ratio}")
    limit = LIMITS.get(settings["size"])
    share, what = shares["sharpness"].median, "sharpness, as a share of the study's training time,"
    goals = [Goal(what, share, limit)] if limit else []
    report(
        "measuring",
        json,
        table,
        on=on,
        settings=settings,
        results=results,
        goals=goals,
        notes=notes,
    )


if __name__ == "__main__":
    typer.run(main)
