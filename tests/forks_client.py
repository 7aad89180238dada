"""The `python` of `forks.folder()`: asks the server for a process, and ends as that one does.

It imports little, since it runs for every command.
"""

import json
import os
import signal
import socket
import sys


def main(python: str, arguments: list[str]) -> None:
    """Have `python ARGUMENTS` done; where that is neither -m nor -c, by a real interpreter."""
    if arguments[:1] not in (["-m"], ["-c"]):
        os.execv(sys.executable, [sys.executable, *arguments])
    asked = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(os.path.join(os.path.dirname(python), "socket"))
        content = json.dumps(asked).encode()
        socket.send_fds(server, [len(content).to_bytes(4, "big")], [0, 1, 2])
        server.sendall(content)
        answer = server.recv(16)
    if not answer:
        sys.exit("the server of forked processes is gone")
    code = int(answer)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code not in (9, 19) else None
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
