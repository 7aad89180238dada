"""Archives from the network: fetched once, whole or not at all."""

import hashlib
import http.client
import re
import urllib.error
import urllib.request
from pathlib import Path

from rich.console import Console
from rich.progress import wrap_file

from netstab import paths
from netstab.errors import DataError
from netstab.files import replacing

TIMEOUT_S = 60.0
"""Silence after which a server is given up on."""
MAX_BYTES = 16 * 2**30

OFFICIAL_URLS = {
    "cifar10": "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    "cifar100": "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
}
OFFICIAL_SHA256 = {
    "cifar10": "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    "cifar100": "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
}
"""Hashes of the official archives, which Keras states too."""
CORRECT = "correct data.sha256 if the file is the one you want"


def official(dataset: str) -> Path:
    """The official archive of `cifar10` or `cifar100`.

    Raises:
        DataError: it cannot be fetched whole, or its hash is wrong.
    """
    url = OFFICIAL_URLS[dataset]
    kept = paths.downloads() / Path(url).name
    # Where it is kept is what helps whatever command needs it, `netstab size mini` too.
    otherwise = f"put a copy of {kept.name} into {kept.parent}"
    return _fetched(url, kept, OFFICIAL_SHA256[dataset], otherwise, otherwise)


def fetch(url: str, expected_sha256: str | None) -> Path:
    """The file at an http(s) address.

    A file fetched earlier is used again if it has the hash expected; without one it is fetched
    anew, since nothing tells whether it is still the same.

    Raises:
        DataError: it cannot be fetched whole, or its hash is wrong.
    """
    path = re.split("[?#]", url)[0]
    name = re.sub(r"[^A-Za-z0-9._-]", "_", Path(path).name)[-100:]
    digest = hashlib.sha256(url.encode(errors="surrogatepass")).hexdigest()
    kept = paths.downloads() / f"{digest[:12]}-{name}"
    return _fetched(url, kept, expected_sha256, "name a local copy in data.source", CORRECT)


def check(file: Path, expected_sha256: str | None, name: str, otherwise: str = CORRECT) -> None:
    """Hold a file against its hash, if one is given.

    Raises:
        DataError: it has another.
    """
    found = sha256(file)
    if expected_sha256 and found != expected_sha256:
        raise DataError(
            f"{name}: has SHA-256 {found}, not {expected_sha256}. Fetch the file again, or "
            f"{otherwise}."
        )


def sha256(file: Path) -> str:
    """SHA-256 of a file's bytes."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _fetched(url: str, kept: Path, expected: str | None, otherwise: str, if_other: str) -> Path:
    """The file of an address, in its place; `if_other` is what to do about another hash."""
    if expected and kept.is_file() and sha256(kept) == expected:
        return kept
    try:
        with replacing(kept, shared=True) as part:
            _download(url, part, otherwise)
            check(part, expected, url, if_other)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            # It holds the connection open.
            error.close()
        raise DataError(
            f"{url}: cannot be fetched into {kept.parent} ({error}). Check the address, the "
            f"connection and the disk, or {otherwise}."
        ) from error
    return kept


def _download(url: str, part: Path, otherwise: str) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "netstab"})
    console = Console(stderr=True)
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response, part.open("wb") as file:
        told = response.headers["Content-Length"]
        expected = None if told is None else int(told)
        with wrap_file(
            response,
            expected or 0,
            description="fetching the images",
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ) as body:
            while chunk := body.read(2**20):
                file.write(chunk)
                if file.tell() > MAX_BYTES:
                    raise DataError(
                        f"{url}: has more than {MAX_BYTES:,} bytes. Correct data.source."
                    )
        if expected is not None and file.tell() != expected:
            raise DataError(
                f"{url}: the server broke off after {file.tell():,} of {expected:,} bytes. "
                f"Try again, or {otherwise}."
            )
