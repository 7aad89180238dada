"""Has the libraries in memory, and forks a process for each client; see `forks`."""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import sys
import threading
import traceback
import types
import weakref
from typing import Any, NoReturn

LIBRARIES = (
    # Notes which interpreter is the real one: what it starts needs open files of its parent's.
    "multiprocessing.spawn",
    *("torch", "torch.fx.experimental.symbolic_shapes", "numpy", "pandas", "altair", "vl_convert"),
    *("scipy.sparse.linalg", "scipy.stats", "sklearn.datasets", "safetensors.torch", "jinja2"),
    *("pydantic.main", "pydantic.type_adapter", "pydantic.json_schema", "PIL.Image", "psutil"),
    *("typer", "rich.console", "rich.table", "rich.emoji", "ruamel.yaml", "filelock", "pygit2"),
    *("dvc.cli", "dvc.repo", "dvc.repo.reproduce", "dvc.repo.experiments.run", "dvc.repo.graph"),
    *("dvc.repo.experiments.queue.celery", "dvc.repo.experiments.queue.tempdir", "dvc.render"),
    *("dvc.repo.metrics.diff", "dvc.repo.plots.diff", "dvc.repo.index", "dvc.stage.cache"),
    *("dvc.utils.hydra", "scmrepo.git", "networkx", "pyparsing", "dvc_data.index", "dvc.fs.git"),
    *("dvc.cli.parser", "dvc.ui.table", "dvc.render.match", "dulwich.porcelain", "tabulate"),
    *("dvc.repo.experiments.show", "dvc_task.app.filesystem", "hydra._internal.instantiate"),
)
"""What netstab and DVC import; another name that is missing here costs time, and no more."""


def serve(listener: socket.socket) -> dict[str, Any]:
    """Fork for every client; returns in the forked processes.

    Ends once standard input is closed, and removes its folder, which is the working directory.
    """
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken)
    clients: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([listener, wake, 0, *clients.values()], [], [])
        if 0 in ready:
            shutil.rmtree(os.getcwd())
            os._exit(0)
        if "torch" not in sys.modules:
            load()
        if wake in ready:
            os.read(wake, 4096)
            _tell_of_the_ended(clients)
        for pid, client in clients.items():
            if client in ready:  # it was killed, and its process is
                os.kill(pid, signal.SIGKILL)
        if listener in ready:
            client, _ = listener.accept()
            asked, streams = _read(client)
            pid = os.fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                # As in a terminal: see `conftest.signals`.
                signal.signal(signal.SIGINT, signal.default_int_handler)
                signal.signal(signal.SIGHUP, signal.SIG_DFL)
                for target, stream in enumerate(streams):
                    os.dup2(stream, target)
                for number in (wake, woken, *streams):
                    os.close(number)
                for connection in (listener, client, *clients.values()):
                    connection.close()
                return asked
            clients[pid] = client
            for stream in streams:
                os.close(stream)


def _read(client: socket.socket) -> tuple[dict[str, Any], list[int]]:
    size, streams, _, _ = socket.recv_fds(client, 4, 3)
    with client.makefile("rb") as file:
        asked: dict[str, Any] = json.loads(file.read(int.from_bytes(size, "big")))
    return asked, streams


def _tell_of_the_ended(clients: dict[int, socket.socket]) -> None:
    while clients:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        code = os.waitstatus_to_exitcode(status)
        with clients.pop(pid) as client, contextlib.suppress(OSError):  # it may have been killed
            client.sendall(str(code).encode())


def end_as(asked: dict[str, Any], python: str, path: list[str]) -> NoReturn:
    """Go on as the interpreter that was asked for, to its end.

    One thing differs: objects are not freed at the end. That would copy most of the memory shared
    with the server, and take longer than many a command.
    """
    code = 0
    try:
        _run(asked, python, path)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if code and not isinstance(ended.code, int):
            print(ended.code, file=sys.stderr)
    except KeyboardInterrupt:
        traceback.print_exc()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code & 0xFF)


def _run(asked: dict[str, Any], python: str, path: list[str]) -> None:
    how, what, *arguments = asked["arguments"]
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    first = asked["folder"] if how == "-m" else ""
    added = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:] = [first, *(os.path.abspath(entry) for entry in added), *path]
    sys.executable, sys.argv[:] = python, [how, *arguments]
    if how == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        main = types.ModuleType("__main__")
        sys.modules["__main__"] = main
        exec(compile(what, "<string>", "exec"), vars(main))


def load() -> None:
    """Bring the libraries into memory, for good."""
    for name in LIBRARIES:
        importlib.import_module(name)
    vars(sys.modules["torch"])["set_num_threads"](1)
    os.fsync = lambda _: None  # see `forks.forget_to_sync`
    vars(weakref.finalize)["_registry"].clear()  # else each process tidies up after torch
    gc.freeze()


if __name__ == "__main__":
    libraries = sys.path[1:]  # without the folder of this file
    sys.path[:] = libraries
    end_as(serve(socket.socket(fileno=int(sys.argv[1]))), sys.argv[2], libraries)
