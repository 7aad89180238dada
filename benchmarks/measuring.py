"""What measuring costs: a measurement against an epoch, and the share of a study's training."""

import tempfile
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks import sizes
from benchmarks.common import (
    Device,
    Goal,
    Json,
    Rounds,
    Size,
    Source,
    Spread,
    Threads,
    in_turn,
    make_table,
    report,
)
from netstab.store.ledger import open_ledger
from netstab.store.states import Store
from netstab.study import measuring
from netstab.study.experiments import Run
from netstab.study.plan import Work

if TYPE_CHECKING:
    from benchmarks.trainer import Workload
    from netstab.measure.sharpness import Subset

EPOCH = "an epoch of training"
STABILITY = "stability of an epoch"
FIELD = "field of an epoch"
PRODUCT = "a Hessian-vector product"
LIMITS = {"mini": {"sharpness": 0.15, "field": 0.08}, "article": {"sharpness": 0.1}}
"""So much of the training time of a study may each take; a demo's epochs are too short."""


def main(
    size: Size = "mini",
    source: Source = None,
    rounds: Rounds = 3,
    epochs: Annotated[int, typer.Option(min=0, help="Trained before anything is measured.")] = 1,
    device: Device = "auto",
    threads: Threads = None,
    json: Json = None,
) -> None:
    """Time an epoch, measurements, and a Hessian-vector product, in turn; add up a study's."""
    study = sizes.params(size, source, device, threads)
    from benchmarks import trainer

    with tempfile.TemporaryDirectory() as folder:
        workload = trainer.workload(study, size, Path(folder))
        measured = in_turn(_cases(workload, epochs), rounds)
        counts = _counts(workload, Path(folder))
    settings = {"size": size, "rounds": rounds, "epochs_before": epochs, **workload.settings}
    settings |= {"measure": study.measure.model_dump()}
    _report(measured, counts, settings, workload.on, json)


def _cases(workload: "Workload", epochs: int) -> dict[str, Callable[[], object]]:
    """What is timed."""
    from benchmarks.trainer import Trainer, trunk
    from netstab.measure import field, sharpness
    from netstab.measure.probe import probe
    from netstab.measure.stability import Path as WeightPath
    from netstab.measure.stability import compare, signals
    from netstab.networks.network import names_of

    study, training = workload.study, workload.training
    at_work = Trainer(study, workload.manifest, workload.device)
    epoch = partial(at_work.epoch, trunk(study), training, workload.validation)
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

    blocks = {block: names_of(twin, study, parts) for block, parts in study.blocks.items()}
    first, *others = (
        {name: t.detach().clone() for name, t in twin.state_dict().items()} for _ in range(3)
    )
    ends = dict(zip(("step", "epoch"), others, strict=True))
    at_first = probe(training, study.measure.field.images, "field", study.measure.field.seed)
    shifts = partial(field.compare, twin, blocks, *at_first, first, ends, study.train.batch_size)

    subset = sharpness.Subset(*probe(training, study.measure.sharpness.images, "sharpness"))
    cases: dict[str, Callable[[], object]] = {EPOCH: epoch, STABILITY: stability, FIELD: shifts}
    how = (twin, subset, study.measure.sharpness, 0)
    survey = sharpness.survey(*how)
    for scope in (measuring.NETWORK, *study.blocks):
        names = names_of(twin, study, measuring.parts_of(study, scope))
        # What all scopes share is taken with the network, which is always measured.
        if scope == measuring.NETWORK:
            case = partial(sharpness.measure, twin, subset, {scope: names}, *how[2:])
        else:
            case = partial(sharpness.measure_scope, scope, names, survey, *how)
        cases[f"sharpness, {scope}"] = case
    return cases | {PRODUCT: _product(deepcopy(twin), subset)}


def _product(model: Any, subset: "Subset") -> Callable[[], object]:
    """One product with the whole network's Hessian."""
    import torch
    from torch.nn import functional

    from netstab.measure.derivatives import cheap_second_derivatives
    from netstab.measure.hessian import Hessian
    from netstab.measure.traces import CHUNK

    model.eval().requires_grad_(True)
    chunks = list(zip(*(torch.split(part, CHUNK) for part in subset), strict=True))
    count, weights = len(subset.labels), list(model.parameters())
    with cheap_second_derivatives(model):
        losses = [functional.cross_entropy(model(x), y, reduction="sum") / count for x, y in chunks]
        hessian = Hessian(losses, weights)
    vector = hessian.random_signs(torch.Generator().manual_seed(0))
    return lambda: hessian @ vector


def _counts(workload: "Workload", folder: Path) -> dict[str, float]:
    """How often a seed of the study needs each: epochs by their operations, measurements by key."""
    from benchmarks.trainer import trunk

    study = workload.study
    ledger = open_ledger(folder, Store(folder / "empty"), content=study)
    seed = study.seeds[0]
    work = ledger.outstanding()[seed]
    one = ledger.costs.flop([Work(work[0].variant, trunk(study), 1)])
    runs = [Run(variant, seed) for variant in ledger.tree.schedules]
    asked = {asked.key: asked for run in runs for asked in ledger.asked(run)}.values()
    counts = Counter(each.measure for each in asked)
    scopes = Counter(each.scope for each in asked if each.scope)
    return {
        EPOCH: ledger.costs.flop(work) / one,
        STABILITY: counts["stability"],
        FIELD: counts["field"],
        **{f"sharpness, {scope}": count for scope, count in scopes.items()},
    }


def _report(
    measured: dict[str, Spread],
    counts: dict[str, float],
    settings: dict[str, Any],
    on: dict[str, object],
    json: Path | None,
) -> None:
    images = settings["measure"]["sharpness"]["images"]
    title = f"{settings['size']}: {images} images for sharpness"
    table = make_table(title, "what", "s", "this / epoch", "times a seed")
    results: dict[str, Any] = {}
    for name, seconds in measured.items():
        relative = Spread.of_ratios(seconds, measured[EPOCH])
        times = f"{counts[name]:,.0f}" if name in counts else ""
        table.add_row(name, str(seconds), str(relative) if name != EPOCH else "", times)
        results[name] = {"s": seconds, "per_epoch": relative, "a_seed": counts.get(name)}
    trained = _total(measured, counts, EPOCH)
    shares = {
        what: Spread.of_ratios(_total(measured, counts, what), trained)
        for what in ("stability", "field", "sharpness")
    }
    notes = [
        f"n = {settings['rounds']}; median [min, max]; ratios are taken round by round.",
        "times a seed: what runs share counts once; epochs with frozen parts by their operations.",
        "computed from these, of a seed's training time: "
        + ", ".join(f"{what} {share}" for what, share in shares.items()),
    ]
    results["share_of_training"] = shares
    report(
        "measuring",
        json,
        table,
        on=on,
        settings=settings,
        results=results,
        goals=[
            Goal(f"{what}, as a share of the study's training time,", shares[what].median, limit)
            for what, limit in LIMITS.get(settings["size"], {}).items()
        ],
        notes=notes,
    )


def _total(measured: dict[str, Spread], counts: dict[str, float], what: str) -> Spread:
    """Seconds that a seed takes for all that begins with a word, from each round by itself."""
    names = [name for name in counts if name.startswith(what)]
    rounds = zip(*(measured[name].values for name in names), strict=True)
    return Spread(tuple(sum(counts[n] * s for n, s in zip(names, r, strict=True)) for r in rounds))


if __name__ == "__main__":
    typer.run(main)
