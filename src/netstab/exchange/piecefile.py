"""A piece as a file: gzipped JSON under a hash, read within bounds.

Nothing in such a file can be executed, and none makes the reader take more than a bounded amount
of memory: the file, what it unpacks to, and the number of values in it are limited.
"""

import gzip
import json
import zlib
from glob import escape
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from netstab import plain_json
from netstab.errors import NetstabError, StoreError
from netstab.exchange.piece import Piece, fault_of
from netstab.files import SUFFIX as PART
from netstab.files import abandoned, write_file

SUFFIX = ".json.gz"
FORMAT = "netstab piece"
VERSION = 2
MOST_FILE = 16 * 2**20
"""Bytes of a file; the whole article-sized study of three seeds has less."""
MOST_TEXT = 128 * 2**20
"""Bytes that it may unpack to."""
NAME_A_PIECE = "name a file that netstab store export wrote"


def write(piece: Piece, target: Path) -> Path:
    """Write a piece, replaced whole; the same piece makes the same bytes.

    Args:
        piece: what is written.
        target: a file whose name ends in `.json.gz`, or a folder, in which the file is named after
            its hash.

    Returns:
        The file.

    Raises:
        NetstabError: the name ends otherwise, the piece is too large, or it cannot be written.
    """
    content = piece.model_dump(mode="json", by_alias=True)
    packed = pack(content)
    if len(packed) > MOST_FILE:
        raise NetstabError(
            f"{len(piece.runs)} runs make a file of {len(packed) / 2**20:.0f} MiB; at most "
            f"{MOST_FILE // 2**20} are read again. Export fewer at a time: --seed, --only"
        )
    path = target
    if _is_folder(target):
        path = target / f"piece-{plain_json.digest(content)[:12]}{SUFFIX}"
    if not path.name.endswith(SUFFIX):
        raise NetstabError(f"{path}: name a folder, or a file that ends in {SUFFIX}")
    _replace(path, packed)
    return path


def pack(content: dict[str, Any]) -> bytes:
    """What a file with this content holds."""
    sha256 = plain_json.digest(content)
    whole = {"format": FORMAT, "version": VERSION, "sha256": sha256, "content": content}
    return gzip.compress(json.dumps(whole).encode(), mtime=0)


def found(paths: list[Path]) -> list[Path]:
    """The files that some paths stand for: files, and what folders hold of such files.

    Raises:
        NetstabError: one is not there, or a folder holds none.
    """
    files: list[Path] = []
    for path in paths:
        inside = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
        if not inside:
            raise NetstabError(
                f"{path}: has no file that ends in {SUFFIX}; name the folder that netstab store "
                "export wrote into"
            )
        files += inside
    return list(dict.fromkeys(files))


def read(path: Path) -> Piece:
    """Read what `write` wrote, and check all of it.

    Raises:
        StoreError: it cannot be read, is damaged, is no such file, or contradicts itself.
    """
    whole = _parsed(path)
    if not isinstance(whole, dict) or whole.get("format") != FORMAT:
        raise StoreError(f"{path}: was not written by netstab store export; {NAME_A_PIECE}")
    if whole.get("version") != VERSION:
        raise StoreError(
            f"{path}: has format version {str(whole.get('version'))[:20]}, and this netstab reads "
            f"{VERSION}; export it with the netstab that is used here"
        )
    content = whole.get("content")
    if not isinstance(content, dict) or plain_json.digest(content) != whole.get("sha256"):
        raise StoreError(f"{path}: is damaged (its hash is another one); copy it again")
    try:
        return Piece.model_validate(content)
    except ValidationError as error:
        raise StoreError(f"{path}: cannot be used: {fault_of(error)}") from None


def _parsed(path: Path) -> Any:
    text = _unpacked(path)
    try:
        return plain_json.parse(text, finite=True)
    except ValueError as error:
        raise _no_piece(path, error) from None


def _unpacked(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            packed = file.read(MOST_FILE + 1)
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be read ({error.strerror or error}); check the path and its rights"
        ) from error
    if len(packed) > MOST_FILE:
        raise StoreError(
            f"{path}: is larger than {MOST_FILE // 2**20} MiB, the limit of a piece; {NAME_A_PIECE}"
        )
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS + 16)  # gzip, and nothing else
    try:
        text = unpacker.decompress(packed, MOST_TEXT)
    except zlib.error as error:
        raise _no_piece(path, error) from None
    if unpacker.unconsumed_tail:
        raise StoreError(
            f"{path}: unpacks to more than {MOST_TEXT // 2**20} MiB, and is not used; export fewer "
            "runs at a time (--only, --seed)"
        )
    if not unpacker.eof or unpacker.unused_data:
        raise StoreError(f"{path}: is cut short, or has something behind its end; copy it again")
    return text


def _no_piece(path: Path, error: Exception) -> StoreError:
    return StoreError(
        f"{path}: is damaged, or no piece of a study ({error}); copy it again, or {NAME_A_PIECE}"
    )


def _is_folder(target: Path) -> bool:
    return target.is_dir() or not target.suffix


def _replace(path: Path, packed: bytes) -> None:
    try:
        write_file(path, packed, shared=True)
        left = path.parent.glob(f".{escape(path.name)}.*{PART}")
        for killed in abandoned(path.parent, left):
            killed.unlink(missing_ok=True)
    except OSError as error:
        raise NetstabError(
            f"{path}: cannot be written ({error.strerror or error}); free some room or name "
            "another place"
        ) from error
