"""The command's store, served to nodes that do not see it: whole, checked, or not at all."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from netstab.errors import StoreError
from netstab.locks import locked
from netstab.store.records import Record
from netstab.store.states import Store
from netstab.sweep.events import WorkerEvent
from netstab.sweep.ray.folders import private_folder
from netstab.sweep.ray.marks import collect_marks, has_mark, marked
from netstab.sweep.ray.start import collect_folders
from netstab.sweep.ray.store_server import StoreServer
from tests import pieces
from tests.pieces import mark

KEY = "a" * 64


def saved(store: Store) -> Record:
    return store.save(pieces.record(), pieces.holding(b"tensors"))


def test_a_store_is_known_by_the_commands_mark_and_by_nothing_else(tmp_path: Path) -> None:
    path = mark(tmp_path / "store", "token")
    assert has_mark(tmp_path / "store", "token")
    assert not has_mark(tmp_path / "store", "other") and not has_mark(tmp_path, "token")
    path.unlink()
    assert not has_mark(tmp_path / "store", "token")
    with pytest.raises(StoreError, match="is another folder"):
        StoreServer(tmp_path / "store", "token")


def old(path: Path, seconds: float) -> Path:
    os.utime(path, (time.time() - seconds,) * 2)
    return path


def test_a_mark_stays_as_long_as_its_command_and_is_collected_if_that_was_killed(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "drivers"
    killed, young = mark(tmp_path, "killed"), mark(tmp_path, "young")
    old(killed, 7200)
    with marked(tmp_path, "alive"):
        assert not killed.exists() and young.exists() and has_mark(tmp_path, "alive")
        old(folder / "alive", 7200)
        collect_marks(tmp_path)
        assert has_mark(tmp_path, "alive"), "a command at work has lost its mark"
    assert list(folder.iterdir()) == [young]
    with pytest.raises(KeyboardInterrupt), marked(tmp_path, "stopped"):
        raise KeyboardInterrupt
    assert list(folder.iterdir()) == [young]


def test_a_killed_commands_folder_is_collected_and_no_other(tmp_path: Path) -> None:
    made = {name: tmp_path / f"netstab-ray-{name}" for name in ("killed", "alive", "young", "none")}
    for name, folder in made.items():
        folder.mkdir()
        if name != "none":
            (folder / "lock").touch()
    (tmp_path / "netstab-ray-link").symlink_to(made["none"])
    with locked(made["alive"] / "lock"):
        for name in ("killed", "alive", "none"):
            old(made[name], 7200)
        collect_folders(tmp_path)
    left = {name for name, folder in made.items() if folder.exists()}
    assert left == {"alive", "young", "none"}


def test_a_state_comes_and_goes_whole(tmp_path: Path) -> None:
    mark(tmp_path / "here", "token")
    server = StoreServer(tmp_path / "here", "token")
    record = saved(Store(tmp_path / "there"))
    assert not server.was_used()
    server.save(record, b"tensors")
    assert server.was_used(), "nobody would clear the nodes"
    assert server.tensors(KEY, record.sha256) == b"tensors"
    assert (server.record(KEY), server.keys()) == (record, {KEY})
    assert server.tensors(KEY, "0" * 64) is None, "another state than was asked for"
    server.remove(KEY)
    assert server.record(KEY) is None and server.tensors(KEY, record.sha256) is None


def test_what_was_damaged_on_its_way_is_refused_and_nothing_stays(tmp_path: Path) -> None:
    mark(tmp_path / "here", "token")
    server = StoreServer(tmp_path / "here", "token")
    record = saved(Store(tmp_path / "there"))
    with pytest.raises(StoreError, match="damaged on its way"):
        server.save(record, b"tensorz")
    assert not server.keys() and server.tensors(KEY, record.sha256) is None
    with pytest.raises(StoreError, match="damaged on its way"):
        server.save(replace(record, sha256="0" * 64), b"tensors")


def test_measurements_are_saved_and_reports_are_taken_once_in_order(tmp_path: Path) -> None:
    mark(tmp_path, "token")
    server = StoreServer(tmp_path, "token")
    server.save_measurement(KEY, {"measure": "sharpness"}, {"rows": [], "provenance": {}})
    assert server.measured([KEY, "b" * 64]) == {KEY}
    events = [WorkerEvent(0, "baseline-0", epoch, "") for epoch in range(3)]
    for event in events:
        server.report(event)
    server.report("warning: a line")
    assert server.take_reports() == [*events, "warning: a line"] and server.take_reports() == []


def test_copies_lie_where_only_their_owner_can_look(tmp_path: Path) -> None:
    assert private_folder(tmp_path / "copies").stat().st_mode & 0o777 == 0o700
    with pytest.raises(StoreError):
        private_folder(tmp_path / "none" / "copies")
