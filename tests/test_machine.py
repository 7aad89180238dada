"""What a sweep plans with: cores and memory within the limits of control groups."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from netstab import machine
from netstab.sweep.jobs import jobs
from netstab.sweep.local import calibration
from tests import small

MIB = 2**20


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen cores, 64 GiB, and control groups below a folder of the test."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    memory = SimpleNamespace(available=64 * 1024 * MIB)
    monkeypatch.setattr("psutil.virtual_memory", lambda: memory)
    monkeypatch.setattr(machine, "MEMBERSHIP", tmp_path / "self")
    monkeypatch.setattr(machine, "CGROUPS", tmp_path / "cgroup")


def told(tmp_path: Path, membership: str, **files: str) -> None:
    """Write what the kernel would show: files by their paths, `/` as two underlines."""
    (tmp_path / "self").write_text(membership)
    for name, text in files.items():
        path = tmp_path / "cgroup" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")


def test_without_limits_all_of_the_machine_is_used(tmp_path: Path) -> None:
    assert (machine.usable_cores(), machine.available_memory()) == (16, 64 * 1024 * MIB)
    told(
        tmp_path,
        "5:cpu,cpuacct:/\n4:memory:/\n0::/\n",
        **{
            "cpu.max": "max 100000",
            "memory.max": "max",
            "memory.current": "5",
            "cpu__cpu.cfs_quota_us": "-1",
            "cpu__cpu.cfs_period_us": "100000",
            "memory__memory.limit_in_bytes": "9223372036854771712",
            "memory__memory.usage_in_bytes": "5",
        },
    )
    assert (machine.usable_cores(), machine.available_memory()) == (16, 64 * 1024 * MIB)


def test_limits_of_a_container_are_kept(tmp_path: Path) -> None:
    told(
        tmp_path,
        "0::/\n",
        **{
            "cpu.max": "150000 100000",
            "memory.max": str(650 * MIB),
            "memory.current": str(500 * MIB),
            "memory.stat": f"anon 1\ninactive_file {200 * MIB}",
        },
    )
    assert machine.usable_cores() == 2
    assert machine.available_memory() == 350 * MIB, "cached files can be dropped"


def test_limits_of_an_outer_group_hold_within(tmp_path: Path) -> None:
    told(
        tmp_path,
        "0::/jobs/one\n",
        **{
            "cpu.max": "max 100000",
            "jobs__cpu.max": "400000 100000",
            "jobs__one__cpu.max": "800000 100000",
            "jobs__memory.max": str(900 * MIB),
            "jobs__memory.current": str(MIB),
            "jobs__one__memory.max": str(700 * MIB),
            "jobs__one__memory.current": str(MIB),
        },
    )
    assert (machine.usable_cores(), machine.available_memory()) == (4, 699 * MIB)


def test_limits_of_version_1_are_kept_whatever_the_group_is_called_outside(tmp_path: Path) -> None:
    told(
        tmp_path,
        "11:memory:/docker/abc\n3:cpuacct,cpu:/docker/abc\n2:cpuset:/docker/abc\n",
        **{
            "cpu__cpu.cfs_quota_us": "300000",
            "cpu__cpu.cfs_period_us": "100000",
            "memory__memory.limit_in_bytes": str(650 * MIB),
            "memory__memory.usage_in_bytes": str(600 * MIB),
            "memory__memory.stat": f"inactive_file 0\ntotal_inactive_file {50 * MIB}",
        },
    )
    assert (machine.usable_cores(), machine.available_memory()) == (3, 100 * MIB)


def test_in_a_small_container_a_sweep_tries_no_second_process(tmp_path: Path) -> None:
    told(
        tmp_path,
        "0::/\n",
        **{"memory.max": str(650 * MIB), "memory.current": "0", "cpu.max": "200000 100000"},
    )
    ledger = small.ledger(small.params(runtime={"threads": None}), tmp_path / "store")
    assert calibration.possible_sizes(ledger, jobs(ledger)) == [calibration.PoolSize(1, 2)]
