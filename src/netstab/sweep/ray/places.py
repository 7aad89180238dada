"""Places on GPUs for workers that have a share of one: every GPU gets one before any gets a second.

Ray fills a GPU before it uses the next. A Ray of the command's own is used by nobody else, so which
of its GPUs a task trains on need not be Ray's choice: only how many tasks run at once is.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


def per_gpu(share: float) -> int:
    """How many workers with a share of one have room on a GPU; Ray counts in 1/10,000."""
    return 10_000 // round(share * 10_000)


@contextmanager
def taken(token: str, gpus: int, share: float, before: str | None) -> Iterator[str]:
    """Take a place, until the context ends or this process dies.

    Args:
        token: of the command whose workers take the places of each other.
        gpus: how many there are.
        share: of one that each worker has.
        before: a device that this process has used; of places that are as good it takes that one's.

    Yields:
        The device, such as `cuda:0`.
    """
    devices = sorted((f"cuda:{number}" for number in range(gpus)), key=lambda name: name != before)
    with socket.socket(socket.AF_UNIX) as place:
        for level in range(per_gpu(share)):
            for device in devices:
                try:
                    # A name without a file: the kernel gives it to one socket at a time, and frees
                    # it when its holder dies, however it dies.
                    place.bind(f"\0netstab-{token}-{device}-{level}")
                except OSError:
                    continue  # another worker has it
                yield device
                return
        raise RuntimeError("Ray runs more tasks than its GPUs have places for")
