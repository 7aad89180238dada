"""Prepared images are whole or not there at all, and are held against their manifest."""

import errno
import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvc.utils.serialize import dumps_yaml
from typer.testing import CliRunner

from netstab import params, paths
from netstab.data import subset
from netstab.data.manifest import Manifest, read_manifest
from netstab.data.prepare import prepare
from netstab.data.tensors import NAMES, load, moments
from netstab.errors import DataError
from netstab.stages import data as stage
from tests import data_helpers as helpers
from tests.checkout import ROOT, content, files_in, python
from tests.data_helpers import data, encoded, image_files, laid_out, packed, pixels

STUDY = params.check(content())


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def prepared(root: Path = Path("."), **changes: Any) -> Manifest:
    return prepare(STUDY.model_copy(update={"data": data(**changes)}), root)


def from_files(files: helpers.Files, name: str = "images", **changes: Any) -> Manifest:
    return prepared(source=str(laid_out(files, Path(name).absolute())), **changes)


# What is written


def test_tensors_are_written_as_promised(checkout: Path) -> None:
    from_files(image_files())
    arrays = {name: np.load(paths.PREPARED / f"{name}.npy", allow_pickle=False) for name in NAMES}
    expected = np.stack([pixels(seed) for seed in range(15)])
    assert arrays["train_images"].dtype == np.uint8
    assert np.array_equal(arrays["train_images"], expected[:9])
    assert np.array_equal(arrays["test_images"], expected[9:])
    assert arrays["train_labels"].dtype == np.int64
    assert arrays["train_labels"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert sorted(os.listdir("data")) == ["manifest.json", "prepared"]
    assert sorted(os.listdir(paths.PREPARED)) == sorted(f"{name}.npy" for name in NAMES)


def test_manifest_tells_what_the_data_is(checkout: Path) -> None:
    place = packed(image_files(), checkout / "animals.zip")
    prepared(source=str(place))
    text = paths.MANIFEST.read_text()
    told = json.loads(text)
    assert told["name"] == "cifar10 from animals.zip"
    assert (told["official"], told["dataset"]) == (False, "cifar10")
    sha256 = hashlib.sha256(place.read_bytes()).hexdigest()
    assert told["origin"] == {"kind": "file", "name": "animals.zip", "sha256": sha256}
    assert told["classes"] == ["cat", "dog", "owl"]
    assert told["image_shape"] == [8, 8, 3]
    assert told["train"]["count"] == 9
    assert told["test"]["per_class"] == {"cat": 2, "dog": 2, "owl": 2}
    images = np.stack([pixels(seed) for seed in range(9)]) / 255
    assert told["mean"] == pytest.approx(images.mean(axis=(0, 1, 2)), rel=1e-12)
    assert told["std"] == pytest.approx(images.std(axis=(0, 1, 2)), rel=1e-12)
    assert text.endswith("}\n")
    assert str(checkout) not in text


def test_hashes_can_be_recomputed_from_their_description(checkout: Path) -> None:
    manifest = from_files(image_files())
    digests = {}
    for name in NAMES:
        array = np.load(paths.PREPARED / f"{name}.npy")
        head = f"{array.dtype.str} {array.shape}\n".encode()
        digests[name] = hashlib.sha256(head + array.tobytes()).hexdigest()
    assert manifest.train.images_sha256 == digests["train_images"]
    assert manifest.test.labels_sha256 == digests["test_labels"]
    joined = "".join(f"{name} {digests[name]}\n" for name in NAMES)
    assert manifest.content_sha256 == hashlib.sha256(joined.encode()).hexdigest()


def test_same_source_gives_the_same_bytes_again(checkout: Path) -> None:
    from_files(image_files())
    first = files_in(Path("data"))
    from_files(image_files())
    assert files_in(Path("data")) == first


def test_identity_does_not_depend_on_where_the_data_came_from(checkout: Path) -> None:
    first = from_files(image_files())
    second = prepared(source=str(packed(image_files(), checkout / "a.tar.xz")), name="other")
    assert first.name != second.name
    assert first.content_sha256 == second.content_sha256


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("what", ["pixel", "label"])
def test_identity_changes_with_every_pixel_and_label(split: str, what: str, checkout: Path) -> None:
    files = image_files()
    before = from_files(files)
    first, last = f"{split}/cat/0000.png", f"{split}/dog/0000.png"
    if what == "pixel":
        image = pixels(0 if split == "train" else 9)
        image[7, 7, 2] ^= 1
        files[first] = encoded(image)
    else:
        # The last cat becomes the first dog: the same pixels in the same order.
        number = 2 if split == "train" else 1
        files[last.replace("0000", "-001")] = files.pop(f"{split}/cat/{number:04}.png")
    after = from_files(files, "changed")
    changed = getattr(after, split).images_sha256 != getattr(before, split).images_sha256
    assert changed == (what == "pixel")
    assert after.content_sha256 != before.content_sha256


def test_moments_are_exact() -> None:
    images = np.zeros((3000, 2, 2, 2), dtype=np.uint8)
    images[::2, ..., 0] = 255
    images[..., 1] = 51
    assert moments(images) == ((0.5, 0.2), (0.5, 0.0))


def test_images_without_contents_are_refused(checkout: Path) -> None:
    grey = encoded(np.full((8, 8, 3), 7, dtype=np.uint8))
    with pytest.raises(DataError, match="images: channel 0 is the same in all training images"):
        from_files(dict.fromkeys(image_files(), grey))


@pytest.mark.parametrize("layout", ["images", "batches"])
def test_images_of_a_single_class_are_refused(layout: str, checkout: Path) -> None:
    # Nothing is learnt from them: every loss is zero and every accuracy 100 %.
    files = image_files(["cat"]) if layout == "images" else helpers.cifar10_files(classes=1)
    size = 8 if layout == "images" else 32
    with pytest.raises(DataError, match=f"{layout}: all images are of class (cat|class 0), and no"):
        from_files(files, layout, image_size=size)
    assert not Path("data").exists()


# Whole or not at all


def test_refused_source_leaves_the_prepared_images_alone(checkout: Path) -> None:
    from_files(image_files())
    before = files_in(Path("data"))
    with pytest.raises(DataError):
        from_files(image_files() | {"train/cat/0000.png": b""}, "faulty")
    assert files_in(Path("data")) == before


@pytest.mark.parametrize(
    ("step", "earlier"),
    [
        ("save", True),
        ("save", False),
        ("first rename", True),
        ("second rename", True),
        ("second rename", False),
        ("manifest", True),
        ("manifest", False),
    ],
)
def test_full_disk_leaves_what_was_there(
    step: str, earlier: bool, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if earlier:
        from_files(image_files())
    before = files_in(Path("data"))
    full = OSError(errno.ENOSPC, "No space left on device", "data/prepared")
    target = {"first rename": ".prepared.old", "second rename": "prepared"}.get(step)
    replace = os.replace

    def fail(*arguments: object, **options: object) -> None:
        raise full

    def fail_at(source: Path, to: Path) -> None:
        if to.name == (target or "manifest.json") and source.name != ".prepared.old":
            raise full
        replace(source, to)

    if step == "save":
        monkeypatch.setattr(np, "save", fail)
    else:
        monkeypatch.setattr(os, "replace", fail_at)
    with pytest.raises(DataError, match="No space left on device"):
        from_files(image_files(train=4), "more")
    monkeypatch.undo()
    os.chdir(checkout)
    assert files_in(Path("data")) == before


# What numpy says beside of types that it is about to drop.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_no_flipped_bit_of_a_header_is_more_than_a_refusal(checkout: Path) -> None:
    manifest = from_files(image_files())
    path = Path("data/prepared/train_labels.npy")
    content = path.read_bytes()
    for position in range(128):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[position] ^= 1 << bit
            path.write_bytes(damaged)
            with suppress(DataError):
                load(manifest)


def test_a_full_disk_that_numpy_has_no_word_for_is_named_with_a_remedy(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_short(*_: object, **__: object) -> None:
        raise OSError("92288 requested and 4096 written")

    monkeypatch.setattr(np, "save", cut_short)
    with pytest.raises(DataError, match=r"4096 written; the disk may be full\)\. Make room"):
        from_files(image_files())


def test_what_a_killed_run_left_is_cleared_away(checkout: Path) -> None:
    laid_out({"x.npy": b"half"}, Path("data/.prepared.new"))
    laid_out({"x.npy": b"old"}, Path("data/.prepared.old"))
    from_files(image_files())
    assert sorted(os.listdir("data")) == ["manifest.json", "prepared"]


# Reading back


def test_prepared_images_come_back(checkout: Path) -> None:
    made = from_files(image_files())
    assert read_manifest() == made
    tensors = load(read_manifest())
    assert np.array_equal(tensors.train_images, np.stack([pixels(seed) for seed in range(9)]))
    assert tensors.train_images.flags.c_contiguous
    assert tensors.test_labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_images_of_another_checkout_can_be_read(checkout: Path) -> None:
    place = laid_out(image_files(), checkout / "images")
    prepared(checkout / "other", source=str(place))
    root = checkout / "other"
    assert len(load(read_manifest(root), root).train_labels) == 9


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def widen(path: Path) -> None:
    np.save(path, np.load(path).astype(np.int32))


def pickled(path: Path) -> None:
    np.save(path, np.array([None]), allow_pickle=True)


def zipped(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, np.zeros(3))


def huge(path: Path) -> None:
    head = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1099511627776,), }"
    path.write_bytes(b"\x93NUMPY\x01\x00\x76\x00" + head.ljust(117) + b"\n")


@pytest.mark.parametrize("name", ["train_images", "test_labels"])
@pytest.mark.parametrize("damage", [Path.unlink, cut, flip, widen, pickled, zipped, huge])
def test_images_other_than_the_manifest_says_are_refused(
    damage: Any, name: str, checkout: Path
) -> None:
    manifest = from_files(image_files())
    damage(paths.PREPARED / f"{name}.npy")
    with pytest.raises(DataError, match=f"{name}.npy: .*dvc repro data"):
        load(manifest)


def test_images_of_another_preparation_are_refused(checkout: Path) -> None:
    old = from_files(image_files())
    from_files(image_files(train=4), "more")
    with pytest.raises(DataError, match="dvc repro data"):
        load(old)


@pytest.mark.parametrize(
    "change", [{"image_shape": (4, 16, 3)}, {"content_sha256": "0" * 64}, {"mean": (0.5, 0.5, 0.5)}]
)
def test_manifest_that_contradicts_the_images_is_refused(
    change: dict[str, Any], checkout: Path
) -> None:
    manifest = from_files(image_files())
    with pytest.raises(DataError, match="dvc repro data"):
        load(manifest.model_copy(update=change))


def test_missing_manifest_says_what_to_run(checkout: Path) -> None:
    with pytest.raises(DataError, match=r"manifest\.json: is missing.*dvc repro data"):
        read_manifest()


@pytest.mark.parametrize(
    "change",
    [
        {"content_sha256": "123"},
        {"classes": ["cat", "dog"]},
        {"mean": [0.5]},
        {"std": [float("nan")] * 3},
        {"surplus": 1},
        {"train": None},
    ],
)
def test_damaged_manifest_says_what_to_run(change: dict[str, Any], checkout: Path) -> None:
    from_files(image_files())
    paths.MANIFEST.write_text(json.dumps(json.loads(paths.MANIFEST.read_text()) | change))
    with pytest.raises(DataError, match=r"manifest\.json: is damaged.*dvc repro data"):
        read_manifest()


def test_cut_manifest_says_what_to_run(checkout: Path) -> None:
    from_files(image_files())
    paths.MANIFEST.write_text(paths.MANIFEST.read_text()[:-20])
    with pytest.raises(DataError, match="is damaged"):
        read_manifest()


# The stage


def stage_params(**changes: Any) -> None:
    Path("params.yaml").write_text(dumps_yaml(content(data=changes)))


def test_stage_prepares_and_sums_up(checkout: Path) -> None:
    packed(image_files(), checkout / "animals.zip")
    stage_params(source="animals.zip", image_size=8)
    result = CliRunner().invoke(stage.app)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "cifar10 from animals.zip: 9 training, 6 test images"
    assert lines[1] == "3 classes, 8 x 8 pixels, 3 channels"
    assert len(load(read_manifest()).train_labels) == 9


def test_what_is_taken_for_the_test_images_is_said_by_the_stage_and_in_the_manifest(
    checkout: Path,
) -> None:
    files = {name.replace("test/", "val/"): c for name, c in image_files().items()}
    packed(files, checkout / "animals.zip")
    stage_params(source="animals.zip", image_size=8)
    result = CliRunner().invoke(stage.app)
    assert "val/ is taken for the test images" in result.stdout.splitlines()
    manifest = read_manifest()
    assert manifest.notes == ("val/ is taken for the test images",)
    assert Manifest.model_validate_json(manifest.to_json()) == manifest


def test_what_the_stage_passes_over_is_said_and_not_part_of_the_manifest(checkout: Path) -> None:
    packed(image_files() | {"LICENSE": b"x"}, checkout / "animals.zip")
    stage_params(source="animals.zip", image_size=8)
    result = CliRunner().invoke(stage.app)
    assert "passed over: 1 (LICENSE)" in result.stdout.splitlines()
    assert "passed over" not in paths.MANIFEST.read_text()


def test_a_manifest_has_no_notes_where_there_is_nothing_to_say(checkout: Path) -> None:
    assert from_files(image_files()).notes == ()
    assert "notes" not in json.loads(paths.MANIFEST.read_text())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"source": "gone.zip"}, "gone.zip"),
        ({"image_size": 4}, "data.image_size"),
    ],
)
def test_stage_refuses_in_one_message(
    change: dict[str, Any], expected: str, checkout: Path
) -> None:
    stage_params(**change)
    result = CliRunner().invoke(stage.app)
    assert result.exit_code == 1
    assert expected in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""
    assert not Path("data").exists()


def modules_after(code: str) -> set[str]:
    code += "\nimport sys; print(*sys.modules, file=sys.stderr)"
    return set(python("-c", code).stderr.split())


def test_manifest_is_read_without_numpy_or_torch(checkout: Path) -> None:
    from_files(image_files())
    code = "from netstab.data.manifest import read_manifest; print(read_manifest().name)"
    assert not modules_after(code) & {"numpy", "torch", "PIL"}


def test_stage_does_without_torch_unless_it_downloads(checkout: Path) -> None:
    laid_out(image_files(), checkout / "images")
    stage_params(source="images", image_size=8)
    code = "from netstab.stages.data import app; app(standalone_mode=False)"
    loaded = modules_after(code)
    assert "numpy" in loaded
    assert "torch" not in loaded
    assert paths.MANIFEST.exists()


# Real images


def real(name: str) -> Path:
    folder = Path(os.environ.get("NETSTAB_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / name).is_file():
        pytest.skip(f"no {name} in {folder}; name its folder in NETSTAB_TEST_DATA")
    return folder / name


def test_subset_of_cifar10_has_the_official_pixels(checkout: Path) -> None:
    sha256 = "0f00e00f818f01a5f7f8c0abc2f1a89a268f229f25937af5d791a98ca891b7df"
    source = str(real("cifar10-head.tar.gz"))
    manifest = prepared(source=source, sha256=sha256, image_size=32)
    assert (manifest.train.count, manifest.test.count) == (5085, 1017)
    tensors = load(manifest)
    assert tensors.train_labels[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
    assert manifest.classes[6] == "frog"
    # The top left corner of the first image of data_batch_1, known from many tutorials.
    assert tensors.train_images[0, 0, :2].tolist() == [[59, 62, 63], [43, 46, 45]]


def test_writing_a_subset_of_cifar10_keeps_its_pixels(checkout: Path) -> None:
    source = real("cifar10-head.tar.gz")
    again = checkout / "again.tar.gz"
    subset.write(source, again, subset.IMAGES)
    first, second = (prepared(source=str(s), image_size=32) for s in (source, again))
    assert first.content_sha256 == second.content_sha256


@pytest.mark.long
def test_sixty_thousand_jpegs_have_the_known_moments(checkout: Path) -> None:
    sha256 = "d7e5cf3d40e6038bc96c4efbb6f4611aaa7a8584d3140fb954bab4d5aebcba32"
    source = str(real("cifar10-jpeg75.tar.xz"))
    manifest = prepared(source=source, sha256=sha256, image_size=32)
    assert set(manifest.train.per_class.values()) == {5000}
    assert set(manifest.test.per_class.values()) == {1000}
    assert [round(value, 5) for value in manifest.mean] == [0.49125, 0.48209, 0.44652]
    assert [round(value, 5) for value in manifest.std] == [0.24523, 0.24278, 0.26063]
