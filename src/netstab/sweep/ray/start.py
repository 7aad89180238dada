"""Ray, started here for one command or joined where it is; left as it was found.

Ray is imported in here only, after what it reads from the environment is set.
"""

import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import netstab
from netstab import paths, stops
from netstab.errors import NetstabError
from netstab.files import ABANDONED_S
from netstab.locks import is_locked, locked
from netstab.source_code import roots
from netstab.sweep.output import first_line
from netstab.sweep.ray.folders import old_folders

LOCAL = {
    # The switch that Ray has for firewalls that ask: every port of a Ray that is started on this
    # machine is bound to the loopback interface.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_enable_metrics_collection": "0",
    # Ray's own are 15, which leaves a busy machine to all others, and 60 s, in which a process
    # that yields to them may not even have started.
    "RAY_worker_niceness": "0",
    "RAY_worker_register_timeout_seconds": "300",
}
TRIES = 20
"""How often a job is begun again whose node or process was lost."""
NOSET = "RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"
ALWAYS = {
    # Ray's own is without end, where a task needs more memory than any node has.
    "RAY_task_oom_retries": str(TRIES),
    "RAY_USAGE_STATS_ENABLED": "0",
    # A process is used for many tasks, on this GPU and on that one, and torch reads only once which
    # it may see: it sees all, and `worker.device_of` says which is the task's.
    NOSET: "1",
    # What Ray will do about CUDA_VISIBLE_DEVICES in tasks without a GPU; it warns if unset.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
SILENT: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
PREFIX = "netstab-ray-"
KNOCK_S = 10.0
LEAST_STORE = 128 * 2**20
"""Bytes of a local Ray's object store: nothing but images goes through it."""


def prepare(address: str | None) -> None:
    """Set what Ray reads when it is imported, and make sure that it is there.

    Args:
        address: of a cluster; None for a Ray of this command's own.

    Raises:
        NetstabError: Ray is not installed, or nothing answers at the address, or Ray's client
            server would.
    """
    if find_spec("ray") is None:
        raise NetstabError(
            "--ray: Ray is not installed. Install it with netstab's extra: "
            "pip install -c constraints.txt -e '.[cluster]'"
        )
    if address and address.startswith("ray://"):
        raise NetstabError(
            f"--ray {address}: Ray's client sees no store. Run the command on a node of the "
            "cluster (ray job submit does), with the address HOST:PORT or auto"
        )
    if address and address != "auto":
        _refuse_silent(address)
    os.environ.update(ALWAYS)
    if address is None:
        # Nobody else needs the token: it goes to Ray's processes with the environment, no file.
        os.environ.update(LOCAL | {"RAY_AUTH_TOKEN": secrets.token_hex(32)})


def _refuse_silent(address: str) -> None:
    """Refuse an address at which nothing listens: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _no_connection(address, error) from error


def _no_connection(address: str, error: Exception) -> NetstabError:
    return NetstabError(
        f"--ray {address}: no connection to Ray ({first_line(error)}). The address is HOST:PORT or "
        "auto, and this machine has to be a node of the cluster: start it there (ray start), see "
        "docs/CLUSTER.md"
    )


@contextmanager
def connected(address: str | None, cpus: int, object_bytes: int) -> Iterator[None]:
    """Be connected with Ray; a Ray that was started here is stopped at the end.

    Args:
        address: of a cluster; None to start one on this machine.
        cpus: that a Ray started here hands out.
        object_bytes: that will be in its object store.

    Raises:
        NetstabError: there is no cluster at the address, or it does not let us in.
    """
    import ray

    # Ray tells of lost nodes in pages, and has no switch for it; the pool says it in a line.
    ray._private.worker._worker_logs_enabled = False
    # Workers get this very code: numbers must not depend on what is installed where they are.
    package = Path(netstab.__file__).resolve().parent
    root = roots()[0]
    if address is not None:
        with _joined(address, [package, root / paths.NETWORKS]):
            yield
        return
    modules = os.environ.get("PYTHONPATH", "")  # an empty one is none
    with _own_folder() as folder:
        os.environ["PYTHONPATH"] = os.pathsep.join(
            filter(None, [str(package.parent), str(root), modules])
        )
        try:
            ray.init(
                address="local",
                num_cpus=cpus,
                include_dashboard=False,
                object_store_memory=max(LEAST_STORE, 2 * object_bytes),
                _temp_dir=folder,
                _plasma_directory=None if _takes_shared_memory() else str(Path(folder).parent),
                **SILENT,
            )
            # Ray has its own handlers, which end without a word.
            with stops.stoppable():
                yield
        finally:
            ray.shutdown()
            os.environ["PYTHONPATH"] = modules


def _takes_shared_memory() -> bool:
    """Whether Ray's object store can be in memory. Ray sees a lack of room there by itself."""
    try:
        with tempfile.TemporaryFile(dir="/dev/shm"):
            return True
    except OSError:
        return False


def temporary_root() -> Path:
    """Where folders for a local Ray are: short, for sockets' paths may have 107 characters."""
    return Path("/tmp") if os.path.isdir("/tmp") else Path(tempfile.gettempdir())


@contextmanager
def _own_folder() -> Iterator[str]:
    """A folder for a local Ray, in one of this user alone: Ray opens its own to everybody."""
    collect_folders(temporary_root())
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=temporary_root()))
    try:
        with locked(folder / "lock"):
            yield str(folder / "r")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def collect_folders(root: Path) -> None:
    """Remove folders of local Rays whose commands were killed, an hour ago or more."""
    for folder in old_folders(root, f"{PREFIX}*", ABANDONED_S):
        lock = folder / "lock"
        with suppress(OSError):  # where no lock can be told, it may be in use
            if lock.exists() and not is_locked(lock):
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _joined(address: str, packages: list[Path]) -> Iterator[None]:
    import ray

    try:
        with_it = {
            "py_modules": [str(path) for path in packages if path.is_dir()],
            "env_vars": {NOSET: ALWAYS[NOSET]},
        }
        ray.init(address=address, runtime_env=with_it, **SILENT)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _no_connection(address, error) from error
    try:
        with stops.stoppable():
            yield
    finally:
        ray.shutdown()
