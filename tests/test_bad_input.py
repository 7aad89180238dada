"""Generated bad input: refused by name, set aside, or used rightly; and what it once came to."""

import json
import pickle
import struct
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from safetensors.torch import save

from netstab import params
from netstab.data import cifar, pickles
from netstab.errors import DataError, NetstabError, ParameterError
from netstab.params import check
from netstab.plain_json import digest
from netstab.results.schema import measurement_fault
from netstab.store.states import Store
from netstab.training import state
from tests import pieces, small
from torture.fuzz import results
from torture.fuzz.bounds import Tally, canary, judge
from torture.fuzz.drawn import drawn
from torture.fuzz.settings import LAUGHS
from torture.fuzz.targets import TARGETS

EXAMPLES = {"params": 100, "params-text": 100}
EXAMPLES |= {"pickle": 40, "image": 40, "manifest": 30, "archive": 25, "results": 3}
"""Inputs of a target here; `python -m torture.fuzz` tries thousands."""


@pytest.mark.parametrize("name", TARGETS)
def test_bad_input_is_refused_by_name_or_used_rightly(name: str, tmp_path: Path) -> None:
    tally = drawn(TARGETS[name], EXAMPLES.get(name, 6), 1, tmp_path / "input")
    assert not tally.findings
    assert tally.refused


def test_a_tables_header_is_broken_as_often_as_its_rows() -> None:
    lines = ["a,b,c", *["1,2,3"] * 20]
    tables = [results._table("\n".join(lines), Random(number)) for number in range(200)]
    assert sum(not table.startswith(b"a,b,c\n") for table in tables) > 30


def test_the_guard_sees_code_files_and_processes(tmp_path: Path) -> None:
    def feed(content: bytes, _: Path) -> bool:
        exec(content.decode(), {"canary": canary, "away": str(tmp_path / "away")})
        return True

    target = replace(TARGETS["pickle"], feed=feed)
    outside = f"{tmp_path / 'away'}"
    for code, said in {
        "canary(1)": "executed",
        "open(away, 'w')": f"open outside: {outside}",
        "import os; os.mkdir(away)": f"os.mkdir outside: {outside}",
        "import subprocess; subprocess.run(['true'])": "subprocess.Popen",
        "[][1]": "IndexError",
        "x = bytearray(b'x') * (600 * 2**20)": "MiB of memory",
    }.items():
        wrong = judge(target, code.encode(), tmp_path / "in", Tally())
        assert wrong is not None
        assert said in wrong.replace("...", "tmp"), code
    assert not (tmp_path / "away").exists()
    assert judge(target, b"pass", tmp_path / "in", Tally()) is None


# Pickles

DTYPE = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR"
LATIN1 = b"c_codecs\nencode\nq\x00X\x00\x00\x01\x00" + b"x" * 65536 + b"q\x01X\x06\0\0\0latin1q\x02"
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n)R"
HOSTILE = {
    "room for more bytes than there are": (
        b"\x80\x05\x96" + struct.pack("<Q", 2**33) + b"x.",
        "it ends within bytes",
    ),
    "tuples in tuples as a key": (
        b"\x80\x04}N" + b"\x85" * 300_000 + b"Ns.",
        "neither text nor a number",
    ),
    "tuples in tuples in a mapping": (
        b"\x80\x04(N" + b"\x85" * 300_000 + b"Nd.",
        "neither text nor a number",
    ),
    "a set": (b"\x80\x04\x8f(N" + b"\x85" * 300_000 + b"\x90.", "KeyError"),
    "a text encoded over and over": (
        LATIN1 + b"000" + b"h\x00h\x01h\x02\x86R" * 3 + b".",
        "it encodes a text again and again",
    ),
    "a shape of many dimensions": (
        RECONSTRUCT + b"(K\x01(" + b"K\x01" * 9 + b"t" + DTYPE + b"I00\nC\x01atb.",
        "an array whose shape is none",
    ),
    "a long key": (b"}X\xff\xff\x00\x00" + b"x" * 65535 + b"Ns.", "longer than any"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_pickle_cannot_take_memory_time_or_the_interpreter(kind: str, tmp_path: Path) -> None:
    # In a process of its own, which a failure would end.
    content, said = HOSTILE[kind]
    path = tmp_path / "pickle"
    path.write_bytes(content)
    code = f"""
import sys
from netstab.data import pickles
from netstab.errors import DataError
try:
    pickles.load(open({str(path)!r}, "rb").read(), "batch")
except DataError as error:
    sys.exit({said!r} not in str(error) and str(error) or 0)
sys.exit("accepted")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_pickle_of_endless_instructions_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"\x80\x04}" + b"N0" * 500 + b"."
    monkeypatch.setattr(pickles, "MOST_STEPS", 1003)
    assert pickles.load(content, "batch") == {}
    monkeypatch.setattr(pickles, "MOST_STEPS", 1002)
    with pytest.raises(DataError, match="it has more than 1,002 instructions"):
        pickles.load(content, "batch")


def batches_with(content: bytes, name: str) -> cifar.Batches:
    found = cifar.Batches(Path("source"), 8)
    for file in ("batches.meta", *(f"data_batch_{n}" for n in range(1, 6)), "test_batch"):
        meta = {"label_names": ["a"]}
        found.add(file, content if file == name else pickle.dumps(meta))
    return found


def test_a_label_of_thousands_of_digits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="label of many digits of image 0 is out of range"):
        cifar._labels("batch", "labels", [10**5000], 10)


def test_a_list_with_one_long_name_many_times_is_refused_before_it_is_read() -> None:
    names = pickle.dumps({"label_names": [b"x" * 10**6] * 1000})
    started = time.monotonic()
    with pytest.raises(DataError, match="more than 300 characters"):
        batches_with(names, "batches.meta").tensors("cifar10")
    assert time.monotonic() - started < 5


def test_names_of_classes_hold_no_commands_for_the_terminal() -> None:
    names = pickle.dumps({"label_names": ["a\x1b[31m"]})
    with pytest.raises(DataError, match="control characters"):
        batches_with(names, "batches.meta").tensors("cifar10")


def test_batches_that_do_not_fit_into_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar, "MAX_BYTES", 2500)
    found = cifar.Batches(Path("source"), 8)
    found.add("a/data_batch_1", bytes(2000))
    with pytest.raises(DataError, match="b/data_batch_1: more images than fit into memory"):
        found.add("b/data_batch_1", bytes(2000))


def test_an_official_batch_is_far_below_every_limit() -> None:
    labels = [n % 100 for n in range(50_000)]
    names = [f"image_s_{n:06}.png" for n in labels]
    for protocol in (0, 2, 4):
        content = {"labels": labels, "filenames": names}
        assert pickles.load(pickle.dumps(content, protocol), "train")["labels"] == labels
    # Numpy's own scalars, in the protocol that needs most instructions for them.
    content = {"labels": [np.int64(label) for label in labels], "filenames": names}
    assert pickles.load(pickle.dumps(content, 0), "train")["labels"] == labels
    assert pickles.MOST_STEPS >= 5 * 400_000


# Parameters


def test_brackets_in_brackets_cost_no_time(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("a: " + "[" * 5000)
    started = time.monotonic()
    with pytest.raises(ParameterError, match="more than 100 brackets in brackets"):
        params.read(path)
    assert time.monotonic() - started < 2


def test_a_huge_file_of_parameters_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("a: 1\n" * 100_000)
    with pytest.raises(ParameterError, match="more than 262,144 characters"):
        params.read(path)


def test_a_value_that_is_huge_by_reference_is_refused_before_it_is_made(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(f"{LAUGHS}\nown: *a11\n")
    with pytest.raises(ParameterError, match=r"line 2: an alias \(\*a0\)"):
        params.read(path)


@pytest.mark.parametrize("depth", [3, 90, 50_000])
def test_a_value_that_is_large_or_deep_is_not_written_out(depth: int) -> None:
    deep: object = ["x"] * 1000
    for _ in range(depth):
        deep = [deep]
    with pytest.raises(ParameterError) as refused:
        check(small.content(train={"learning_rate": deep}, own={"a": deep}))
    assert "train.learning_rate" in str(refused.value)
    assert len(str(refused.value)) < 2000


def test_messages_hold_no_commands_for_the_terminal() -> None:
    assert str(NetstabError("a\x1b[31m\x9b\u202eb\nü")) == "a\\x1b[31m\\x9b\\u202eb\nü"


# The store: whoever can write it can fit every hash


RECORDS: dict[str, dict[str, object]] = {
    "a name with escapes": {"run": "\x1b[31mx"},
    "a name of a path": {"run": "../x"},
    "no history": {"history": []},
    "rows of other columns": {"history": [row | {"x": 1} for row in pieces.history("a", 3)]},
    "a loss without an end": {
        "history": [row | {"val_loss": float("inf")} for row in pieces.history("a", 3)]
    },
    "a text for a number": {"size": "5"},
    "a number out of all bounds": {"size": 10**4000},
    "nested without end": {"inputs": json.loads("[" * 200 + "]" * 200)},
    "a list for a device": {"provenance": [{**pieces.provenance(3, "here")[0], "device": []}]},
    "endless seconds": {
        "provenance": [{**pieces.provenance(3, "here")[0], "seconds": float("inf")}]
    },
}


@pytest.mark.parametrize("kind", [None, *RECORDS])
def test_a_record_that_means_no_good_is_set_aside(
    kind: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = asdict(pieces.record(sha256="b" * 64, size=5))
    store, content = Store(tmp_path), sound | (RECORDS[kind] if kind else {})
    store.states.mkdir()
    path = store.states / f"{'a' * 64}.json"
    path.write_text(json.dumps({**content, "record_sha256": digest(content)}))
    assert (store.record("a" * 64) is None) == (kind is not None)
    assert ("aaaaaaaaaaaa is set aside" in capsys.readouterr().err) == (kind is not None)


def test_json_nested_beyond_the_interpreter_is_set_aside(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.states.mkdir()
    (store.states / f"{'a' * 64}.json").write_text("[" * 100_000)
    assert store.record("a" * 64) is None
    assert not store.listing()


STATES = {
    "one number for a layer": {"model.stem.0.weight": torch.zeros(1)},
    "another dtype": {"model.stem.0.weight": torch.zeros(2, 3, 3, 3, dtype=torch.float64)},
    "a tensor more": {"momentum.x": torch.zeros(1)},
}


@pytest.mark.parametrize("kind", [None, *STATES])
def test_tensors_of_another_network_are_set_aside(
    kind: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = small.engine(small.params())
    sound = state.capture(engine)
    changes = STATES[kind] if kind else {}
    name = next(n for n in sound if n.startswith("model.stem") and n.endswith("weight"))
    tensors = sound | {n if n == "momentum.x" else name: t for n, t in changes.items()}
    store = Store(tmp_path)
    kept = store.save(pieces.record(), pieces.holding(save(tensors)))
    found = state.read_checked(store, kept, lambda held: state.fits(engine.model, held))
    assert (found is None) == (kind is not None)
    said = "its tensors are not those of this network"
    assert (said in capsys.readouterr().err) == (kind is not None)
    assert (kept.key in store) == (kind is None)


def test_a_measurement_of_another_kind_is_none() -> None:
    told = {"device": "x", "torch": "x", "seconds": 1.0}
    assert measurement_fault("ceiling", {"rows": [], "provenance": told}) is None
    for entry, said in (
        ({"rows": [{"x": 1}], "provenance": told}, "other columns"),
        ({"rows": [{"x": []}], "provenance": told}, "rows in rows"),
        ({"rows": [], "provenance": {**told, "device": []}}, "no provenance"),
    ):
        assert said in str(measurement_fault("stability", entry))
    assert "no protocol" in str(measurement_fault("sharpness", {"rows": [], "provenance": told}))
