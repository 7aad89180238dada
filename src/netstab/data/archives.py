"""Folders, tars and zips as one stream of named contents. Nothing is ever written to disk."""

import bz2
import gzip
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, cast

from netstab.data.passed_over import LITTER, PassedOver
from netstab.data.zip_names import PACK_AGAIN, names
from netstab.errors import DataError

MAX_BYTES = 16 * 2**30
"""Largest archive that is read, unpacked: more is taken for a decompression bomb."""
MAX_OVERHEAD = 64 * 2**20
"""Largest part of a tar that is no member's content: headers, padding at the end."""
FOLDER_DEPTH = 5

UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, marks that turn the direction of writing, breaks of lines, and surrogates,
which stand for bytes that are not UTF-8."""
DRIVE = re.compile(r"[A-Za-z]:")

DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    LookupError,
    OverflowError,
    RuntimeError,
    ValueError,
)
"""What the readers raise on archives that are cut short or damaged."""

Limit = Callable[[str], int]
"""From a name to the most bytes that its content may have; 0 where it is not wanted."""
Listing = Iterator[tuple[str, int, Callable[[], bytes] | None]]
"""Name, size in bytes and how to read it; None for a folder."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, or one folder.

    Attributes:
        name: relative to the source, with forward slashes: `train/cat/0000.png`.
        content: bytes of the file; None for a folder.
    """

    name: str
    content: bytes | None


def stream(source: Path, limit: Limit, passed_over: PassedOver) -> Generator[Entry, None, None]:
    """Folders and wanted files of a folder, a tar of any compression, or a zip.

    What operating systems leave behind (`.DS_Store`, `__MACOSX`, `Thumbs.db`) is left out.
    Folders come in sorted order, archives in their own.

    Args:
        source: existing folder or archive.
        limit: the most bytes that a file of this name may have; 0 to pass over it.
        passed_over: takes in the names of files that are passed over, and of what is hidden.

    Raises:
        DataError: not an archive; cut short or damaged; a name that leaves its folder; a link or
            device; a name twice; a file or the whole larger than allowed.
    """
    seen: set[str] = set()
    try:
        for raw_name, size, read in _listing(source):
            name = _safe(source, raw_name)
            parts = name.split("/")
            if any(map(LITTER.fullmatch, parts)):
                continue
            if any(part.startswith(".") for part in parts):
                passed_over.add(name)
                continue
            if read is None:
                yield Entry(name, None)
                continue
            allowed = limit(name)
            if allowed == 0:
                passed_over.add(name)
                continue
            if size > allowed:
                raise DataError(
                    f"{source}: {name} has {size:,} bytes, more than the {allowed:,} that such a "
                    "file can need. Use another copy of the data."
                )
            if name in seen:
                raise DataError(f"{source}: holds {name} twice. Pack it again with one of them.")
            seen.add(name)
            yield Entry(name, read())
    except DAMAGE as error:
        raise DataError(
            f"{source}: is cut short or damaged ({error}). Fetch the file again."
        ) from error
    except OSError as error:
        raise DataError(
            f"{source}: cannot be read to its end ({error}). "
            "Make it readable or, if it is damaged, fetch it again."
        ) from error


def _listing(source: Path) -> Listing:
    if source.is_dir():
        return _folder(source, source, FOLDER_DEPTH)
    with source.open("rb") as file:
        start = file.read(6)
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip(source)
    if start.startswith(b"\x28\xb5\x2f\xfd"):
        raise DataError(f"{source}: is packed with zstd. Pack it as .tar.gz, .tar.xz or .zip.")
    if start.startswith(b"\x1f\x8b"):
        return _tar(source, cast(IO[bytes], gzip.open(source)))
    if start.startswith(b"BZh"):
        return _tar(source, bz2.open(source))
    if start.startswith((b"\xfd7zXZ\x00", b"\x5d\x00\x00")):
        return _tar(source, lzma.open(source))
    return _tar(source, source.open("rb"))


def _safe(source: Path, name: str) -> str:
    parts = name.split("/")
    # Windows takes either slash for a separator.
    if name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name) or DRIVE.match(name):
        raise DataError(
            f"{source}: {name!a} names a path outside its folder. "
            "Use an archive from a source that you trust."
        )
    if "\\" in name:
        raise DataError(f"{source}: {name!a} has a backslash in its name. {PACK_AGAIN}")
    if UNPRINTABLE.search(name):
        raise DataError(f"{source}: {name!a} is no name in UTF-8. Rename the file and pack again.")
    return "/".join(part for part in parts if part not in ("", "."))


def _folder(source: Path, folder: Path, depth: int) -> Listing:
    for path in sorted(folder.iterdir()):
        name = path.relative_to(source).as_posix()
        if path.is_dir():
            yield name, 0, None
            if depth > 1 and not path.name.startswith("."):
                yield from _folder(source, path, depth - 1)
            elif depth == 1 and any(path.iterdir()):
                # No layout is as deep, and links can make folders endless.
                yield f"{name}/*", 0, bytes
        elif path.is_file():
            yield name, path.stat().st_size, path.read_bytes
        else:
            raise DataError(f"{path}: is a broken link or a device. Remove it.")


def _zip(source: Path) -> Listing:
    with zipfile.ZipFile(source) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > MAX_BYTES:
            raise _bomb(source)
        for name, member in zip(names(source, members), members, strict=True):
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _link_or_device(source, name)
            if member.flag_bits & 1:
                raise DataError(f"{source}: is encrypted. Pack it without a password.")
            # stored, deflated, bzip2, lzma
            if member.compress_type not in (0, 8, 12, 14):
                raise DataError(
                    f"{source}: {name} is compressed by method "
                    f"{member.compress_type}. Pack it with deflate, as most tools do."
                )
            folder = name.endswith("/")
            yield name, member.file_size, None if folder else partial(archive.read, member)


class _Forward:
    """A file that is read forwards only, and raises where it is longer than it may be.

    So that a header which claims terabytes, or a bomb, costs neither memory nor disk.
    """

    def __init__(self, source: Path, file: IO[bytes]) -> None:
        self.source = source
        self.file = file
        self.position = 0
        self.limit = MAX_OVERHEAD
        self.last = b""

    def read(self, size: int) -> bytes:
        if self.position + size > self.limit:
            size = max(self.limit + 1 - self.position, 0)
        self.last = self.file.read(size)
        self.position += len(self.last)
        if self.position > self.limit:
            raise _bomb(self.source)
        return self.last

    def tell(self) -> int:
        return self.position

    def seek(self, position: int) -> int:
        if position < self.position:
            raise tarfile.StreamError("a header points backwards")
        while self.position < position and self.read(min(position - self.position, 2**20)):
            pass
        return self.position


def _tar(source: Path, file: IO[bytes]) -> Listing:
    with file:
        forward = _Forward(source, file)
        try:
            # Reads headers block by block, in order; the compression is undone already.
            archive = tarfile.TarFile(fileobj=cast(IO[bytes], forward))
        except tarfile.ReadError as error:
            raise DataError(
                f"{source}: is neither a folder nor a tar or zip archive, or its start is damaged "
                f"({error}). Fetch the file again or correct data.source."
            ) from error
        with archive:
            for member in archive:
                if not (member.isdir() or member.isreg()) or member.issparse():
                    raise _link_or_device(source, member.name)
                end = member.offset_data + member.size
                if end > MAX_BYTES:
                    raise _bomb(source)
                forward.limit = end + MAX_OVERHEAD
                content = None if member.isdir() else partial(_content, archive, member)
                yield member.name, member.size, content
            # tarfile takes a missing or damaged header for the end; the real one is zeros.
            if len(forward.last) != tarfile.BLOCKSIZE or forward.last.strip(b"\0"):
                raise tarfile.ReadError("no end of archive")
            # Checksums of compressed files come last.
            while forward.read(2**20):
                pass


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return file.read() if file else b""


def _link_or_device(source: Path, name: str) -> DataError:
    return DataError(
        f"{source}: {name!a} is a link or a device, not a file. "
        "Use an archive from a source that you trust, or pack it without links."
    )


def _bomb(source: Path) -> DataError:
    return DataError(
        f"{source}: unpacks to more than {MAX_BYTES:,} bytes or holds a damaged header. "
        "Use another copy of the data."
    )
