"""Every source of images gives the same pixels, and bad ones are refused by name."""

import errno
import hashlib
import http.server
import io
import pickle
import stat
import struct
import tarfile
import threading
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from netstab.data import archives, downloads, pickles, sources, subset
from netstab.errors import DataError, visible
from tests import data_helpers as helpers
from tests.checkout import files_in
from tests.data_helpers import data, encoded, image_files, laid_out, packed, pixels

KINDS = ("tar", "tar.gz", "tar.bz2", "tar.xz", "zip")


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Relative sources and downloads belong here."""
    root = tmp_path / "checkout"
    root.mkdir()
    monkeypatch.setenv("DVC_ROOT", str(root))
    monkeypatch.setenv("no_proxy", "*")
    return root


def refusal(**changes: Any) -> str:
    with pytest.raises(DataError) as caught:
        sources.read(data(**changes))
    return str(caught.value)


# Layouts


@pytest.mark.parametrize("kind", [*KINDS, "folder"])
@pytest.mark.parametrize("top", ["", "./", "inner/"])
def test_image_folder_gives_the_same_tensors_however_packed(
    kind: str, top: str, checkout: Path
) -> None:
    files = {top + name: content for name, content in reversed(image_files().items())}
    place = packed(files, checkout / f"images.{kind}")
    read = sources.read(data(source=str(place)))
    assert read.classes == ("cat", "dog", "owl")
    assert read.tensors.train_labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert read.tensors.test_labels.tolist() == [0, 0, 1, 1, 2, 2]
    expected = np.stack([pixels(seed) for seed in range(15)])
    assert np.array_equal(read.tensors.train_images, expected[:9])
    assert np.array_equal(read.tensors.test_images, expected[9:])
    assert (read.name, read.official) == (f"cifar10 from {place.name}", False)


@pytest.mark.parametrize("kind", [*KINDS, "folder"])
@pytest.mark.parametrize("top", ["", "cifar-10-batches-py/"])
def test_official_layout_gives_the_same_tensors_however_packed(
    kind: str, top: str, checkout: Path
) -> None:
    files = helpers.cifar10_files(top=top)
    place = packed(files, checkout / f"cifar.{kind}")
    read = sources.read(data(source=str(place), image_size=32))
    assert read.classes == tuple(f"class {number}" for number in range(10))
    drawn = [helpers.rows(seed, 12, 10) for seed in range(6)]
    # Official rows are channel-major: 1,024 reds, then greens, then blues.
    expected = np.concatenate([rows for rows, _ in drawn]).reshape(-1, 3, 32, 32)
    expected = expected.transpose(0, 2, 3, 1)
    assert np.array_equal(read.tensors.train_images, expected[:60])
    assert np.array_equal(read.tensors.test_images, expected[60:])
    assert read.tensors.train_labels.tolist() == [n for _, labels in drawn[:5] for n in labels]
    assert read.tensors.train_images.flags.c_contiguous
    assert read.tensors.train_labels.dtype == np.int64


def test_cifar100_reads_the_fine_labels(checkout: Path) -> None:
    place = packed(helpers.cifar100_files(), checkout / "c.tar.gz")
    read = sources.read(data(dataset="cifar100", source=str(place), image_size=32))
    assert read.classes[:2] == ("fine 0", "fine 1")
    assert read.tensors.train_labels.tolist() == list(range(100))
    assert read.tensors.test_labels.tolist() == [*range(1, 100), 0]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_official_layout_is_read_in_every_pickle_protocol(protocol: int, checkout: Path) -> None:
    place = laid_out(helpers.cifar10_files(protocol), checkout / "c")
    read = sources.read(data(source=str(place), image_size=32))
    expected = helpers.rows(0, 12, 10)[0].reshape(12, 3, 32, 32).transpose(0, 2, 3, 1)
    assert np.array_equal(read.tensors.train_images[:12], expected)


def test_pickles_of_python_2_are_read() -> None:
    array = np.arange(12, dtype=np.uint8).reshape(2, 6)
    read = pickles.load(helpers.python2_pickle({"data": array, "labels": [3, 1]}), "batch")
    assert np.array_equal(read["data"], array)
    assert read["labels"] == [3, 1]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", [np.int64, np.uint8, ">i4"])
def test_labels_and_names_may_be_numpy_s_own_scalars(
    protocol: int, kind: Any, checkout: Path
) -> None:
    # As list(array) has them.
    files = helpers.cifar10_files()
    expected = sources.read(data(source=str(laid_out(files, checkout / "a")), image_size=32))
    for name, content in files.items():
        held = pickle.loads(content)
        if "labels" in held:
            held["labels"] = list(np.array(held["labels"], kind))
            held["mean"], held["std"] = np.float64(0.5), np.array([0.25, 0.5])
        else:
            held["label_names"] = list(np.array(held["label_names"]))
        files[name] = pickle.dumps(held, protocol)
    read = sources.read(data(source=str(laid_out(files, checkout / "b")), image_size=32))
    assert read.classes == expected.classes
    assert all(type(name) is str for name in read.classes)
    assert np.array_equal(read.tensors.train_labels, expected.tensors.train_labels)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_pickled_arrays_keep_byte_order_and_memory_order(protocol: int) -> None:
    arrays = {
        "big": np.arange(6, dtype=">i4"),
        "fortran": np.asfortranarray(np.arange(6, dtype="<i8").reshape(2, 3)),
    }
    read = pickles.load(pickle.dumps(arrays, protocol), "batch")
    assert all(np.array_equal(read[name], array) for name, array in arrays.items())


def picture(content: bytes, suffix: str, checkout: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """How an encoded image is read, as the first of an image folder, and what is said of it."""
    files = image_files()
    del files["train/cat/0000.png"]
    files[f"train/cat/0000.{suffix}"] = content
    read = sources.read(data(source=str(laid_out(files, checkout / suffix))))
    return read.tensors.train_images[0], read.notes


@pytest.mark.parametrize(
    ("kind", "mode", "suffix"),
    [
        ("PNG", "RGB", "png"),
        ("PNG", "L", "PNG"),
        ("PNG", "P", "png"),
        ("PNG", "RGBA", "png"),
        ("JPEG", "RGB", "jpg"),
        ("JPEG", "L", "jpeg"),
        ("BMP", "RGB", "bmp"),
        ("PPM", "RGB", "ppm"),
        ("PPM", "L", "pgm"),
        ("WEBP", "RGB", "webp"),
    ],
)
def test_images_of_all_formats_become_rgb(
    kind: str, mode: str, suffix: str, checkout: Path
) -> None:
    content = encoded(pixels(0), kind, mode)
    found, _ = picture(content, suffix, checkout)
    with Image.open(io.BytesIO(content)) as image:
        assert np.array_equal(found, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("split", ["val", "valid", "validation"])
@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_a_validation_split_in_place_of_a_test_split_is_taken_and_said(
    split: str, kind: str, checkout: Path
) -> None:
    files = {n.replace("test/", f"{split}/"): c for n, c in image_files().items()}
    place = packed(files, checkout / f"images.{kind}")
    read = sources.read(data(source=str(place)))
    assert read.tensors.test_labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert np.array_equal(read.tensors.test_images[0], pixels(9))
    assert read.notes == (f"{split}/ is taken for the test images",)


TURNED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda upright: upright,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].transpose(1, 0, 2),
    8: lambda image: np.rot90(image),
}
"""By EXIF orientation: how a viewer shows the stored pixels."""


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_images_are_turned_as_their_camera_says(
    kind: str, orientation: int, checkout: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    stored = io.BytesIO()
    Image.fromarray(pixels(0)).save(stored, kind, exif=exif, **options)
    plain = np.asarray(Image.open(stored).convert("RGB"))
    found, notes = picture(stored.getvalue(), kind.lower(), checkout)
    assert np.array_equal(found, TURNED[orientation](plain))
    assert notes == (
        () if orientation == 1 else ("images turned as their EXIF orientation says: 1",)
    )


def see_through(kind: str) -> tuple[bytes, np.ndarray, np.ndarray]:
    """An encoded image with transparency, its colours [8, 8, 3], and its opacity [8, 8, 1]."""
    colours, stored = pixels(0), io.BytesIO()
    opacity = np.arange(64, dtype=np.uint8).reshape(8, 8, 1) * 4
    if kind in ("RGBA", "LA", "WEBP"):
        mode = "LA" if kind == "LA" else "RGBA"
        image = Image.fromarray(np.concatenate([colours, opacity], axis=2)).convert(mode)
        options: dict[str, Any] = {"lossless": True, "exact": True} if kind == "WEBP" else {}
        image.save(stored, "WEBP" if kind == "WEBP" else "PNG", **options)
        return stored.getvalue(), np.asarray(image.convert("RGB")), opacity
    image = Image.fromarray(colours)
    image = image.quantize(4) if kind.startswith("P") else image.convert(kind.split()[0])
    first = image.getpixel((0, 0))
    opacity = np.where(np.asarray(image).reshape(8, 8, -1) == first, 0, 255).max(2, keepdims=True)
    key = bytes([0 if at == first else 255 for at in range(4)]) if kind == "P in bytes" else first
    image.save(stored, "PNG", transparency=key)
    return stored.getvalue(), np.asarray(image.convert("RGB")), opacity


@pytest.mark.parametrize("kind", ["RGBA", "LA", "WEBP", "P", "P in bytes", "RGB key", "L key"])
def test_transparent_images_are_drawn_over_white(kind: str, checkout: Path) -> None:
    content, colours, opacity = see_through(kind)
    found, notes = picture(content, "webp" if kind == "WEBP" else "png", checkout)
    expected = (colours * (opacity / 255.0) + 255 * (1 - opacity / 255.0)).round()
    assert np.abs(found - expected).max() <= 1
    assert found[0, 0].tolist() == [255, 255, 255]
    assert notes == ("images with transparency, drawn over white: 1",)


def test_an_opaque_alpha_channel_changes_nothing_and_needs_no_word(checkout: Path) -> None:
    content = encoded(pixels(0), "PNG", "RGBA")
    found, notes = picture(content, "png", checkout)
    assert (found.tolist(), notes) == (pixels(0).tolist(), ())


def test_an_image_that_is_transparent_all_over_is_refused(checkout: Path) -> None:
    # As programs write it that know nothing of the fourth channel.
    stored = io.BytesIO()
    Image.fromarray(np.concatenate([pixels(0), np.zeros((8, 8, 1), np.uint8)], 2)).save(
        stored, "PNG"
    )
    files = image_files() | {"train/cat/0000.png": stored.getvalue()}
    message = refusal(source=str(laid_out(files, checkout / "d")))
    assert "train/cat/0000.png: is transparent all over. Store it without its alpha" in message


def test_classes_may_be_called_as_splits_are(checkout: Path) -> None:
    names = ("test", "train", "val")
    read = sources.read(data(source=str(laid_out(image_files(names), checkout / "images"))))
    assert (read.classes, read.notes) == (names, ())


def test_what_operating_systems_leave_behind_is_passed_over(checkout: Path) -> None:
    litter = ("train/cat/.DS_Store", "train/cat/._0000.png", "train/dog/Thumbs.db", "README.md")
    litter += ("__MACOSX/train/cat/._0.png", ".git/config")
    files = image_files() | dict.fromkeys(litter, b"litter")
    for place in (laid_out(files, checkout / "d"), packed(files, checkout / "d.zip")):
        assert len(sources.read(data(source=str(place))).tensors.train_labels) == 9


def passed_over(files: helpers.Files, place: Path, **changes: Any) -> str:
    """What is said of files that no layout has a place for, alike of a folder and of archives."""
    made = [laid_out(files, place)]
    made += [packed(files, place.with_suffix(suffix)) for suffix in (".zip", ".tar")]
    (said,) = {sources.read(data(source=str(one), **changes)).passed_over for one in made}
    return said


def test_what_no_layout_has_a_place_for_is_counted_and_named(checkout: Path) -> None:
    others = ("ABOUT", "labels.csv", "test/labels.txt", "train/.ipynb_checkpoints/0-checkpoint.png")
    files = dict(sorted((image_files() | dict.fromkeys(others, b"x")).items()))
    assert passed_over(files, checkout / "a") == (
        "passed over: 4 (ABOUT, labels.csv, test/labels.txt, ...)"
    )
    hidden = {".git/config": b"x", ".git/index": b"x"}
    assert passed_over(image_files() | hidden, checkout / "b") == "passed over: 1 (.git)"
    official = helpers.cifar10_files() | {"cifar-10-batches-py/readme.html": b"x"}
    assert passed_over(official, checkout / "c", image_size=32) == (
        "passed over: 1 (cifar-10-batches-py/readme.html)"
    )
    assert passed_over(image_files() | {"train/cat/._0.png": b"x"}, checkout / "d") == ""


@pytest.mark.parametrize("kind", ["tar", "folder"])
@pytest.mark.parametrize(
    "name",
    [
        *("extra/cat/0000.png", "preview.JPG", "Test/cat/0000.png", "a/b/c/0000.webp"),
        *("animation.gif", "more.npz", "more.tar.gz", "images.zip", "data_batch_1.bin"),
    ],
)
def test_images_that_no_layout_has_a_place_for_are_refused(
    name: str, kind: str, checkout: Path
) -> None:
    place = packed(image_files() | {name: encoded(pixels(0))}, checkout / f"images.{kind}")
    message = refusal(source=str(place))
    assert f"{name} would be passed over, and may hold images" in message
    assert "Move or rename" in message


@pytest.mark.parametrize("kind", ["tar", "folder"])
@pytest.mark.parametrize(
    ("renamed", "other"),
    [
        ({}, {"data_batch_0": "data_batch_1"}),
        ({}, {"data_batch_6": "data_batch_1"}),
        ({}, {"data_batch_10": "data_batch_1", "valid_batch": "test_batch"}),
        ({"data_batch_5": "data_batch_0"}, {}),
    ],
)
def test_batches_that_the_official_layout_does_not_have_are_refused(
    renamed: dict[str, str], other: dict[str, str], kind: str, checkout: Path
) -> None:
    top = "cifar-10-batches-py/"
    files = helpers.cifar10_files()
    files |= {top + new: files[top + old] for new, old in other.items()}
    names = {name: name.removeprefix(top) for name in files}
    files = {top + renamed.get(names[name], names[name]): c for name, c in files.items()}
    message = refusal(source=str(packed(files, checkout / f"c.{kind}")), image_size=32)
    for name in (*renamed.values(), *other):
        assert top + name in message
    assert "data_batch_1 to data_batch_5" in message


def test_both_layouts_in_one_source_are_refused(checkout: Path) -> None:
    place = packed(image_files() | helpers.cifar10_files(), checkout / "a.tar")
    message = refusal(source=str(place))
    assert "has both train/<class>/ and batches.meta, a file of the official layout" in message


def test_what_lies_deeper_than_any_layout_is_not_lost_without_a_word(checkout: Path) -> None:
    files = image_files() | {"docs/a/b/c/d/e/page.html": b"x"}
    read = sources.read(data(source=str(laid_out(files, checkout / "a"))))
    assert read.passed_over == "passed over: 1 (docs/a/b/c/d/*)"
    files = image_files() | {"train/cat/a/b/c/d/0000.png": b"x"}
    assert "train/cat/a/b/c/* is in a class folder" in refusal(
        source=str(laid_out(files, checkout / "b"))
    )


@pytest.mark.parametrize(("size", "corner"), [(8, 0), (16, 0), (32, 0), (12, None)])
def test_digits_come_at_any_size(size: int, corner: int | None) -> None:
    read = sources.read(data(dataset="digits", image_size=size))
    assert (read.name, read.official) == ("scikit-learn digits", True)
    assert read.tensors.train_images.shape == (1442, size, size, 1)
    assert read.tensors.test_images.shape == (355, size, size, 1)
    assert read.tensors.train_images.dtype == np.uint8
    assert read.tensors.train_images.max() == 255
    if corner is not None:
        small = sources.read(data(dataset="digits", image_size=8)).tensors.train_images
        step = size // 8
        assert np.array_equal(read.tensors.train_images[:, step - 1 :: step, ::step], small)


def test_digits_test_set_is_the_last_fifth_of_each_class() -> None:
    from sklearn.datasets import load_digits

    original = load_digits()
    read = sources.read(data(dataset="digits", image_size=8)).tensors
    for label in range(10):
        levels = original.images[original.target == label]
        fifth = len(levels) // 5
        own = read.test_images[read.test_labels == label][..., 0]
        assert np.array_equal(np.round(own * (16 / 255)), levels[-fifth:])
        own = read.train_images[read.train_labels == label][..., 0]
        assert np.array_equal(np.round(own * (16 / 255)), levels[:-fifth])


def test_a_source_in_place_of_the_digits_is_not_official(checkout: Path) -> None:
    laid_out(image_files(), checkout / "images")
    read = sources.read(data(dataset="digits", source="images"))
    assert (read.name, read.official) == ("digits from images", False)


# Where the source is


def test_relative_source_belongs_to_the_checkout_not_to_the_current_folder(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed(image_files(), checkout / "images.zip")
    elsewhere = checkout / "temporary copy"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert sources.read(data(source="images.zip")).origin.name == "images.zip"


def test_home_is_expanded(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(checkout / "home"))
    laid_out(image_files(), checkout / "home" / "images")
    assert sources.read(data(source="~/images")).origin.kind == "folder"


@pytest.mark.parametrize("source", ["nothing.zip", "~nobody-of-this-name/x", "s3://bucket/x.zip"])
def test_source_that_is_not_there_is_refused(source: str) -> None:
    message = refusal(source=source)
    assert "data.source" in message
    assert source.removeprefix("~") in message


def test_official_images_have_one_size_and_nothing_is_fetched_for_another() -> None:
    assert "data.image_size: is 16" in refusal(image_size=16)


# Hashes


def test_source_with_the_right_hash_is_read_and_recorded(checkout: Path) -> None:
    place = packed(image_files(), checkout / "images.zip")
    found = hashlib.sha256(place.read_bytes()).hexdigest()
    origin = sources.read(data(source=str(place), sha256=found.upper())).origin
    assert (origin.kind, origin.name, origin.sha256) == ("file", "images.zip", found)


def test_wrong_hash_is_refused_before_anything_is_read(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = packed(image_files(), checkout / "images.zip")
    monkeypatch.setattr(sources, "stream", None)
    message = refusal(source=str(place), sha256="0" * 64)
    found = hashlib.sha256(place.read_bytes()).hexdigest()
    assert all(part in message for part in ("images.zip", "0" * 64, found, "data.sha256"))


def test_hash_of_a_folder_is_refused(checkout: Path) -> None:
    place = laid_out(image_files(), checkout / "images")
    assert "data.sha256" in refusal(source=str(place), sha256="0" * 64)


def test_a_copy_of_the_official_archive_counts_as_official(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = packed(helpers.cifar10_files(), checkout / "my copy.tar.gz")
    found = hashlib.sha256(place.read_bytes()).hexdigest()
    monkeypatch.setitem(downloads.OFFICIAL_SHA256, "cifar10", found)
    read = sources.read(data(source=str(place), image_size=32))
    assert (read.name, read.official) == ("CIFAR-10", True)


def test_name_given_is_the_name(checkout: Path) -> None:
    place = packed(image_files(), checkout / "images.zip")
    assert sources.read(data(source=str(place), name="three animals")).name == "three animals"


# Archives


@pytest.mark.parametrize("kind", KINDS)
def test_archive_cut_short_anywhere_is_refused(kind: str, checkout: Path) -> None:
    whole = packed(image_files(), checkout / f"whole.{kind}").read_bytes()
    # A plain tar ends in up to 10 KiB of zeros, of which it needs but one block.
    end = len(whole) if kind != "tar" else len(whole.rstrip(b"\0"))
    place = checkout / f"cut.{kind}"
    for size in [*range(0, end, max(end // 40, 1)), end - 1]:
        place.write_bytes(whole[:size])
        message = refusal(source=str(place))
        assert place.name in message
        assert "etch" in message
    place.write_bytes(whole)
    assert len(sources.read(data(source=str(place))).tensors.train_labels) == 9


def test_tar_cut_between_two_members_is_refused(checkout: Path) -> None:
    whole = packed(image_files(), checkout / "whole.tar").read_bytes()
    with tarfile.open(checkout / "whole.tar") as tar:
        boundary = tar.getmembers()[-1].offset
    (checkout / "cut.tar").write_bytes(whole[:boundary])
    assert "cut short" in refusal(source=str(checkout / "cut.tar"))


@pytest.mark.parametrize(
    "content", [b"", b"not an archive\n" * 100, b"\x28\xb5\x2f\xfd" + b"z" * 99]
)
def test_file_that_is_no_archive_is_refused(content: bytes, checkout: Path) -> None:
    (checkout / "file.tar.gz").write_bytes(content)
    assert "file.tar.gz" in refusal(source="file.tar.gz")


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
@pytest.mark.parametrize(
    "name",
    ["../evil.png", "train/cat/../../../evil.png", "/evil.png", "..\\evil.png", "C:/evil.png"],
)
def test_path_outside_its_folder_is_refused_and_nothing_written(
    kind: str, name: str, checkout: Path
) -> None:
    place = packed(image_files() | {name: encoded(pixels(0))}, checkout / f"evil.{kind}")
    before = files_in(checkout.parent)
    message = refusal(source=str(place))
    assert "evil.png" in message
    assert "outside" in message
    assert files_in(checkout.parent) == before


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_link_or_device_in_a_tar_is_refused(kind: bytes, checkout: Path) -> None:
    place = packed(image_files(), checkout / "evil.tar")
    with tarfile.open(place, "a") as tar:
        member = tarfile.TarInfo("train/cat/link.png")
        member.type, member.linkname = kind, "/etc/passwd"
        tar.addfile(member)
    message = refusal(source=str(place))
    assert "link.png" in message
    assert "is a link or a device" in message


def test_link_in_a_zip_is_refused(checkout: Path) -> None:
    place = packed(image_files(), checkout / "evil.zip")
    with zipfile.ZipFile(place, "a") as archive:
        member = zipfile.ZipInfo("train/cat/link.png")
        member.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(member, "/etc/passwd")
    assert "is a link or a device" in refusal(source=str(place))


def test_encrypted_zip_is_refused(checkout: Path) -> None:
    place = packed(image_files(), checkout / "secret.zip")
    content = bytearray(place.read_bytes())
    # Flags of each entry, in the local header and in the central directory.
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.find(signature)
        while start >= 0:
            content[start + offset] |= 1
            start = content.find(signature, start + 4)
    place.write_bytes(content)
    assert "without a password" in refusal(source=str(place))


def test_name_twice_in_an_archive_is_refused(checkout: Path) -> None:
    place = packed(image_files(), checkout / "twice.tar")
    with tarfile.open(place, "a") as tar:
        tar.addfile(tarfile.TarInfo("./train/cat/0000.png"))
    assert "holds train/cat/0000.png twice" in refusal(source=str(place))


def backslashed(files: helpers.Files) -> helpers.Files:
    return {name.replace("/", "\\"): content for name, content in files.items()}


@pytest.mark.parametrize("make", [image_files, helpers.cifar10_files])
def test_a_zip_by_windows_powershell_5_is_read(
    make: Callable[[], helpers.Files], checkout: Path
) -> None:
    # It separates folders by backslashes.
    folders = ["train\\", "train\\cat\\"] if make is image_files else []
    place = helpers.zipped(
        backslashed(make()), checkout / "a.zip", "ascii", system=helpers.DOS, folders=folders
    )
    size = 8 if make is image_files else 32
    read = sources.read(data(source=str(place), image_size=size)).tensors
    other = sources.read(data(source=str(packed(make(), checkout / "b.zip")), image_size=size))
    assert np.array_equal(read.train_images, other.tensors.train_images)
    assert np.array_equal(read.test_labels, other.tensors.test_labels)


@pytest.mark.parametrize(
    ("files", "system"),
    [
        # There a backslash is a letter like any other.
        (backslashed(image_files()), helpers.UNIX),
        # Which of the two separates?
        (image_files() | {"train/cat\\9.png": encoded(pixels(0))}, helpers.DOS),
    ],
)
def test_backslashes_that_may_mean_something_else_are_refused_with_a_way_out(
    files: helpers.Files, system: int, checkout: Path
) -> None:
    place = helpers.zipped(files, checkout / "a.zip", "ascii", system=system)
    message = refusal(source=str(place))
    assert "has a backslash in its name" in message
    assert "tar -czf" in message
    assert "trust" not in message


@pytest.mark.parametrize("name", ["..\\evil.png", "C:\\evil.png", "\\evil.png", "a\\..\\..\\b.png"])
def test_backslashes_that_leave_the_folder_are_refused(name: str, checkout: Path) -> None:
    files = backslashed(image_files()) | {name: encoded(pixels(0))}
    place = helpers.zipped(files, checkout / "evil.zip", "ascii", system=helpers.DOS)
    assert "outside its folder" in refusal(source=str(place))


ACCENTED = ("Kätzchen", "猫", "côté")


def test_a_zip_by_info_zip_or_macos_has_its_names_in_utf_8(checkout: Path) -> None:
    # Neither sets the flag that says so.
    for system in (helpers.UNIX, 19):
        files = image_files(ACCENTED)
        place = helpers.zipped(files, checkout / "a.zip", "utf-8", system=system)
        read = sources.read(data(source=str(place)))
        assert read.classes == tuple(sorted(ACCENTED))
        assert np.array_equal(read.tensors.train_images[0], pixels(0))


def test_a_zip_that_states_its_names_a_second_time_in_utf_8_is_read(checkout: Path) -> None:
    place = checkout / "a.zip"
    with zipfile.ZipFile(place, "w") as archive:
        for name, content in image_files(("Kätzchen", "owl")).items():
            member = helpers.RawName(name, "cp850", system=helpers.DOS)
            stated, crc = name.encode(), zlib.crc32(name.encode("cp850"))
            member.extra = struct.pack("<HHBI", 0x7075, 5 + len(stated), 1, crc) + stated
            archive.writestr(member, content)
    assert sources.read(data(source=str(place))).classes == ("Kätzchen", "owl")
    # For another name than the one that is there it counts for nothing.
    content = place.read_bytes().replace(struct.pack("<I", crc), b"\0\0\0\0")
    place.write_bytes(content.replace("Kätzchen".encode("cp850"), "Kützchen".encode("cp850")))
    assert "in a code page" in refusal(source=str(place))


@pytest.mark.parametrize(("page", "name"), [("cp850", "Kätzchen"), ("cp932", "猫"), ("gbk", "猫")])
def test_a_zip_with_names_in_its_makers_code_page_is_refused_with_a_way_out(
    page: str, name: str, checkout: Path
) -> None:
    files = image_files((name, "owl"))
    message = refusal(
        source=str(helpers.zipped(files, checkout / "a.zip", page, system=helpers.DOS))
    )
    assert "in a code page" in message
    assert "tar -czf" in message


def test_header_that_claims_a_terabyte_is_refused_without_reading(checkout: Path) -> None:
    member = tarfile.TarInfo("train/cat/0000.png")
    member.size = 2**40
    (checkout / "bomb.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(10240))
    tracemalloc.start()
    message = refusal(source="bomb.tar")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "bomb.tar" in message
    assert peak < 10e6


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_endless_header_is_refused(
    kind: bytes, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_OVERHEAD", 2**20)
    header = tarfile.TarInfo("header")
    header.type, header.size = kind, 2**23
    (checkout / "bomb.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(2**23))
    assert "unpacks to more" in refusal(source="bomb.tar")


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_file_larger_than_an_image_can_be_is_refused(kind: str, checkout: Path) -> None:
    files = image_files() | {"train/cat/0000.png": bytes(17 * 2**20)}
    message = refusal(source=str(packed(files, checkout / f"bomb.{kind}")))
    assert "train/cat/0000.png has 17,825,792 bytes" in message


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_archive_that_unpacks_to_too_much_is_refused(
    kind: str, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = packed(image_files() | {"other": bytes(2**20)}, checkout / f"bomb.{kind}")
    monkeypatch.setattr(archives, "MAX_BYTES", 2**20)
    assert "unpacks to more" in refusal(source=str(place))


# Image folders


def without(files: helpers.Files, start: str) -> helpers.Files:
    return {name: content for name, content in files.items() if not name.startswith(start)}


def renamed(files: helpers.Files, start: str, other: str) -> helpers.Files:
    return {name.replace(start, other): content for name, content in files.items()}


TRUNCATED = encoded(pixels(0))[:-30]
DAMAGED: dict[str, tuple[Callable[[helpers.Files], helpers.Files], tuple[str, ...]]] = {
    "other size": (
        lambda files: files | {"train/dog/0001.png": encoded(pixels(0, 9))},
        ("train/dog/0001.png", "9 x 9", "data.image_size is 8"),
    ),
    "huge": (
        lambda files: files | {"train/dog/0001.png": png_of_size(60000)},
        ("train/dog/0001.png", "cannot be decoded"),
    ),
    "truncated": (
        lambda files: files | {"test/owl/0000.png": TRUNCATED},
        ("test/owl/0000.png", "cannot be decoded"),
    ),
    "no image": (
        lambda files: files | {"test/owl/0000.png": b"%!PS-Adobe-3.0 EPSF-3.0\n"},
        ("test/owl/0000.png", "cannot be decoded"),
    ),
    "16 bits": (
        lambda files: files | {"test/owl/0000.png": sixteen_bits()},
        ("test/owl/0000.png", "8 bits"),
    ),
    "other file in a class": (
        lambda files: files | {"train/cat/labels.csv": b"0"},
        ("train/cat/labels.csv", "no image"),
    ),
    "no class": (
        lambda files: files | {"train/0000.png": encoded(pixels(0))},
        ("train/0000.png", "no label"),
    ),
    "too deep": (
        lambda files: files | {"train/cat/more/0000.png": encoded(pixels(0))},
        ("train/cat/more/0000.png", "train/<class>/"),
    ),
    "class missing in test": (lambda files: without(files, "test/owl"), ("test/owl/ is missing",)),
    "class missing in train": (
        lambda files: without(files, "train/dog"),
        ("train/dog/ is missing",),
    ),
    "no test": (lambda files: without(files, "test"), ("test/cat/ is missing",)),
    "class missing in val": (
        lambda files: renamed(without(files, "test/owl"), "test/", "val/"),
        ("val/owl/ is missing; train/ and val/ must have the same classes",),
    ),
    "no class in val": (
        lambda files: files | {"val/0000.png": encoded(pixels(0))},
        ("val/0000.png", "no label"),
    ),
    "val and test": (
        lambda files: files | renamed(without(files, "train"), "test/", "val/"),
        ("has both test/ and val/ beside train/: keep the one to test on",),
    ),
    "valid and validation": (
        lambda files: renamed(files, "test/", "valid/") | renamed(files, "test/", "validation/"),
        ("has both valid/ and validation/",),
    ),
    "two data sets": (
        lambda files: files | {"b/" + name: content for name, content in files.items()},
        ("several data sets", "., b"),
    ),
    "nothing": (lambda files: {"README": b"x"}, ("layout is not recognised",)),
}


def png_of_size(side: int) -> bytes:
    """A PNG whose header claims this many pixels a side."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(99)))


def sixteen_bits() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8), 1000, dtype=np.uint16)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["tar.gz", "folder"])
@pytest.mark.parametrize("fault", DAMAGED)
def test_faulty_image_folder_is_refused_by_file(fault: str, kind: str, checkout: Path) -> None:
    change, expected = DAMAGED[fault]
    place = packed(change(image_files()), checkout / f"images.{kind}")
    message = refusal(source=str(place))
    assert place.name in message
    assert all(part in message for part in expected), message


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_empty_class_is_refused(kind: str, checkout: Path) -> None:
    folders = ["train", "train/newt", "test", "test/newt"]
    place = packed(image_files(), checkout / f"images.{kind}", folders)
    assert "train/newt/ holds no image" in refusal(source=str(place))


def test_broken_link_in_a_folder_is_refused(checkout: Path) -> None:
    place = laid_out(image_files(), checkout / "images")
    (place / "train/cat/0009.png").symlink_to(checkout / "gone")
    assert "0009.png: is a broken link" in refusal(source=str(place))


def test_unreadable_source_is_refused(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = packed(image_files(), checkout / "images.zip")

    def denied(path: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    # Taking the right away would not do: tests may run as root.
    monkeypatch.setattr(downloads, "sha256", denied)
    assert "images.zip: cannot be read (Permission denied)" in refusal(source=str(place))


# Pickles


def batch(**changes: Any) -> helpers.Files:
    """An official copy whose third batch differs."""
    images, labels = helpers.rows(2, 12, 10)
    content = {"labels": labels, "data": images} | changes
    content = {key: value for key, value in content.items() if value is not None}
    files = helpers.cifar10_files()
    return files | {"cifar-10-batches-py/data_batch_3": pickle.dumps(content, 4)}


FAULTY_BATCHES: dict[str, tuple[Callable[[], helpers.Files], str]] = {
    "labels missing": (
        lambda: batch(labels=None),
        "labels is missing, not a list of whole numbers",
    ),
    "labels as text": (
        lambda: batch(labels=["1"] * 12),
        "labels is a list of str, not of whole numbers",
    ),
    "labels as floats": (
        lambda: batch(labels=[1.0] * 12),
        "labels is a list of float, not of whole numbers",
    ),
    "labels as numpy floats": (
        lambda: batch(labels=list(np.arange(12.0))),
        "labels is a list of float, not of whole numbers",
    ),
    "labels as an array of floats": (
        lambda: batch(labels=np.arange(12.0)),
        "labels is an array of float64 [12], not a list of whole numbers. Convert",
    ),
    "labels in columns": (
        lambda: batch(labels=np.zeros((12, 1), np.uint8)),
        "labels is an array of uint8 [12, 1], not a list of whole numbers. Convert",
    ),
    "labels as booleans": (
        lambda: batch(labels=list(np.arange(12) > 5)),
        "labels is a list of bool, not of whole numbers",
    ),
    "labels in lists": (
        lambda: batch(labels=[[1, 0]] * 12),
        "labels is a list of list, not of whole numbers",
    ),
    "too few labels": (lambda: batch(labels=[1] * 11), "12 images but 11 labels"),
    "label too large": (lambda: batch(labels=[1] * 11 + [10]), "label 10 of image 11"),
    "label huge": (lambda: batch(labels=[2**80] + [1] * 11), "out of range"),
    "label negative": (lambda: batch(labels=np.array([-1] * 12)), "label -1 of image 0"),
    "data missing": (lambda: batch(data=None), "data is missing"),
    "data as a list": (lambda: batch(data=[[0] * 3072] * 12), "data is a list of list, not an arr"),
    "images as others lay them out": (
        lambda: batch(data=np.zeros((12, 32, 32, 3), np.uint8)),
        "data is an array of uint8 [12, 32, 32, 3], not an array of uint8 [N, 3072]",
    ),
    "torch": (
        lambda: batch(data=torch.zeros(12, 3072, dtype=torch.uint8)),
        "A pickle of your own may hold text, numbers and numpy arrays of numbers",
    ),
    "data wider": (lambda: batch(data=np.zeros((12, 300), np.uint8)), "data.image_size"),
    "data of another type": (
        lambda: batch(data=np.zeros((12, 3072), np.int32)),
        "data is an array of int32 [12, 3072], not an array of uint8 [N, 3072]",
    ),
    "floats": (
        lambda: batch(data=np.zeros((12, 3072))),
        "data is an array of float64 [12, 3072], not an array of uint8 [N, 3072] (red, then green,"
        " then blue, from 0 to 255). Convert it",
    ),
    "objects": (lambda: batch(data=np.array([None] * 3)), "an array of type 'O8', not of numbers"),
    "text": (lambda: batch(data=np.array(["a"] * 3)), "an array of type 'U1', not of numbers"),
}


@pytest.mark.parametrize("fault", FAULTY_BATCHES)
def test_faulty_batch_is_refused_by_file(fault: str, checkout: Path) -> None:
    files, expected = FAULTY_BATCHES[fault]
    message = refusal(source=str(packed(files(), checkout / "c.tar")), image_size=32)
    assert "c.tar: data_batch_3: " in message
    assert expected in message


@pytest.mark.parametrize("file", ["batches.meta", "data_batch_5", "test_batch"])
def test_missing_batch_is_refused(file: str, checkout: Path) -> None:
    files = without(helpers.cifar10_files(), f"cifar-10-batches-py/{file}")
    message = refusal(source=str(packed(files, checkout / "c.tar")), image_size=32)
    assert f"{file} is missing" in message


def test_class_without_an_image_is_refused(checkout: Path) -> None:
    images, _ = helpers.rows(0, 12, 10)
    content = pickle.dumps({"data": images, "labels": [*range(9), 0, 0, 0]})
    files = helpers.cifar10_files() | {"cifar-10-batches-py/test_batch": content}
    message = refusal(source=str(packed(files, checkout / "c.tar")), image_size=32)
    assert "no test image is of class class 9" in message


def test_the_other_cifar_is_refused(checkout: Path) -> None:
    place = packed(helpers.cifar100_files(), checkout / "c.tar")
    message = refusal(source=str(place), image_size=32)
    assert "layout of cifar100" in message
    assert "data.dataset is cifar10" in message


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_pickle_that_names_anything_but_arrays_is_refused_and_not_run(
    protocol: int, checkout: Path
) -> None:
    target = checkout / "made by the pickle"
    content = pickle.dumps({"data": helpers.Command(target), "labels": [1]}, protocol)
    files = helpers.cifar10_files() | {"cifar-10-batches-py/data_batch_3": content}
    message = refusal(source=str(packed(files, checkout / "c.tar")), image_size=32)
    assert "data_batch_3" in message
    assert "mkdir" in message
    assert not target.exists()
    pickle.loads(content)
    assert target.exists(), "the pickle would have done nothing anyhow"


SCALAR = b"\x80\x04cnumpy\ndtype\n(X\x02\0\0\0i2K\0K\x01tR\x94cnumpy.core.multiarray\nscalar\n"


@pytest.mark.parametrize(
    "content",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.view\x93.",
        b"cnumpy\nndarray\n)R.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"c_codecs\nencode\n(VYQ==\nVbase64\ntR.",
        b"c_codecs\nlookup\n(Vlatin1\ntR.",
        b"(inumpy\ndtype\n.",
        b"\x82\x01.",
        b"Pidentity\n.",
        b"cnumpy\ndtype\n}S'array'\nI1\nsb.",
        b"cnumpy.core.multiarray\n_reconstruct\nN}S'__init__'\nI1\ns\x86b.",
        b"]I1\na.",
        b"cnumpy.core.multiarray\nscalar\n(I1\nI2\ntR.",
        SCALAR + b"(h\x00C\x01ab.",
        SCALAR + b"(h\x00C\x03abctR.",
        SCALAR + b"(h\x00C\x00tR.",
        SCALAR + b"(h\x00I1\ntR.",
        b"\x80\x7f}.",
        b"",
        b"}",
    ],
)
def test_pickle_tricks_are_refused(content: bytes) -> None:
    with pytest.raises(DataError, match="batch: is no pickle of arrays alone"):
        pickles.load(content, "batch")


def test_memo_index_in_a_pickle_costs_no_memory() -> None:
    content = b"}r" + struct.pack("<I", 4_000_000) + b"."
    tracemalloc.start()
    assert pickles.load(content, "batch") == {}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e6


# Downloads


class Server(http.server.ThreadingHTTPServer):
    """Serves `content`; counts how often."""

    content = b""
    fetched = 0
    fault: str | None = None


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.fetched += 1
        if self.server.fault == "404":
            self.send_error(404)
            return
        if self.server.fault == "silent":
            self.server.released.wait(10)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        half = len(self.server.content) // 2
        cut = self.server.fault == "breaks off"
        self.wfile.write(self.server.content[:half] if cut else self.server.content)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        running.released = threading.Event()
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.released.set()
        running.shutdown()
        thread.join()


@pytest.fixture
def official(server: Server, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A small archive in place of the official CIFAR-10."""
    server.content = packed(helpers.cifar10_files(), checkout / "made.tar.gz").read_bytes()
    found = hashlib.sha256(server.content).hexdigest()
    url = f"http://127.0.0.1:{server.server_port}/cifar-10-python.tar.gz"
    monkeypatch.setitem(downloads.OFFICIAL_URLS, "cifar10", url)
    monkeypatch.setitem(downloads.OFFICIAL_SHA256, "cifar10", found)
    return server


def test_official_archives_are_asked_for_over_https() -> None:
    assert all(url.startswith("https://") for url in downloads.OFFICIAL_URLS.values())


def kept(checkout: Path) -> list[str]:
    return sorted(path.name for path in (checkout / ".netstab/downloads").iterdir())


def test_the_subset_of_the_official_archive_is_written_once_and_has_its_first_images(
    official: Server, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subset, "IMAGES", 10)
    file = subset.official()
    asked, before = official.fetched, file.stat().st_mtime_ns
    assert subset.official() == file
    assert (official.fetched, file.stat().st_mtime_ns) == (asked, before)
    assert kept(checkout) == ["cifar-10-python.tar.gz", "cifar10-head.tar.gz"]
    whole = sources.read(data(image_size=32)).tensors
    read = sources.read(data(image_size=32, source=str(file)))
    assert not read.official
    firsts = [12 * batch + number for batch in range(5) for number in range(10)]
    assert np.array_equal(read.tensors.train_images, whole.train_images[firsts])
    assert np.array_equal(read.tensors.train_labels, whole.train_labels[firsts])
    assert np.array_equal(read.tensors.test_images, whole.test_images[:10])
    assert np.array_equal(read.tensors.test_labels, whole.test_labels[:10])


def test_the_same_subset_has_the_same_bytes(checkout: Path) -> None:
    made = []
    for number, protocol in enumerate((2, 4)):
        source = packed(helpers.cifar10_files(protocol), checkout / f"whole{number}.tar.gz")
        target = checkout / "new" / f"{number}.tar.gz"
        subset.write(source, target, 10)
        made.append(target.read_bytes())
    assert made[0] == made[1]


def test_a_subset_that_cannot_be_written_is_refused_and_leaves_nothing(checkout: Path) -> None:
    target = checkout / "new" / "subset.tar.gz"
    small = packed(helpers.cifar10_files(), checkout / "small.tar.gz")
    folder = packed(image_files(), checkout / "folder.zip")
    for source, told in (
        (small, "data_batch_1 has 12 images, fewer than 13"),
        (folder, "has no data_batch_1 ...; name CIFAR-10 in its official layout"),
    ):
        with pytest.raises(DataError, match=told):
            subset.write(source, target, 13)
    target.parent.touch()
    with pytest.raises(DataError, match=r"subset.tar.gz: cannot be written \("):
        subset.write(small, target, 10)


def test_official_archive_is_fetched_once(official: Server, checkout: Path) -> None:
    first = sources.read(data(image_size=32))
    asked = official.fetched
    second = sources.read(data(image_size=32))
    assert official.fetched == asked > 0
    assert (first.name, first.official, first.origin.kind) == ("CIFAR-10", True, "official")
    assert first.origin.sha256 == hashlib.sha256(official.content).hexdigest()
    assert len(first.tensors.train_labels) == len(second.tensors.train_labels) == 60
    assert kept(checkout) == ["cifar-10-python.tar.gz"]


def test_damaged_copy_of_the_official_archive_is_fetched_again(
    official: Server, checkout: Path
) -> None:
    file = checkout / ".netstab/downloads/cifar-10-python.tar.gz"
    file.parent.mkdir(parents=True)
    file.write_bytes(official.content[:1000])
    assert len(sources.read(data(image_size=32)).tensors.train_labels) == 60
    assert file.read_bytes() == official.content


def test_official_archive_with_the_wrong_hash_is_refused(official: Server, checkout: Path) -> None:
    official.content += b"\0"
    message = refusal(image_size=32)
    assert f"put a copy of cifar-10-python.tar.gz into {checkout}/.netstab/downloads" in message
    assert kept(checkout) == []


@pytest.mark.parametrize("fault", ["404", "breaks off"])
def test_failed_download_of_the_official_archive_leaves_nothing(
    fault: str, official: Server, checkout: Path
) -> None:
    official.fault = fault
    message = refusal(image_size=32)
    assert f"127.0.0.1:{official.server_port}" in message
    # For whoever typed `netstab size mini` too.
    assert "put a copy of cifar-10-python.tar.gz " in message
    assert "data.source" not in message
    assert kept(checkout) == []


def test_official_server_that_says_nothing_is_given_up_on(
    official: Server, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    official.fault = "silent"
    monkeypatch.setattr(downloads, "TIMEOUT_S", 0.2)
    assert "timed out" in refusal(image_size=32)
    assert kept(checkout) == []


def test_official_archive_is_never_fetched_without_tls(
    official: Server, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secure = downloads.OFFICIAL_URLS["cifar10"].replace("http:", "https:")
    monkeypatch.setitem(downloads.OFFICIAL_URLS, "cifar10", secure)
    assert secure in refusal(image_size=32)
    assert (official.fetched, kept(checkout)) == (0, [])


@pytest.fixture
def address(server: Server, checkout: Path) -> str:
    server.content = packed(image_files(), checkout / "made.zip").read_bytes()
    return f"http://127.0.0.1:{server.server_port}/files/images.zip?token=1"


def test_source_at_a_url_with_a_hash_is_fetched_once(
    server: Server, address: str, checkout: Path
) -> None:
    found = hashlib.sha256(server.content).hexdigest()
    read = sources.read(data(source=address, sha256=found))
    sources.read(data(source=address, sha256=found))
    assert server.fetched == 1
    assert read.name == "cifar10 from images.zip"
    assert (read.origin.kind, read.origin.name, read.origin.sha256) == ("url", address, found)


def test_source_at_a_url_without_a_hash_is_fetched_anew(server: Server, address: str) -> None:
    sources.read(data(source=address))
    sources.read(data(source=address))
    assert server.fetched == 2


@pytest.mark.parametrize("fault", ["404", "breaks off", "wrong hash", "silent"])
def test_failed_download_of_a_source_leaves_what_was_there(
    fault: str,
    server: Server,
    address: str,
    checkout: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(downloads, "TIMEOUT_S", 0.2)
    sources.read(data(source=address))
    before = files_in(checkout / ".netstab")
    server.fault = fault
    # A hash would tell of a download cut short, too; most have none.
    message = refusal(source=address, sha256="0" * 64 if fault == "wrong hash" else None)
    assert address in message
    assert {"silent": "timed out", "breaks off": "broke off"}.get(fault, "") in message
    assert files_in(checkout / ".netstab") == before


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1:1/x.zip", "https://[::1", "https://", "http://a:b/", "http://x y/"),
        "http://x/\ud800",
    ],
)
def test_a_server_or_address_that_does_not_exist_is_refused_by_name(url: str) -> None:
    assert f"{visible(url)}: cannot be fetched" in refusal(source=url)
