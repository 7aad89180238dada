"""Random numbers as functions of named seeds, so that no random state has to be saved."""

import hashlib

import torch


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator that depends on the seed and the purpose alone.

    Hashing keeps the streams of different purposes, seeds and epochs apart, which small
    consecutive seeds of the Mersenne twister do not promise.
    """
    text = "/".join(map(str, (seed, *purpose)))
    digest = hashlib.sha256(text.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
