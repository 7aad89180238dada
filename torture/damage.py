"""Every file damaged in turn: found on reading, set aside or refused, and made again."""

import io
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from netstab import params, paths
from netstab.data.manifest import read_manifest
from netstab.data.tensors import NAMES, load
from netstab.errors import NetstabError
from netstab.exchange import piecefile
from netstab.results.runs import Collection, collect
from netstab.store.imported import Imports
from netstab.store.measurements import Measurements
from netstab.store.states import Store
from torture.checkout import Checkout

SMALL = 1024
"""Bytes up to which a file is cut at every byte."""
Read = Callable[[], Any]
"""Reads a file: what it holds; None where it was set aside."""
LEFT = "left to dvc"
"""A file that reads as another sound one: nothing in it tells, but its hash in dvc.lock does."""


@dataclass(frozen=True)
class Target:
    """A file, how it is read, and another one of its kind.

    Attributes:
        path: of the file.
        read: reads it.
        other: a file of the same kind with other content.
        hashed: whether its content is under a hash of ours, so that nothing goes unnoticed.
        beside: files that go with it when it is set aside.
    """

    path: Path
    read: Read
    other: Path
    hashed: bool = True
    beside: tuple[Path, ...] = ()


def damages(content: bytes, draw: random.Random, count: int) -> Iterator[tuple[str, bytes]]:
    """A content, damaged in every way; where that is too much, in so many drawn ones."""
    size = len(content)
    yield "empty", b""
    yield "zeros", bytes(size)
    cuts = range(1, size) if size <= SMALL else {1, size - 1, *(_some(draw, size, count))}
    for at in cuts:
        yield "cut", content[:at]
    front = range(min(64, size))
    for at in [*front, *_some(draw, size, count)]:
        flipped = bytearray(content)
        flipped[at] ^= 1 << draw.randrange(8)
        yield "bit flipped", bytes(flipped)


def _some(draw: random.Random, size: int, count: int) -> list[int]:
    return [draw.randrange(1, size) for _ in range(count)]


def state_targets(checkout: Checkout) -> dict[str, list[Target]]:
    """Records, tensors and measurements of a store."""
    store, measurements = checkout.store, Measurements(checkout.store)
    records = [r for key in sorted(store.listing()) if (r := store.record(key))]
    files = {r.key: store.files(r) for r in records}
    found: dict[str, list[Target]] = {"record": [], "tensors": []}
    for number, record in enumerate(records):
        other = records[number - 1].key
        mine, tensors = files[record.key]
        read = _bound(store.record, record.key)
        found["record"].append(Target(mine, read, files[other][0], beside=(tensors,)))
        checked = _checked_tensors(store, record.key)
        found["tensors"].append(Target(tensors, checked, files[other][1], beside=(mine,)))
    found["measurement"] = _noted(
        measurements.root, sorted(measurements.listing()), measurements.read
    )
    return found


def targets(checkout: Checkout, imported: Checkout, piece: Path) -> dict[str, list[Target]]:
    """What is damaged, by kind; `imported` has a store into which `piece` was imported."""
    found, imports = state_targets(checkout), Imports(imported.store)
    found["imported run"] = _noted(imports.root, sorted(imports.listing()), imports.run)
    arrays = [checkout.root / paths.PREPARED / f"{name}.npy" for name in NAMES]
    found["images"] = [
        Target(path, _arrays(checkout), arrays[n - 1]) for n, path in enumerate(arrays)
    ]
    manifest = checkout.root / paths.MANIFEST
    other = checkout.root / paths.PARAMS
    found["manifest"] = [Target(manifest, _manifest(checkout), other, hashed=False)]
    found["piece"] = [Target(piece, lambda: piecefile.read(piece), manifest)]
    found["run file"] = [
        Target(
            path,
            _collected(checkout),
            path.parents[1] / _other_run(path.parent.name) / path.name,
            hashed=False,
        )
        for path in sorted((checkout.root / paths.RUNS).glob("*/*"))
    ]
    return found


def _other_run(name: str) -> str:
    return "baseline-0" if name == "outpost-0" else "outpost-0"


def _noted(root: Path, keys: list[str], read: Callable[[str], Any]) -> list[Target]:
    files = [root / f"{key}.json" for key in keys]
    return [
        Target(file, _bound(read, file.stem), files[number - 1])
        for number, file in enumerate(files)
    ]


def _bound(read: Callable[[str], Any], key: str) -> Read:
    return lambda: read(key)


def _checked_tensors(store: Store, key: str) -> Read:
    def read() -> bytes | None:
        record = store.record(key)
        path = store.tensors_file(record) if record else None
        return path.read_bytes() if path else None

    return read


def _arrays(checkout: Checkout) -> Read:
    def read() -> list[bytes]:
        loaded = load(read_manifest(checkout.root), checkout.root)
        return [np.ascontiguousarray(getattr(loaded, name)).tobytes() for name in NAMES]

    return read


def _manifest(checkout: Checkout) -> Read:
    """Read as a trainer does: with the images that it describes."""

    def read() -> Any:
        manifest = read_manifest(checkout.root)
        load(manifest, checkout.root)
        return manifest

    return read


def _collected(checkout: Checkout) -> Read:
    """Read as the report does; what cannot be used is named there."""
    content = params.read(checkout.root / paths.PARAMS)

    def read() -> Any:
        os.chdir(checkout.root)
        found: Collection = collect(content)
        if found.faults:
            raise NetstabError("; ".join(map(str, found.faults)))
        return (
            [table.to_csv() for table in (*found.histories.values(), *found.stability.values())],
            [repr(one) for one in found.provenance.values()],
            [repr(one) for one in found.sharpness.values()],
        )

    return read


@dataclass
class Damage:
    """What came of damaging files of one kind."""

    draw: random.Random
    count: int
    seen: Counter[str]
    problems: list[str]

    def one(self, target: Target, damaged_folder: Path) -> None:
        """Damage a file in every way, read it each time, and put it back."""
        sound = {path: path.read_bytes() for path in (target.path, target.other, *target.beside)}
        content, before = sound[target.path], target.read()
        ways = [*damages(content, self.draw, self.count), ("another's", sound[target.other])]
        for way, damaged in ways:
            if damaged != content:
                self._try(target, way, {target.path: damaged}, before)
                _put_back(sound, damaged_folder)
        swapped = {target.path: sound[target.other], target.other: content}
        if sound[target.other] != content:
            self._try(target, "swapped", swapped, before)
            _put_back(sound, damaged_folder)

    def _try(self, target: Target, way: str, contents: dict[Path, bytes], before: Any) -> None:
        for path, content in contents.items():
            path.write_bytes(content)
        warnings = io.StringIO()
        try:
            with redirect_stderr(warnings):
                found = target.read()
        except NetstabError as refused:
            answer = "refused"
            if not str(refused):
                self.problems.append(f"{target.path.name}, {way}: refused without a word")
        except Exception as error:
            answer = "crashed"
            self.problems.append(f"{target.path.name}, {way}: {error!r}")
        else:
            answer = "set aside" if found is None else "same" if found == before else LEFT
            if answer == "set aside" and "is set aside in" not in warnings.getvalue():
                self.problems.append(f"{target.path.name}, {way}: set aside without a word")
            if answer == LEFT and target.hashed:
                self.problems.append(f"{target.path.name}, {way}: read as if it were sound")
        self.seen[answer] += 1
        self.seen["damages"] += 1


def _put_back(sound: dict[Path, bytes], damaged_folder: Path) -> None:
    for path, content in sound.items():
        path.write_bytes(content)
    shutil.rmtree(damaged_folder, ignore_errors=True)


def damage_files(
    kind: str, found: list[Target], store: Store, draw: random.Random, count: int, most: int
) -> dict[str, Any]:
    """Damage up to `most` files of a kind, each in every way; a row of what came out."""
    tried = Damage(draw, count, Counter(), [])
    chosen = found if len(found) <= most else draw.sample(found, most)
    for target in chosen:
        tried.one(target, store.damaged)
    row: dict[str, Any] = {"kind": kind, "files": len(chosen), **tried.seen}
    return row | ({"problems": tried.problems[:20]} if tried.problems else {})
