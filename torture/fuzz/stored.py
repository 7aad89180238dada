"""Targets: what lies in a shared store, or comes from one. Hashes are no secret, and always fit."""

import gzip
import io
import json
import shutil
import struct
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import torch
from rich.console import Console
from safetensors.torch import save

from netstab.commands import pieces as piece_commands
from netstab.commands import plan, store
from netstab.exchange import exporting, piecefile
from netstab.exchange.importing import import_files
from netstab.plain_json import digest
from netstab.results.schema import Origin
from netstab.store import finished
from netstab.store.ledger import Ledger
from netstab.study.experiments import Run
from netstab.training import state
from netstab.training.context import EngineContext
from tests import pieces, small
from torture.fuzz.bounds import Target
from torture.fuzz.nonsense import TEXTS, as_json, broken, damaged

STUDY = pieces.study(seeds=[0], experiments=["expB"], expE={})
DATA = Origin(name="images", official=False, content_sha256=pieces.DATA)


def _ledger(place: Path) -> Ledger:
    return pieces.ledger_on(place / "store", STUDY)


def _run(name: str = "outpost") -> Run:
    return small.run(STUDY, name)


@cache
def stocked() -> dict[str, bytes]:
    """A store with finished runs, file by file."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = _ledger(Path(folder))
        pieces.fill(ledger, [_run("baseline"), _run("outpost")])
        return pieces.content(ledger.store.root)


@cache
def exported() -> dict[str, Any]:
    """The content of a piece with two runs."""
    stocked()
    with tempfile.TemporaryDirectory() as folder:
        ledger = _ledger(Path(folder))
        pieces.fill(ledger, [_run("baseline"), _run("outpost")])
        path = pieces.export(ledger, "reference", Path(folder) / "piece.json.gz")
        return piecefile.read(path).model_dump(mode="json", by_alias=True)


def _stock(place: Path) -> Ledger:
    for name, content in stocked().items():
        path = place / "store" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return _ledger(place)


def _said(what: Callable[[], object]) -> None:
    """Do something that prints; what is printed must leave the terminal alone."""
    out, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(errors):
        what()
    for text in (out.getvalue(), errors.getvalue()):
        odd = {c for c in text if not c.isprintable() and c != "\n"}
        assert not odd, f"prints control characters {odd}"


def _use(ledger: Ledger, run: Run, place: Path) -> bool:
    """All that reads the store; whether the run's end could be used."""
    used = False

    def everything() -> None:
        nonlocal used
        console = Console(width=200, highlight=False)
        store.table(ledger, {}, console)
        record = ledger.finished(run)
        if record is not None and ledger.is_measured(run):
            finished.write(ledger, run, record, DATA, root=place / "out")
            exporting.piece(ledger, [run])
            plan.draw(ledger, console)
            used = True

    _said(everything)
    return used


# Records


def _sealed(content: bytes, field: str) -> bytes:
    """Fit the hash to a JSON text, where it is one."""
    try:
        parsed = json.loads(content)
        return json.dumps({**parsed, field: digest(parsed)}).encode()
    except (ValueError, TypeError, RecursionError):
        return content


def _of(what: str, field: str) -> dict[str, Any]:
    ledger = _ledger(Path())
    key = ledger.key(_run(), ledger.schedule(_run()).epochs)
    if what == "measurements":
        key = ledger.asked(_run(), "stability")[0].key
    parsed: dict[str, Any] = json.loads(stocked()[f"{what}/{key}.json"])
    del parsed[field]
    return parsed


def _record(random: Random) -> bytes:
    return as_json(broken(_of("states", "record_sha256"), random), random)


def _read_record(content: bytes, place: Path) -> bool:
    ledger = _stock(place)
    key = ledger.key(_run(), ledger.schedule(_run()).epochs)
    path = ledger.store.states / f"{key}.json"
    path.write_bytes(_sealed(content, "record_sha256"))
    return _use(ledger, _run(), place)


def _measurement(random: Random) -> bytes:
    return as_json(broken(_of("measurements", "sha256"), random), random)


def _read_measurement(content: bytes, place: Path) -> bool:
    ledger = _stock(place)
    first = ledger.asked(_run(), "stability")[0].key
    for key in (first, ledger.asked(_run(), "sharpness")[0].key):
        # Of either kind, whatever kind it says that it is.
        path = ledger.measurements.root / f"{key}.json"
        path.write_bytes(_sealed(content.replace(first.encode(), key.encode()), "sha256"))
    return _use(ledger, _run(), place)


# Pieces


def _piece(random: Random) -> bytes:
    return as_json(broken(exported(), random), random)


def _import(content: bytes, place: Path) -> bool:
    path = place / "piece.json.gz"
    try:
        parsed = json.loads(content)
        path.write_bytes(piecefile.pack(parsed))
    except (ValueError, RecursionError):
        path.write_bytes(gzip.compress(content, 1) if content[:1] != b"\x1f" else content)
    ledger = _ledger(place)
    try:
        import_files(ledger, [path])
    except BaseException:
        assert not pieces.content(ledger.store.root), "left something behind"
        raise
    _said(lambda: piece_commands.import_runs(ledger, [path]))
    return _use(ledger, _run(), place)


def _imported(random: Random) -> bytes:
    run = exported()["runs"][1]
    content = {"key": run["key"], "inputs": run["inputs"], "entry": run}
    return as_json(broken(content, random), random)


def _read_imported(content: bytes, place: Path) -> bool:
    ledger = _stock(place)
    key = ledger.key(_run(), ledger.schedule(_run()).epochs)
    (ledger.store.states / f"{key}.json").unlink()
    ledger.imports.root.mkdir()
    (ledger.imports.root / f"{key}.json").write_bytes(_sealed(content, "sha256"))
    return _use(ledger, _run(), place)


# Tensors

NARROW = small.params(model={"width": 1})


@cache
def _context() -> EngineContext:
    return small.context(NARROW)


@cache
def _tensors() -> dict[str, torch.Tensor]:
    engine = _context().built.engine
    tensors = state.capture(engine)
    names = [name for name, _ in engine.model.named_parameters()]
    return tensors | {f"momentum.{n}": tensors[f"model.{n}"].clone() for n in names}


DTYPES = (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool)


def _state(random: Random) -> bytes:
    tensors = dict(_tensors())
    for _ in range(random.randint(0, 2)):
        name, kind = random.choice(list(tensors)), random.randrange(8)
        tensor = tensors[name]
        if kind == 0:
            tensors[random.choice([f"model.{name}", f"{name}.x", *TEXTS[:20]])] = tensors.pop(name)
        elif kind == 1:
            del tensors[name]
        elif kind == 2:
            tensors[name] = tensor.to(random.choice(DTYPES))
        elif kind <= 4:
            shape = random.choice([(1,), (), (0,), (1, 1, 1, 1), (*tensor.shape, 1), (3, 2)])
            tensors[name] = torch.zeros(shape, dtype=tensor.dtype)
        elif kind == 5 and tensor.is_floating_point():
            value = random.choice([float("nan"), float("inf"), 1e38])
            tensors[name] = torch.full_like(tensor, value)
        elif kind == 6 and tensor.dim():
            tensors[name] = tensor.reshape(-1)
        else:
            tensors[random.choice(["model.x", "momentum.x", "x"])] = torch.zeros(3)
    content = save({name.encode("utf-8", "replace").decode(): t for name, t in tensors.items()})
    kind = random.randrange(8)
    if kind == 0:
        return damaged(content, random)
    if kind == 1:
        return _other_header(content, random)
    return content


def _other_header(content: bytes, random: Random) -> bytes:
    size = struct.unpack("<Q", content[:8])[0]
    header = as_json(broken(json.loads(content[8 : 8 + size]), random), random)
    told = random.choice([len(header)] * 4 + [0, 2**31, 2**63, 2**64 - 1])
    return struct.pack("<Q", told) + header + content[8 + size :]


def _restore(content: bytes, place: Path) -> bool:
    ledger = small.ledger(NARROW, place / "store")
    run, context = small.run(NARROW, "baseline"), _context()
    key = ledger.key(run, 3)
    record = pieces.record(key, 3, inputs=ledger.inputs(run, 3))
    record = ledger.store.save(record, pieces.holding(content))
    context.key = None
    entered = False

    def enter() -> None:
        nonlocal entered
        entered = context.enter(ledger, run, record)

    _said(enter)
    if entered:
        there = small.tensors(ledger, record)
        assert state.equal(state.capture(context.built.engine), there), (
            "other numbers than are stored"
        )
    else:
        assert key not in ledger.store
    shutil.rmtree(place / "store")
    return entered


NAMED = ("store", "piece.json.gz", "state", "measurement")
TARGETS = (
    Target("record", _record, _read_record, NAMED),
    Target("measurement", _measurement, _read_measurement, NAMED),
    Target("piece", _piece, _import, NAMED),
    Target("imported", _imported, _read_imported, NAMED),
    Target("state", _state, _restore, NAMED),
)
