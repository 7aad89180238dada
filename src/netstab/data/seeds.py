"""Random numbers as functions of named seeds, so that no random state has to be saved."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator that depends on the seed and the purpose alone.

    Hashing keeps the streams of different purposes, seeds and epochs apart, which small
    consecutive seeds of the Mersenne twister do not promise.
    """
    text = "/".join(map(str, (seed, *purpose)))
    digest = hashlib.sha256(text.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


@contextmanager
def drawing(device: torch.device, seed: int, *purpose: str | int) -> Iterator[None]:
    """Within, layers that draw (dropout) do so from a stream of the seed and the purpose alone.

    torch's own generators go on afterwards as if nothing had been drawn.

    Args:
        device: of the network.
        seed: as of `generator`.
        purpose: likewise.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(generator(seed, *purpose).initial_seed())
        yield
