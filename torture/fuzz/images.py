"""Targets: archives and image folders as `data.source`, the pickles in them, single images."""

import bz2
import gzip
import io
import lzma
import pickle
import pickletools
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from netstab.data import tensors
from netstab.data.archives import Entry
from netstab.data.cifar import LAYOUTS, Batches
from netstab.data.folder import ImageFolder
from netstab.data.manifest import read_manifest
from netstab.data.prepare import prepare
from netstab.params import Data, Params
from torture.fuzz import bounds
from torture.fuzz.bounds import Target
from torture.fuzz.nonsense import TEXTS, damaged

SIZE = 8
DATA = Data(dataset="cifar10", image_size=SIZE)
PATHS = [
    *("../x/train/a/0.png", "/train/a/0.png", "train/../../a/0.png", "C:/train/a/0.png", "."),
    *("train/a", "train/a/", "train/a/b/0.png", "a/" * 200 + "0.png", "train\\a\\0.png", ""),
    *("x/train/a/0.png", "train/b/0.PNG", "test/a/0.txt", "cifar-10-batches-py/meta", "./train/a"),
    *("train/a\x00/0.png", "train/\x9b31m/0.png", "train/\u202egnp/0.png", "data_batch_1"),
]
KINDS = [*(bytes([byte]) for byte in b"01234567gxLKS"), b"\0", b"5"]
FORMATS = ("PNG", "JPEG", "BMP", "PPM", "WEBP", "GIF", "TIFF", "ICO")
MODES = ("RGB", "L", "P", "RGBA", "1", "LA", "CMYK", "I;16", "F")
Files = dict[str, bytes]


@cache
def image(kind: str, mode: str, side: int) -> bytes:
    """An encoded image; empty where the kind has no such mode."""
    pixels = np.arange(side * side * 3, dtype=np.uint8).reshape(side, side, 3)
    buffer = io.BytesIO()
    try:
        Image.fromarray(pixels).convert("L").convert(mode).save(buffer, kind)
    except (OSError, ValueError):
        return b""
    return buffer.getvalue()


@cache
def batches() -> Files:
    """The official layout, of images that are smaller than the official ones."""
    layout, files = LAYOUTS["cifar10"], {}
    files[layout.meta] = pickle.dumps({"label_names": ["a", "b"]}, 2)
    for seed, name in enumerate((*layout.train, *layout.test)):
        data = np.random.default_rng(seed).integers(0, 256, (2, 3 * SIZE**2), dtype=np.uint8)
        content = {"data": data, "labels": [0, 1], "filenames": ["x.png", "y.png"]}
        files[name] = pickle.dumps(content, (0, 2, 4, 5)[seed % 4])
    return files


@cache
def folder() -> Files:
    """A folder of images, two classes."""
    places = [f"{split}/{name}/0.png" for split in ("train", "test") for name in "ab"]
    return {place: image("PNG", "RGB", SIZE) for place in places}


def _archive(random: Random) -> bytes:
    top = random.choice(["", "", "cifar-10-batches-py/"])
    files = random.choice([batches, folder])()
    members = [(top + name, content) for name, content in files.items()]
    for _ in range(random.randint(0, 2)):
        at, kind = random.randrange(len(members)), random.randrange(6)
        name, content = members[at]
        if kind <= 1:
            members[at] = random.choice(PATHS + TEXTS[:24]), content
        elif kind == 2:
            members[at] = name, damaged(content, random)
        elif kind == 3:
            members.append(random.choice(members))
        elif kind == 4:
            del members[at]
        else:
            members[at] = name, bytes(random.choice([0, 10, 2**16, 2**22]))
        if not members:
            return b""
    packed = (_zip if random.randrange(3) == 0 else _tar)(members, random)
    return damaged(packed, random) if random.randrange(5) == 0 else packed


def _tar(members: list[tuple[str, bytes]], random: Random) -> bytes:
    buffer = io.BytesIO()
    form = random.choice([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    for name, content in members:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        odd = random.randrange(12)
        if odd == 0:
            member.type, member.linkname = random.choice(KINDS), random.choice(PATHS)
        elif odd == 1:
            member.size = random.choice([0, 1, 511, 2**33, 2**50, 2**63])
        elif odd == 2 and form == tarfile.PAX_FORMAT:
            key = random.choice(["path", "size", "GNU.sparse.major", "GNU.sparse.map", "charset"])
            member.pax_headers = {key: random.choice(["1", "-1", "x", "9" * 30, "../x", "\0", ""])}
        try:
            header = member.tobuf(form, "utf-8", "surrogateescape")
        except (ValueError, UnicodeError, OverflowError):
            continue
        if random.randrange(20) == 0:
            header = damaged(header, random)
        buffer.write(header + content + bytes(-len(content) % 512))
    buffer.write(bytes(1024) if random.randrange(10) else b"")
    pack = random.choice([bytes, gzip.compress, bz2.compress, lzma.compress])
    return pack(buffer.getvalue())


def _zip(members: list[tuple[str, bytes]], random: Random) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in dict(members).items():
            info = zipfile.ZipInfo(name.replace("\0", "\1").encode("utf-8", "replace").decode())
            info.compress_type = random.choice([0, 8, 8, 12, 14])
            odd = random.randrange(12)
            if odd == 0:
                info.external_attr = random.choice([0o120777, 0o020644, 0o040755]) << 16
            archive.writestr(info, content)
            if odd == 1:  # the central directory then says something else than is there
                info.file_size = random.choice([0, 1, 2**31, 2**40])
            elif odd == 2:
                info.flag_bits |= random.choice([1, 8, 0x20, 0x40, 0x800])
            elif odd == 3:
                info.CRC ^= 1
    return buffer.getvalue()


def _prepare(content: bytes, place: Path) -> bool:
    source, out = place / "source", place / "out"
    out.mkdir()
    source.write_bytes(content)
    data = DATA.model_copy(update={"source": str(source)})
    try:
        prepare(Params.model_construct(data=data), out)
    except BaseException:
        assert not [path for path in out.rglob("*") if path.is_file()], "left something behind"
        raise
    found = tensors.load(read_manifest(out), out)
    assert len(found.train_images) == len(found.train_labels) > 0
    return True


def _pickle(random: Random) -> bytes:
    content = bytearray(random.choice(list(batches().values())))
    kind = random.randrange(4)
    if kind == 0:
        return damaged(bytes(content), random)
    if kind == 1:
        return b"\x80\x04" + b"".join(_opcodes(random, random.randint(1, 12))) + b"."
    found = [at for _, _, at in pickletools.genops(bytes(content)) if at is not None]
    at = random.choice(found)
    return bytes(content[:at]) + b"".join(_opcodes(random, random.randint(1, 4))) + content[at:]


NAMES = [
    *(b"torture.fuzz.bounds\ncanary\n", b"os\nsystem\n", b"builtins\nexec\n", b"builtins\neval\n"),
    *(b"numpy\ndtype\n", b"numpy\nndarray\n", b"numpy.core.multiarray\n_reconstruct\n"),
    *(b"_codecs\nencode\n", b"numpy.core.numeric\n_frombuffer\n", b"netstab.data.pickles\nload\n"),
    *(b"numpy.core.multiarray\nscalar\n", b"builtins\ngetattr\n", b"copyreg\n_reconstructor\n"),
]
STACKED = [
    *(b"K\x05", b"J\xff\xff\xff\xff", b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", b"I01\n", b"N"),
    *(b"]", b"}", b")", b"\x8f", b"(", b"\x88", b"G\x7f\xf0\0\0\0\0\0\0", b"F1e999\n", b"L9L\n"),
    *(b"U\x04data", b"X\x01\0\0\0a", b"C\x02ab", b"\x8e\xff\xff\xff\xff\xff\0\0\0", b"V\\ud800\n"),
    *(b"B\xff\xff\xff\x7f", b"\x96\0\0\0\0\1\0\0\0", b"T\xff\xff\xff\xff", b"\x95" + b"\xff" * 8),
    *(b"(K\x01K\x02t", b"(U\x02u1K\x00K\x01t", b"(X\x01\0\0\0aX\x06\0\0\0latin1t", b"S'x'\n"),
]
DONE = [
    *(b"R", b"b", b"0", b"1", b"2", b"a", b"e", b"s", b"u", b"t", b"l", b"d", b"\x90", b"\x91"),
    *(b"\x93", b"\x81", b"\x92", b"o", b"q\x00", b"h\x00", b"r\xff\xff\xff\x7f", b"j\xff\0\0\0"),
    *(b"p999999999\n", b"g0\n", b"P1\n", b"Q", b"\x82\x01", b"\x97", b"\x98", b"\x94", b"\x85"),
]


def _opcodes(random: Random, count: int) -> Iterator[bytes]:
    for _ in range(count):
        kind = random.randrange(6)
        if kind == 0:
            yield b"c" + random.choice(NAMES)
        elif kind == 1:
            yield b"c" + random.choice(NAMES) + random.choice(STACKED) + b"\x85R"
        elif kind == 2:
            yield random.choice([b"]", b"(", b"}", b"K\x01\x85"]) * random.choice([3, 50, 5000])
        elif kind == 3:
            yield random.choice(STACKED) * random.choice([1, 2, 3])
        else:
            yield random.choice(DONE)


def _unpickle(content: bytes, place: Path) -> bool:
    held = batches()
    for name in ("batches.meta", "data_batch_1"):
        found = Batches(Path("source"), SIZE)
        for file, sound in held.items():
            found.add(file, content if file == name else sound)
        if name == "batches.meta":
            try:
                found.tensors("cifar10")
                return True
            except bounds.NetstabError:
                continue
        classes, images = found.tensors("cifar10")
        assert images.train_images.dtype == np.uint8 and images.train_labels.max() < len(classes)
    return True


def _image(random: Random) -> bytes:
    content = image(random.choice(FORMATS), random.choice(MODES), random.choice([1, SIZE, SIZE, 9]))
    if not content or random.randrange(4) == 0:
        return _png(random)
    return damaged(content, random) if random.randrange(5) else content


def _png(random: Random) -> bytes:
    """A PNG of sound checksums, of sizes and chunks that no sound one has."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    sides = [0, 1, SIZE, SIZE, 2**15, 2**31 - 1]
    depth, colour = random.choice([1, 2, 8, 16]), random.choice([0, 2, 3, 4, 6, 7])
    header = struct.pack(">IIBB", random.choice(sides), random.choice(sides), depth, colour)
    chunks = [chunk(b"IHDR", header + bytes([0, 0, random.choice([0, 1])]))]
    for _ in range(random.randrange(4)):
        kind = random.choice(
            [b"PLTE", b"tRNS", b"iCCP", b"zTXt", b"iTXt", b"gAMA", b"eXIf", b"acTL"]
        )
        packed = b"a\0\0" + zlib.compress(bytes(random.choice([0, 100, 2**20])))
        chunks.append(chunk(kind, random.choice([b"", bytes(3), packed, random.randbytes(20)])))
    rows = zlib.compress(bytes(random.choice([0, 200, 65 * SIZE, 2**20])))
    chunks += [chunk(b"IDAT", rows), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _decode(content: bytes, place: Path) -> bool:
    found = ImageFolder(Path("source"), SIZE)
    for name, one in {**folder(), "train/a/0.png": content}.items():
        found.add(Entry(name, one))
    _, images = found.tensors()
    assert images.train_images.shape[1:] == (SIZE, SIZE, 3)
    return True


TARGETS = (
    Target("archive", _archive, _prepare, ("source",)),
    Target("pickle", _pickle, _unpickle, ("source",)),
    Target("image", _image, _decode, ("source: train/a/0.png",)),
)
