"""A file that is no sound piece is refused by name, and leaves nothing in the store."""

import errno
import gzip
import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from netstab.data.dataset import Dataset
from netstab.errors import NetstabError, StoreError
from netstab.exchange import exporting, piecefile
from netstab.exchange.importing import import_files
from netstab.params import check
from netstab.store.ledger import Ledger
from netstab.store.states import Store
from netstab.study.experiments import Run, variants
from tests import pieces, small
from tests.pieces import DATA, content, ledger_on, study

# Damaged, foreign, hostile

CHANGES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "another learning rate": (
        lambda p: p["runs"][0]["inputs"]["schedule"][0]["settings"].update(stem=0.2),
        "its key is not the hash of what determines it",
    ),
    "no schedule": (lambda p: p["runs"][0]["inputs"].pop("schedule"), "its key is not the hash"),
    "a shorter history": (lambda p: p["runs"][0]["history"].pop(), "not one row for each of 10"),
    "a history in another order": (lambda p: p["runs"][0]["history"].reverse(), "not one row"),
    "a column less": (lambda p: p["runs"][0]["history"][4].pop("val_loss"), "other columns"),
    "a text for a number": (
        lambda p: p["runs"][0]["history"][4].update(val_loss="1.0"),
        r"runs.0.history.4.val_loss",
    ),
    "a state of another run": (
        lambda p: p["runs"][0]["way"][0].update(key="a" * 64),
        "the state at epoch 3 is not on its way",
    ),
    "two hashes of its end": (
        lambda p: p["runs"][0].update(tensors_sha256="a" * 64),
        "its last state has two hashes",
    ),
    "a name that is a path": (lambda p: p["runs"][0].update(run="../../etc"), "runs.0.run"),
    "a field more": (lambda p: p["runs"][0].update(more=1), "runs.0.more: Extra"),
    "no provenance": (lambda p: p["runs"][0].update(provenance=[]), "runs.0.provenance"),
    "no runs": (lambda p: p.update(runs=[]), "runs: List should have at least 1"),
    "other images within": (lambda p: p.update(data="e" * 64), "trained on other images"),
    "a measurement of another state": (
        lambda p: p["measurements"][0]["inputs"].update(state="a" * 64),
        "a measurement's key is not the hash",
    ),
    "a measurement without rows": (
        lambda p: p["measurements"][0]["entry"].update(rows=1),
        "a measurement has no rows",
    ),
    **{
        f"a measurement of {measure!r}": (
            lambda p, measure=measure: p["measurements"][0]["inputs"].update(measure=measure),
            "a measurement is of no known measure",
        )
        for measure in ("other", None, ["stability"], {"stability": 1})
    },
    "versions of other measures": (
        lambda p: p["measures"].update(other=1),
        "it does not state a version of each measure",
    ),
    "no version of a measure": (
        lambda p: p["measures"].pop("field"),
        "it does not state a version of each measure",
    ),
    "a measurement with other columns": (
        lambda p: p["measurements"][0]["entry"]["rows"][0].update(more=1.0),
        "stability has other columns",
    ),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_piece_that_contradicts_itself_is_refused_whole(
    kind: str, made: Callable[..., Path], here: Ledger, tmp_path: Path
) -> None:
    how, said = CHANGES[kind]
    path = pieces.change(made("reference"), tmp_path / "changed.json.gz", how)
    with pytest.raises(StoreError, match=said) as refused:
        import_files(here, [made("expB"), path])
    assert str(refused.value).startswith(f"{path}: ")
    assert content(here.store.root) == {}


def sealed(**changes: Any) -> bytes:
    whole = {"format": "netstab piece", "version": 2, "sha256": "", "content": {}} | changes
    return gzip.compress(json.dumps(whole).encode())


def flipped(path: Path) -> bytes:
    text = bytearray(gzip.decompress(path.read_bytes()))
    at = text.index(b'"seconds": 2.5') + 11
    text[at : at + 3] = b"9.5"
    return gzip.compress(bytes(text))


def many_members(path: Path) -> bytes:
    return path.read_bytes() + gzip.compress(b"{}")


FILES: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "empty": (lambda path: b"", "is cut short"),
    "cut": (lambda path: path.read_bytes()[:-9], "is cut short"),
    "a byte flipped": (lambda path: path.read_bytes()[:99] + b"x" + path.read_bytes()[100:], "is"),
    "a number changed": (flipped, r"is damaged \(its hash is another one\)"),
    "something behind": (many_members, "has something behind its end"),
    "no gzip": (lambda path: b"PK\3\4" + bytes(99), "is damaged, or no piece of a study"),
    "a pickle": (lambda path: gzip.compress(b"cos\nsystem\n(S'true'\ntR."), "is damaged, or no"),
    "another json": (lambda path: gzip.compress(b"[1, 2]"), "was not written by netstab"),
    "another format": (lambda path: sealed(format="x"), "was not written by netstab"),
    "another version": (lambda path: sealed(version=9), "has format version 9"),
    "not a number": (lambda path: gzip.compress(b'{"a": NaN}'), "NaN is not a finite number"),
    "infinity": (lambda path: gzip.compress(b'{"a": 1e999}'), "1e999 is not a finite number"),
    "a huge number": (lambda path: gzip.compress(b"9" * 4000), "is too large a number"),
    "a deep nest": (lambda path: gzip.compress(b"[" * 100_000), "is damaged, or no piece"),
    "many lists": (lambda path: gzip.compress(b"[[]" + b",[]" * 2_000_001), "too many values"),
    "a bomb": (lambda path: bomb(), "unpacks to more than"),
    "a large file": (lambda path: bytes(piecefile.MOST_FILE + 1), "is larger than 16 MiB"),
}


def bomb() -> bytes:
    packer = zlib.compressobj(wbits=31)
    parts = [packer.compress(bytes(2**20)) for _ in range(piecefile.MOST_TEXT // 2**20 + 1)]
    return b"".join([*parts, packer.flush()])


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_is_no_sound_piece_is_refused_by_name(
    kind: str, made: Callable[..., Path], here: Ledger
) -> None:
    damage, said = FILES[kind]
    path = made("reference")
    path.write_bytes(damage(path))
    with pytest.raises(StoreError, match=said) as refused:
        import_files(here, [path])
    assert str(refused.value).startswith(f"{path}: ")
    assert len(str(refused.value)) < len(str(path)) + 200
    assert content(here.store.root) == {}


def test_a_piece_of_other_images_is_refused(made: Callable[..., Path], here: Ledger) -> None:
    other = ledger_on(here.store.root, data="e" * 64)
    with pytest.raises(StoreError, match=r"on other images: .* dddddddddddd.* eeeeeeeeeeee"):
        import_files(other, [made("reference")])
    nothing = Ledger(study(), Dataset(None, 1, 3, 6), here.store, 1)
    with pytest.raises(StoreError, match="dvc repro data"):
        import_files(nothing, [made("reference")])


def test_a_disk_that_fills_leaves_nothing_of_an_import(
    made: Callable[..., Path], here: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [made("reference"), made("expB")]
    whole = ledger_on(here.store.root.parent / "counted")
    outcome = import_files(whole, parts)
    fsync, synced = os.fsync, 0

    def fills_up(number: int) -> None:
        nonlocal synced
        synced += 1
        if synced == outcome.measurements + len(outcome.new):
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(number)

    monkeypatch.setattr(os, "fsync", fills_up)
    with pytest.raises(StoreError, match="No space left"):
        import_files(here, parts)
    assert content(here.store.root) == {}
    monkeypatch.undo()
    assert len(import_files(here, parts).new) == len(outcome.new)


# Files


def test_the_same_piece_makes_the_same_file_in_a_folder_under_its_hash(
    made: Callable[..., Path], tmp_path: Path
) -> None:
    piece = piecefile.read(made("reference"))
    first = piecefile.write(piece, tmp_path / "folder")
    before = first.read_bytes()
    assert piecefile.write(piece, tmp_path / "folder") == first
    assert first.read_bytes() == before
    assert piecefile.found([tmp_path / "folder", first]) == [first]
    (tmp_path / "empty").mkdir()
    with pytest.raises(NetstabError, match=r"empty: has no file that ends in \.json\.gz"):
        piecefile.found([tmp_path / "empty"])
    with pytest.raises(NetstabError, match="name a folder, or a file that ends"):
        piecefile.write(piece, tmp_path / "piece.json")
    with pytest.raises(StoreError, match="none: cannot be read"):
        piecefile.read(tmp_path / "none")


def test_a_seed_of_the_article_is_one_small_file(tmp_path: Path) -> None:
    params = check(small.content(seeds=[0], runtime={"device": "cpu"}))
    ledger = Ledger(params, Dataset(DATA, 50_000, 3, 10), Store(tmp_path), 1, small.VERSIONS)
    chosen = [Run(variant, 0) for variant in variants(params)]
    pieces.fill(ledger, chosen)
    path = piecefile.write(exporting.piece(ledger, chosen), tmp_path / "seed")
    assert len(chosen) == 27
    assert path.stat().st_size < 8 * 2**20
    assert len(piecefile.read(path).runs) == 27
