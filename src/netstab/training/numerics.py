"""The numerics contract: golden values that say whether the code still computes the same numbers.

`numerics.json` holds a version of training (part of every state's key) and one of each measure
(part of its measurements' keys), and values computed in float64 on the CPU. A refactor leaves them
as they are and keeps every result. A change that moves numbers of training raises the first
(`python -m netstab.training.numerics --raise`), and everything is trained again; one that moves
what a measure computes raises its own (`--raise-measure sharpness`), and that is measured again.
What is new and moves nothing is added (`--extend`).
"""

import json
import tempfile
from collections.abc import Callable
from math import isclose
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor

from netstab import paths
from netstab.data.dataset import Dataset
from netstab.measure.barriers import losses_between
from netstab.measure.probe import probe
from netstab.networks import network as networks
from netstab.params import Model, Params
from netstab.store.ledger import Ledger
from netstab.store.states import Store
from netstab.study.experiments import Run, Variant, schedule, variants
from netstab.study.measuring import Measure
from netstab.study.schedule import Phase
from netstab.training import state
from netstab.training.context import Built, EngineContext
from netstab.training.device import hardware
from netstab.training.engine import Engine
from netstab.training.golden import BATCH, CLASSES, SEED, STEPS, images, study
from netstab.training.observer import Observer
from netstab.training.trajectory import train

TOLERANCE = 1e-8
"""Relative, and absolute near zero. In float64 another order of summation moves the values by
less than 1e-11; each of the mutations in the tests by more than 1e-4."""

MEASUREMENTS = "measurements"
"""Name of the golden values that belong to measures."""


def compute() -> dict[str, Any]:
    """Every golden value, by name; this process computes with one thread from then on."""
    torch.set_num_threads(1)
    return {
        "schedules": _schedules(),
        "trajectories": _trajectories(),
        "networks": _networks(),
        MEASUREMENTS: measurements(),
    }


def _schedules() -> dict[str, Any]:
    found = {}
    for scale in (1.0, 0.1):
        params = study(scale, "live")
        for variant in variants(params):
            expanded = schedule(params, variant)
            found[f"{variant.name} at {scale:g}"] = [
                [f"{p.start}-{p.end}", *(str(s) for s in p.settings), p.batch_size]
                for p in expanded.phases
            ]
    return found


def _trajectories() -> dict[str, Any]:
    """Runs of 10 common steps and 20 of their own, for each freeze pattern and batch-norm mode."""
    found: dict[str, Any] = {}
    for mode in ("live", "eval"):
        # At this scale every intervention falls on epoch 1 or 2 of 3.
        params = study(0.0167, mode)
        with tempfile.TemporaryDirectory() as folder:
            for variant in variants(params):
                if variant.experiment in ("baseline", "outpost", "expA") and mode == "eval":
                    continue
                found[f"{variant.name} {mode}"] = trajectory(params, variant, folder)
    return found


NETWORKS = (
    *(("resnet18", "group"), ("resnet34", "batch"), ("plain", "batch"), ("plain", "none")),
    *(("wide_resnet", "batch"), ("vit", "layer")),
)
"""Networks beside the article's, and norms, none of which is pinned by the others."""


def _networks() -> dict[str, Any]:
    """An epoch of the baseline, for each of the other networks."""
    found = {}
    params = study(1.0, "live")
    for name, norm in NETWORKS:
        model = Model.model_validate({"name": name, "norm": norm, "width": 8})
        own = params.model_copy(update={"model": model})
        engine, training, validation, _ = _builder(own)()
        engine.start(SEED)
        phase = Phase(0, 1, (0.01,) * len(own.parts), BATCH, own.parts)
        row = engine.epoch(phase, training, validation, SEED, 0)
        losses = [row["train_loss"], row["val_loss"]]
        found[f"{name} {norm}"] = {"losses": losses, "state": _sums(state.capture(engine))}
    return found


def trajectory(params: Params, variant: Variant, store: str) -> dict[str, Any]:
    """Train a run on the fixed images, as every run is trained, through a store.

    Args:
        params: the parameters.
        variant: of the run.
        store: folder of a store, where the run finds the past that it shares with others.

    Returns:
        Its history, and the sums of its last state.
    """
    ledger = _ledger(params, store)
    record = train(ledger, Run(variant, SEED), EngineContext(_builder(params)), lambda *_: None)
    path = ledger.store.tensors_file(record)
    assert path is not None
    return {
        "history": [list(row.values()) for row in record.history],
        "state": _sums(state.read(path)),
    }


def measurements() -> dict[str, Any]:
    """Every measurement of a run that decays and freezes, taken while it trains."""
    params = study(0.0167, "live")
    run, context = Run(Variant("expC", "256"), SEED), EngineContext(_builder(params))

    with tempfile.TemporaryDirectory() as folder:
        ledger = _ledger(params, folder)
        _, training, _, used = context.built
        observer = Observer(ledger, context.twin, training, used)
        train(ledger, run, context, lambda *_: None, lambda: observer)
        named = {
            f"{measure} {epoch} {scope}".rstrip(): key
            for measure, epoch, scope, key, _ in ledger.asked(run)
        }
        entries = {name: ledger.measurements.read(key) for name, key in named.items()}
        losses = _line(params, context)
    # How fast a search converges, and how far, depends on rounding, and so on the machine.
    vague = ("products", "residual", "eigenvalue_error")
    return {
        name: [[v for k, v in row.items() if not k.endswith(vague)] for row in e["rows"]]
        for name, e in entries.items()
        if e
    } | {"barrier": [losses]}


def _line(params: Params, context: EngineContext) -> list[float | None]:
    """Losses between the state that the engine is in, and the first one."""
    engine, settings = context.built.engine, params.measure.barriers
    last = {name: tensor.clone() for name, tensor in engine.model.state_dict().items()}
    engine.start(SEED)
    x, y = probe(context.built.training, settings.images or 0, "barriers")
    return losses_between(context.twin, last, engine.model.state_dict(), settings.points, x, y)


def _ledger(params: Params, folder: str) -> Ledger:
    dataset = Dataset("golden", STEPS * BATCH, 3, CLASSES)
    return Ledger(params, dataset, Store(Path(folder)), numerics=0)


def _builder(params: Params) -> Callable[[], Built]:
    def build() -> Built:
        network = networks.build(params, 3, CLASSES)
        network.module.double()
        made = Engine(network, params.train, torch.device("cpu"))
        used = hardware(torch.device("cpu"), 1)
        return Built(made, *images(params.train.crop_padding), used)

    return build


def _sums(tensors: dict[str, Tensor]) -> dict[str, list[float]]:
    """Norm and a fixed projection of weights, momentum and running statistics of each part."""
    groups: dict[str, list[Tensor]] = {}
    for name, tensor in sorted(tensors.items()):
        kind, part, *rest = name.split(".")
        kind = "running" if "running" in rest[-1] or "tracked" in rest[-1] else kind
        groups.setdefault(f"{kind} {part}", []).append(tensor.double().reshape(-1))
    return {
        name: [float(flat.norm()), float(flat @ torch.cos(torch.arange(len(flat)).double()))]
        for name, flat in ((name, torch.cat(members)) for name, members in groups.items())
    }


def differences(golden: object, found: object, at: str = "") -> list[str]:
    """Where two sets of values differ by more than the tolerance, by name."""
    if isinstance(golden, dict) and isinstance(found, dict):
        if golden.keys() != found.keys():
            return [f"{at}: has other names: {sorted(golden.keys() ^ found.keys())}"]
        return [d for k in golden for d in differences(golden[k], found[k], f"{at}/{k}")]
    if isinstance(golden, list) and isinstance(found, list):
        if len(golden) != len(found):
            return [f"{at}: has another length"]
        pairs = enumerate(zip(golden, found, strict=True))
        return [d for i, (g, f) in pairs for d in differences(g, f, f"{at}/{i}")]
    if isinstance(golden, float) and isinstance(found, float):
        same = isclose(golden, found, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    else:
        same = golden == found
    return [] if same else [f"{at}: {golden!r} became {found!r}"]


def main(
    raise_version: Annotated[
        bool, typer.Option("--raise", help="Renew all values: everything is trained again.")
    ] = False,
    raised: Annotated[
        Measure | None,
        typer.Option("--raise-measure", help="Renew what it measures; all else stays."),
    ] = None,
    extend: Annotated[
        bool, typer.Option("--extend", help="Add values of new names; those there must agree.")
    ] = False,
) -> None:
    """Hold the code against the golden values; exit 1 where they differ."""
    content = json.loads(paths.NUMERICS.read_text(encoding="utf-8"))
    found = json.loads(json.dumps(compute()))
    golden = content["golden"]
    if raise_version:
        content = {**content, "version": content["version"] + 1, "golden": found}
    elif raised:
        _stop_if_moved(differences(_without(golden, raised), _without(found, raised)), content)
        content["measures"][raised] += 1
        # The others' values differ in their last digits, by where they are computed.
        measured = {n: v for n, v in golden[MEASUREMENTS].items() if not _is_of(n, raised)}
        measured |= {n: v for n, v in found[MEASUREMENTS].items() if _is_of(n, raised)}
        content["golden"] = {**golden, MEASUREMENTS: measured}
    elif extend:
        known = {g: {n: found.get(g, {}).get(n) for n in named} for g, named in golden.items()}
        _stop_if_moved(differences(golden, known), content)
        content["golden"] = found
    else:
        _stop_if_moved(differences(golden, found), content)
        print(f"{_told(content)}: nothing moved")
        return
    paths.NUMERICS.write_text(_layout(content), encoding="utf-8")
    print(f"{_told(content)}: written")


def _told(content: dict[str, Any]) -> str:
    versions = {"numerics": content["version"], **content["measures"]}
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _without(golden: dict[str, Any], measure: str) -> dict[str, Any]:
    others = {n: v for n, v in golden[MEASUREMENTS].items() if not _is_of(n, measure)}
    return {**golden, MEASUREMENTS: others}


def _is_of(name: str, measure: str) -> bool:
    return name.split()[0] == measure


def _stop_if_moved(moved: list[str], content: dict[str, Any]) -> None:
    for line in moved[:20]:
        print(line)
    if moved:
        print(f"numerics version {content['version']}: {len(moved)} values moved")
        raise typer.Exit(1)


def _layout(content: dict[str, Any]) -> str:
    """JSON with a line for each trajectory's part, so that a diff shows what moved."""
    versions = f'"version": {content["version"]},\n"measures": {json.dumps(content["measures"])},'
    lines = [f"{{\n{versions}", '"golden": {']
    for i, (name, group) in enumerate(content["golden"].items()):
        members = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in group.items()]
        comma = "," if i + 1 < len(content["golden"]) else ""
        lines += [f"{json.dumps(name)}: {{", ",\n".join(members), f"}}{comma}"]
    return "\n".join([*lines, "}", "}", ""])


if __name__ == "__main__":
    typer.run(main)
