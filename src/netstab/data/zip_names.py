"""Names in a zip as the tool that made it meant them."""

import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from zipfile import ZipInfo

from netstab.errors import DataError

IN_UTF8 = 0x800
"""The flag of a member whose name is in UTF-8."""
UNICODE_PATH = 0x7075
"""The extra field that states a name once more, in UTF-8."""
DOS, UNIX, DARWIN = 0, 3, 19
"""Systems that a member may be made on; tools on Windows say DOS."""
PACK_AGAIN = "Pack the folder again: tar -czf images.tar.gz FOLDER (Windows 10 and later have tar)."


def names(source: Path, members: Sequence[ZipInfo]) -> list[str]:
    """The members' names, with forward slashes.

    Windows PowerShell 5 separates folders by backslashes, which are taken for that where no name
    has a forward slash. Info-ZIP and macOS write UTF-8 without its flag; on Windows a name
    without the flag is in a code page that nothing tells, though it may look like UTF-8.

    Raises:
        DataError: a name is in a code page.
    """
    found = [_name(source, member) for member in members]
    if all(m.create_system == DOS for m in members) and not any("/" in name for name in found):
        found = [name.replace("\\", "/") for name in found]
    return found


def _name(source: Path, member: ZipInfo) -> str:
    if member.flag_bits & IN_UTF8 or member.orig_filename.isascii():
        return member.filename
    # What zipfile made of bytes that it takes for the code page of the first PCs.
    raw = member.orig_filename.encode("cp437")
    in_utf8 = _stated(member.extra, zlib.crc32(raw))
    if in_utf8 is None and member.create_system in (UNIX, DARWIN):
        in_utf8 = raw
    if in_utf8 is not None:
        with suppress(UnicodeDecodeError):
            return in_utf8.decode("utf-8")
    raise DataError(
        f"{source}: {raw!a} is a name in a code page, and the archive does not say in which. "
        + PACK_AGAIN
    )


def _stated(extra: bytes, crc: int) -> bytes | None:
    """The name in UTF-8 that the extra fields state for the name with this checksum."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        # A version, which is 1, and the checksum come first.
        if kind == UNICODE_PATH and field[:5] == struct.pack("<BI", 1, crc):
            return field[5:]
    return None
