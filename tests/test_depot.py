"""The command's store, served to nodes that do not see it: whole, checked, or not at all."""

from dataclasses import replace
from pathlib import Path

import pytest

from netstab.cluster.depot import Depot, mark, private_folder, sees
from netstab.errors import StoreError
from netstab.training.store import Record, Store
from netstab.training.worker import Said

KEY = "a" * 64


def saved(store: Store, content: bytes = b"tensors") -> Record:
    rows = [{"epoch": epoch} for epoch in range(3)]
    record = Record(KEY, "baseline-0", 3, {}, rows, [], interim=False)

    def write(path: Path) -> None:
        path.write_bytes(content)

    return store.save(record, write)


def test_a_store_is_known_by_the_commands_mark_and_by_nothing_else(tmp_path: Path) -> None:
    path = mark(tmp_path / "store", "token")
    assert sees(tmp_path / "store", "token")
    assert not sees(tmp_path / "store", "other") and not sees(tmp_path, "token")
    path.unlink()
    assert not sees(tmp_path / "store", "token")
    with pytest.raises(StoreError, match="is another folder"):
        Depot(tmp_path / "store", "token")


def test_a_state_comes_and_goes_whole(tmp_path: Path) -> None:
    mark(tmp_path / "here", "token")
    depot = Depot(tmp_path / "here", "token")
    record = saved(Store(tmp_path / "there"))
    depot.take(record, b"tensors")
    assert depot.tensors(KEY, record.sha256) == b"tensors"
    assert (depot.record(KEY), depot.keys()) == (record, {KEY})
    assert depot.tensors(KEY, "0" * 64) is None, "another state than was asked for"
    depot.remove(KEY)
    assert depot.record(KEY) is None and depot.tensors(KEY, record.sha256) is None


def test_what_was_damaged_on_its_way_is_refused_and_nothing_stays(tmp_path: Path) -> None:
    mark(tmp_path / "here", "token")
    depot = Depot(tmp_path / "here", "token")
    record = saved(Store(tmp_path / "there"))
    with pytest.raises(StoreError, match="damaged on its way"):
        depot.take(record, b"tensorz")
    assert not depot.keys() and depot.tensors(KEY, record.sha256) is None
    with pytest.raises(StoreError, match="damaged on its way"):
        depot.take(replace(record, sha256="0" * 64), b"tensors")


def test_measurements_are_noted_and_news_is_told_once_in_order(tmp_path: Path) -> None:
    mark(tmp_path, "token")
    depot = Depot(tmp_path, "token")
    depot.note(KEY, {"measure": "sharpness"}, {"rows": [], "provenance": {}})
    assert depot.measured([KEY, "b" * 64]) == {KEY}
    news = [Said(0, "baseline-0", epoch, "") for epoch in range(3)]
    for said in news:
        depot.say(said)
    depot.say("warning: a line")
    assert depot.heard() == [*news, "warning: a line"] and depot.heard() == []


def test_copies_lie_where_only_their_owner_can_look(tmp_path: Path) -> None:
    assert private_folder(tmp_path / "copies").stat().st_mode & 0o777 == 0o700
    with pytest.raises(StoreError):
        private_folder(tmp_path / "none" / "copies")
