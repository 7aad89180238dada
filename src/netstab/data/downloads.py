"""Archives from the network: fetched once, whole or not at all."""

import hashlib
import http.client
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from netstab import paths
from netstab.errors import DataError
from netstab.files import replacing

TIMEOUT_S = 60.0
"""Silence after which a server is given up on."""
MAX_BYTES = 16 * 2**30

OFFICIAL_SHA256 = {
    "cifar10": "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    "cifar100": "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
}
"""Hashes of cifar-10-python.tar.gz and cifar-100-python.tar.gz."""

FILES = {"cifar10": "cifar-10-python.tar.gz", "cifar100": "cifar-100-python.tar.gz"}


def official(dataset: str) -> Path:
    """The official archive of `cifar10` or `cifar100`, fetched with torchvision's own code.

    Raises:
        DataError: it cannot be fetched, or its hash is wrong.
    """
    kept = paths.downloads() / FILES[dataset]
    if kept.is_file() and sha256(kept) == OFFICIAL_SHA256[dataset]:
        return kept
    # Takes seconds to import, for torch comes with it.
    from torchvision.datasets import CIFAR10, CIFAR100
    from torchvision.datasets.utils import check_integrity, download_url

    archive = CIFAR10 if dataset == "cifar10" else CIFAR100
    if check_integrity(kept, archive.tgz_md5):
        return kept
    # Where it is kept is what helps whatever command needs it, `netstab size mini` too.
    otherwise = f"put a copy of {kept.name} there"
    with _whole_or_nothing(archive.url, kept, otherwise) as part, _patience():
        try:
            download_url(archive.url, part.parent, part.name, archive.tgz_md5)
        except RuntimeError as error:
            raise DataError(
                f"{archive.url}: the download is damaged or cut short ({error}). Try again, or "
                f"put a copy of {kept.name} into {kept.parent}."
            ) from error
    return kept


def fetch(url: str, expected_sha256: str | None) -> Path:
    """The file at an http(s) address.

    A file fetched earlier is used again if it has the hash expected; without one it is fetched
    anew, since nothing tells whether it is still the same.

    Raises:
        DataError: it cannot be fetched whole, or its hash is wrong.
    """
    name = re.sub(r"[^A-Za-z0-9._-]", "_", Path(urlsplit(url).path).name)[-100:]
    kept = paths.downloads() / f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-{name}"
    if expected_sha256 and kept.is_file() and sha256(kept) == expected_sha256:
        return kept
    with _whole_or_nothing(url, kept) as part:
        _download(url, part)
        check(part, expected_sha256, url)
    return kept


def check(file: Path, expected_sha256: str | None, name: str) -> None:
    """Hold a file against its hash, if one is given.

    Raises:
        DataError: it has another.
    """
    found = sha256(file)
    if expected_sha256 and found != expected_sha256:
        raise DataError(
            f"{name}: has SHA-256 {found}, but data.sha256 says {expected_sha256}. "
            "Fetch the file again, or correct data.sha256 if the file is the one you want."
        )


def sha256(file: Path) -> str:
    """SHA-256 of a file's bytes."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _download(url: str, part: Path) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "netstab"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response, part.open("wb") as file:
        expected = response.headers["Content-Length"]
        while chunk := response.read(2**20):
            file.write(chunk)
            if file.tell() > MAX_BYTES:
                raise DataError(f"{url}: has more than {MAX_BYTES:,} bytes. Correct data.source.")
        if expected is not None and file.tell() != int(expected):
            raise DataError(
                f"{url}: the server broke off after {file.tell():,} of {int(expected):,} bytes. "
                "Try again, or name a local copy in data.source."
            )


@contextmanager
def _whole_or_nothing(
    url: str, kept: Path, otherwise: str = "name a local copy in data.source"
) -> Iterator[Path]:
    """A place for a download, which becomes `kept` if all goes well and vanishes otherwise."""
    try:
        with replacing(kept, shared=True) as part:
            yield part
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            # It holds the connection open.
            error.close()
        raise DataError(
            f"{url}: cannot be fetched into {kept.parent} ({error}). Check the address, the "
            f"connection and the disk, or {otherwise}."
        ) from error


@contextmanager
def _patience() -> Iterator[None]:
    """torchvision's downloader knows no timeout of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
