"""Made-up finished runs for pieces of a study: states, histories and measurements, no training."""

import copy
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from netstab.exchange import exporting, piecefile
from netstab.params import PARTS, Params
from netstab.results.schema import FIELD_COLUMNS, MEASURES, STABILITY_COLUMNS, history_columns
from netstab.store.ledger import Ledger
from netstab.store.records import Record
from netstab.study.choice import choose
from netstab.study.experiments import Run
from netstab.sweep.ray.marks import MARKS
from tests import small
from tests.checkout import files_in

DATA = "d" * 64
TOLD = {"device": "Prozessor \u00fc", "device_type": "cpu", "torch": "2.9", "threads": 1}


def provenance(epoch: int, host: str, **told: str) -> list[dict[str, Any]]:
    row = {"from": 0, "to": epoch, "seconds": 2.5, "flop": 1e9, "trained_for": "baseline-0"}
    return [{**row, "finished_at": "2026-01-01T00:00:00Z", **TOLD, "host": host, **told}]


def mark(store: Path, token: str) -> Path:
    """The mark of a command that holds no lock."""
    path = store / MARKS / token
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(token, encoding="utf-8")
    return path


def history(key: str, epochs: int) -> list[dict[str, Any]]:
    """Rows whose numbers have as many digits as real ones."""

    def value(epoch: int, column: str) -> float:
        digest = hashlib.sha256(f"{key}{epoch}{column}".encode()).digest()
        return int.from_bytes(digest[:6]) / 2**45

    settings = {c: 0.1 if c.startswith("lr_") else 0 for c in history_columns(PARTS)}
    return [
        settings | {"epoch": epoch} | {c: value(epoch, c) for c in MEASURES}
        for epoch in range(epochs)
    ]


def record(key: str = "a" * 64, epoch: int = 3, **changes: Any) -> Record:
    """A sound record of the baseline, but for these changes."""
    sound = Record(
        key=key,
        run="baseline-0",
        epoch=epoch,
        inputs={"seed": 0, "schedule": [{"settings": {"stem": 0.1}}]},
        history=history(key, epoch),
        provenance=provenance(epoch, "here"),
        interim=False,
    )
    return replace(sound, **changes)


def holding(content: bytes) -> Callable[[Path], None]:
    """Writes a content in place of tensors."""
    return lambda path: path.write_bytes(content) and None


def fill(
    ledger: Ledger, runs: Iterable[Run], *, host: str = "here", bits: str = "", **told: str
) -> None:
    """Store made-up states of runs at all boundaries, and all that is measured on them.

    Args:
        told: further fields of their provenance.
    """
    for run in runs:
        owner = ledger.host(run) if ledger.is_view(run) else run
        ends = {s.end for s in ledger.tree.segments() if owner.variant in s.variants}
        for who, epoch in [*((owner, end) for end in ends), (run, ledger.schedule(run).epochs)]:
            key = ledger.key(who, epoch)
            if key not in ledger.store:
                put(ledger, who, epoch, host, bits, **told)
        for key, inputs in measured(ledger, run):
            ledger.measurements.write(key, inputs, entry(inputs))


def put(ledger: Ledger, run: Run, epoch: int, host: str, bits: str, **told: str) -> None:
    key = ledger.key(run, epoch)
    inputs, rows = ledger.inputs(run, epoch), provenance(epoch, host, **told)
    made = record(key, epoch, run=run.name, inputs=inputs, provenance=rows)
    ledger.store.save(made, holding((key + bits).encode()))


def measured(ledger: Ledger, run: Run) -> Iterable[tuple[str, dict[str, Any]]]:
    return [(asked.key, asked.inputs) for asked in ledger.asked(run)]


def entry(inputs: dict[str, Any]) -> dict[str, Any]:
    shifts = {"stability": STABILITY_COLUMNS, "field": FIELD_COLUMNS}
    if columns := shifts.get(inputs["measure"]):
        row = {c: 1 / 3 for c in columns if c != "epoch"}
        rows = [{**row, "distance": "step", "block": "64"}]
    else:
        rows = [{"scope": inputs.get("scope"), "eigenvalue": 2 / 3, "trace": None}]
    return {"rows": rows, "protocol": {}, "provenance": {**TOLD, "seconds": 0.5, "host": "here"}}


def change(path: Path, target: Path, how: Callable[[dict[str, Any]], Any]) -> Path:
    """Write a piece's file with another content, and with the hash that fits it."""
    content = piecefile.read(path).model_dump(mode="json", by_alias=True)
    how(content)
    target.write_bytes(piecefile.pack(content))
    return target


def study(**changes: Any) -> Params:
    """Two references, expA, expB and the views of two seeds; 10 epochs, branches at 3."""
    views = {name: small.SHIPPED["expE"][name] for name in ("ema", "bnrecal")}
    measure = copy.deepcopy(small.SHIPPED["measure"])
    measure["stability"]["every_epochs"] = measure["field"]["every_epochs"] = 100
    measure["sharpness"] |= {"every_epochs": None, "settle_epochs": 200}
    fewer = {"experiments": ["expA", "expB"], "own": {}, "expE": views, "seeds": [0, 1]}
    fewer["measure"] = measure
    return small.params(**{**fewer, **changes})


def ledger_on(store: Path, params: Params | None = None, data: str = DATA) -> Ledger:
    return small.ledger(params or study(), store, data=data)


def export(ledger: Ledger, names: str, target: Path, seeds: tuple[int, ...] = (0,)) -> Path:
    return piecefile.write(exporting.piece(ledger, choose(ledger.params, [names], seeds)), target)


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a store but its locks."""
    return {name: b for name, b in files_in(folder).items() if not name.endswith(".lock")}


def maker(folder: Path) -> Callable[..., Path]:
    """Makes the file of a piece that was trained in a store of its own."""

    def make(names: str, seeds: tuple[int, ...] = (0,), **how: str) -> Path:
        ledger = ledger_on(folder / f"store of {names} {how}")
        fill(ledger, choose(ledger.params, [names], seeds), **how)
        return export(ledger, names, folder / f"{names} {how.get('host', '')}.json.gz", seeds)

    return make
