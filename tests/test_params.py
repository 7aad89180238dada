"""What params.yaml may say, and how every fault is answered."""

from collections.abc import Callable, Iterator
from difflib import unified_diff
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import dumps_yaml, load_yaml, parse_yaml_for_update
from pydantic import ValidationError

from netstab.data.batches import to_device
from netstab.errors import ParameterError
from netstab.measure.views import recompute_batch_norm
from netstab.params import check, read
from netstab.params.models import Section
from netstab.study.experiments import Variant, schedule
from tests import small
from tests.small import ABSENT, altered, faults

TEXT = (small.ROOT / "params.yaml").read_text(encoding="utf-8")
Keys = tuple[Any, ...]


def faults_of_text(text: str, tmp_path: Path) -> list[str]:
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ParameterError) as refused:
        read(path)
    return refused.value.faults


def test_the_shipped_file_is_valid_and_is_the_articles_study() -> None:
    params = read(small.ROOT / "params.yaml")
    assert (params.train.epochs, params.train.batch_size, params.model.width) == (200, 128, 64)
    assert params.outpost.decay_epochs == (60, 120)
    assert params.blocks["512"] == ("layer4", "head")
    assert params.own["warm_restart"]["64"] == {"60": 0.01, "120": 0.1}


def test_the_shipped_file_is_in_the_form_that_dvc_writes() -> None:
    assert dumps_yaml(parse_yaml_for_update(TEXT, "params.yaml")) == TEXT


@pytest.mark.parametrize(
    ("override", "old", "new"),
    [
        ("expB.freeze_epoch=90", "  freeze_epoch: 60", "  freeze_epoch: 90"),
        ("train.learning_rate=0.05", "  learning_rate: 0.1", "  learning_rate: 0.05"),
        ("data.source=/images/cifar.zip", "  source:", "  source: /images/cifar.zip"),
        ("train.horizontal_flip=false", "  horizontal_flip: true", "  horizontal_flip: false"),
        ("own.warm_restart.64.120=0.05", "      '120': 0.1", "      '120': 0.05"),
    ],
)
def test_an_override_changes_one_line_and_no_comment(
    override: str, old: str, new: str, tmp_path: Path
) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(TEXT, encoding="utf-8")
    apply_overrides(str(path), [override])
    diff = unified_diff(TEXT.splitlines(), path.read_text().splitlines(), n=0, lineterm="")
    assert [line for line in diff if line[:3] not in ("---", "+++") and line[0] in "+-"] == [
        f"-{old}",
        f"+{new}",
    ]
    read(path)


def mappings(content: dict[str, Any], path: Keys = ()) -> Iterator[tuple[Keys, dict[str, Any]]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield (*path, key), value
            yield from mappings(value, (*path, key))


# DVC deletes no key whose value is null.
REMOVABLE = {p: m for p, m in mappings(small.SHIPPED) if m and None not in m.values()}


@pytest.mark.parametrize("path", REMOVABLE, ids=".".join)
def test_everything_in_a_mapping_can_be_removed_by_overrides(path: Keys, tmp_path: Path) -> None:
    place = tmp_path / "params.yaml"
    place.write_text(TEXT, encoding="utf-8")
    apply_overrides(str(place), ["~" + ".".join((*path, key)) for key in REMOVABLE[path]])
    assert load_yaml(str(place)) == altered((path, {}))
    if path == ("expE",) or path[0] == "own":
        read(place)


def test_no_comment_stands_right_behind_a_key_whose_values_are_below() -> None:
    # DVC cannot read back what it writes once all of them are removed.
    for line, behind in pairwise(TEXT.splitlines()):
        is_within = len(behind) - len(behind.lstrip()) > len(line) - len(line.lstrip())
        assert not (line.endswith(":") and behind.lstrip().startswith("#") and is_within), line


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        (("epochs",), 200, "epochs: is not a section; known are seeds, experiments, blocks"),
        (("trian",), {}, "trian: is not a section; did you mean train?"),
        ((7,), {}, "7: is not a section"),
        (("model",), ABSENT, "model: is missing; add the section"),
        (("model",), 64, "model: should be a mapping (found 64)"),
        (("baseline",), 3, "baseline: should be a mapping (found 3)"),
        (("train", "momentun"), 0.9, "train.momentun: is not a parameter; did you mean momentum?"),
        (("train", "momentum"), ABSENT, "train.momentum: is missing; add it"),
        (("baseline", "decay"), 1, "baseline.decay: is not a parameter; known are changes"),
        (("baseline", "[/]"), 1, "baseline.[/]: is not a parameter; known are changes"),
        (("baseline", "[key]"), 1, "baseline.[key]: is not a parameter; known are changes"),
        (("train", "epochs"), "200", "train.epochs: is not a whole number; write it without quo"),
        (("train", "epochs"), 200.5, "train.epochs: is not a whole number (found 200.5)"),
        (("train", "epochs"), True, "train.epochs: is not a whole number (found True)"),
        (("train", "epochs"), 0, "train.epochs: should be greater than or equal to 1 (found 0)"),
        (("train", "epochs"), float("inf"), "train.epochs: is not a whole number (found inf)"),
        (("train", "epochs"), 10**9, "train.epochs: should be less than or equal to 100000"),
        (("train", "epochs"), 10**400, "train.epochs: is not a whole number (found 1000"),
        (("model", "width"), None, "model.width: is missing; resnet18 needs it"),
        (("model", "width"), "64", "model.width: is not a whole number; write it without quotes"),
        (("model", "name"), "resnet19", "model.name: 'resnet19' is no network; known are resnet18"),
        (("model", "name"), "a b:c", "model.name: 'a b:c' is no package.module:function"),
        (("model", "name"), "a:b", "model.width: is of netstab's own networks; leave it empty, or"),
        (("model", "norm"), "none", "model.norm: resnet18 takes batch or group, not none"),
        (
            ("model", "norm"),
            "instance",
            "model.norm: should be 'batch', 'group', 'layer' or 'none'",
        ),
        (("model", "arguments"), {"a": 1}, "model.arguments: are of a network of your own; remove"),
        (("model", "parts"), {"a": ["b"]}, "model.parts: are of a network of your own; remove"),
        (("train", "learning_rate"), -0.1, "train.learning_rate: should be greater than 0 (fou"),
        (("train", "learning_rate"), "0.1", "train.learning_rate: is not a finite number; write"),
        (("train", "learning_rate"), True, "train.learning_rate: is not a finite number (found"),
        (("train", "learning_rate"), float("nan"), "train.learning_rate: is not a finite number"),
        (("train", "weight_decay"), float("inf"), "train.weight_decay: is not a finite number"),
        (("train", "time_scale"), 10**400, "train.time_scale: is not a finite number"),
        (("train", "time_scale"), 0.001, "train.time_scale: leaves no epoch of 200; raise it"),
        (("train", "momentum"), 1, "train.momentum: should be less than 1 (found 1)"),
        (("train", "precision"), "fp16", "train.precision: should be 'fp32' or 'bf16' (found 'f"),
        (("train", "horizontal_flip"), "yes", "train.horizontal_flip: should be a valid boolean"),
        (("train", "tf32"), 1, "train.tf32: should be a valid boolean (found 1)"),
        (("runtime", "device"), "tpu", "runtime.device: should match pattern"),
        (("runtime", "save_interval_s"), 0, "runtime.save_interval_s: should be greater than 0"),
        (("seeds",), [], "seeds: name no seed; add one"),
        (("seeds",), 0, "seeds: should be a list (found 0); write [0]"),
        (("seeds",), None, "seeds: should be a list (found None)"),
        (("experiments",), "expA", "experiments: should be a list (found 'expA'); write ['expA']"),
        (("experiments",), None, "experiments: is empty; write [] for none"),
        (("expE",), None, "expE: is empty; write {} for none"),
        (("expE", "ema"), None, "expE.ema: is empty; remove the key to leave it out"),
        (("seeds",), [1, 1], "seeds: name a seed twice; remove one"),
        (("seeds",), [0.0], "seeds.0: names stages and files; write it without a point: 0 (found"),
        (("seeds",), [1e18], "seeds.0: names stages and files; write it without a point: 1000"),
        (("seeds",), [0, -0.0], "seeds.1: names stages and files; write it without a point: 0"),
        (("seeds",), [0.5], "seeds.0: is not a whole number (found 0.5)"),
        (("seeds",), ["0"], "seeds.0: is not a whole number; write it without quotes (found '0'"),
        (("seeds",), [True], "seeds.0: is not a whole number (found True)"),
        (("ceiling", "seeds"), [0.0, 1], "ceiling.seeds.0: names stages and files; write it wi"),
        (("seeds",), [-1], "seeds.0: should be greater than or equal to 0 (found -1)"),
        (
            ("experiments",),
            ["expB", "expE"],
            "experiments.1: should be 'expA', 'expB', 'expC', 'exp",
        ),
        (("experiments",), ["expB", "expB"], "experiments: name an experiment twice; remove one"),
        (("data", "dataset"), "mnist", "data.dataset: should be 'cifar10', 'cifar100' or 'digits"),
        (("data", "sha256"), "a" * 64, "data.sha256: needs data.source"),
        (("data", "sha256"), "abc", "data.sha256: should match pattern"),
        (("data", "image_size"), 4, "data.image_size: should be greater than or equal to 8 (foun"),
        (("blocks",), None, "blocks: should be a mapping (found None)"),
        (("blocks", "64"), ["stem"], "blocks: leave out layer1; put it into one block"),
        (("blocks", "128"), ["layer2", "stem"], "blocks.128: claims stem, which block 64 has; rem"),
        (
            ("blocks", "64"),
            ["stem", "layer0", "layer1"],
            "blocks.64: 'layer0' is no part; parts are st",
        ),
        (("blocks", "1024"), [], "blocks.1024: has no part; give it one or remove it"),
        (("blocks", 64), ["stem"], "blocks.64: put the key in quotes: '64'"),
        (("blocks", "network"), [], "blocks.network: is what the whole network is called; name"),
        (("blocks", "a@b"), [], "blocks.a@b: name blocks with letters, digits and _ only"),
        (("expB", "freeze_epoch"), 200, "expB.freeze_epoch: 200 is past the end (train.epochs is "),
        (("expB", "freeze_epoch"), -1, "expB.freeze_epoch: should be greater than or equal to 0"),
        (("expC", "decay_epochs"), [60, 250], "expC.decay_epochs: 250 is past the end"),
        (("outpost", "decay_epochs"), [120, 60], "outpost.decay_epochs: 60 comes after 120; put"),
        (("outpost", "decay_epochs"), 60, "outpost.decay_epochs: should be a list (found 60)"),
        (("outpost", "decay_factor"), 0, "outpost.decay_factor: should be greater than 0 (found"),
        (("own",), None, "own: is empty; write {} for none"),
        (("own",), ["x"], "own: should be a mapping (found ['x'])"),
        (("own", "x"), None, "own.x: is empty; write {} for none"),
        (("own", "x"), {"64": None}, "own.x.64: is empty; write {} for none"),
        (("own", "a.b"), {}, "own.a.b: start names with a letter; letters, digits and _ only"),
        (("own", "n" * 61), {}, f"own.{'n' * 61}: start names with a letter"),
        (("own", "2nd"), {}, "own.2nd: start names with a letter; letters, digits and _ only"),
        (("own", "x"), {"65": {}}, "own.x.65: is not a block; known are 64, 128, 256, 512"),
        (("own", "x"), {64: {}}, "own.x.64: put the key in quotes: '64'"),
        (("own", "x"), {"64": {60: 0.1}}, "own.x.64.60: put the key in quotes: '60'"),
        (("own", "x"), {"64": {"sixty": 0.1}}, "own.x.64.sixty: is not an epoch; write it like"),
        (("own", "x"), {"64": {"6\u00b2": 0.1}}, "own.x.64.6\u00b2: is not an epoch; write it li"),
        (("own", "x"), {"64": {"9" * 5000: 0.1}}, "own.x.64.999"),
        (("own", "x"), {"64": {"250": 0.1}}, "own.x.64: 250 is past the end"),
        (("own", "x"), {"64": {"60": "thaw"}}, "own.x.64.60: is neither `frozen` nor a learning"),
        (("own", "x"), {"64": {"60": -0.1}}, "own.x.64.60: is neither `frozen` nor a learning ra"),
        (("own", "x"), {"64": {"60": True}}, "own.x.64.60: is neither `frozen` nor a learning ra"),
        (("own", "x"), {"64": {"60": float("nan")}}, "own.x.64.60: is neither `frozen` nor a lea"),
        (("own", "x"), {"64": {"60": 0.1, "060": 0.2}}, "own.x.64: 60 comes after 60; put them i"),
    ],
)
def test_a_fault_is_named_by_its_key(path: Keys, value: Any, fault: str) -> None:
    found = faults(altered((path, value)))
    assert any(line.startswith(fault) for line in found), found


@pytest.mark.parametrize(
    ("path", "empty"), [(("baseline",), {}), (("ceiling", "seeds"), [])], ids=str
)
def test_nothing_behind_a_key_means_none_where_dvc_does_not_mind(path: Keys, empty: Any) -> None:
    assert check(altered((path, None))) == check(altered((path, empty)))


def test_two_epochs_that_a_time_scale_lets_coincide_are_refused() -> None:
    one = {"x": {"64": {"60": 0.01, "62": 0.1}}}
    content = altered((("train", "time_scale"), 0.1), (("own",), one))
    assert faults(content) == [
        "own.x.64: 60 and 62 fall on the same epoch at train.time_scale 0.1; raise the scale"
    ]


def test_a_change_that_a_time_scale_pushes_past_the_end_is_refused() -> None:
    # 200 -> 2, 199 -> 1.99, which rounds to the end.
    content = altered((("train", "time_scale"), 0.01), (("own",), {}))
    content |= {name: {"decay_epochs": [60], "decay_factor": 0.1} for name in ("outpost", "expA")}
    content["expB"] = {"freeze_epoch": 199}
    content["expC"] = content["expD"] = {**content["outpost"], "freeze_epoch": 60}
    content["expE"] = {}
    assert faults(content) == [
        "expB.freeze_epoch: 199 is past the end (train.epochs is 200); lower it"
    ]


def test_everything_wrong_with_a_network_is_named_at_once() -> None:
    model = {"name": "vit", "norm": "batch", "width": 30, "parts": {"a": ["b"]}}
    assert faults(small.content(model=model, data={"image_size": 30})) == [
        "model.norm: vit takes layer, not batch",
        "model.parts: are of a network of your own; remove them",
        "model.width: vit takes multiples of 4 (4 heads, patches of 4 pixels), not 30",
        "data.image_size: vit takes multiples of 4 (4 heads, patches of 4 pixels), not 30",
    ]
    assert faults(small.content(model={"name": "wide_resnet"})) == [
        "blocks.512: 'layer4' is no part; parts are stem, layer1, layer2, layer3, head"
    ]


def test_blocks_of_ones_own_network_are_of_its_parts() -> None:
    own = {"name": "package.module:net", "width": None}
    blocks = {"early": ["conv", "body"], "late": ["tail"]}
    params = check(small.content(model=own, blocks=blocks, own={}))
    assert params.parts == ("conv", "body", "tail")
    assert params.part_paths == {part: (part,) for part in params.parts}
    parts = {"tail": ["out"], "conv": ["a.0", "a.1"], "body": ["b"]}
    params = check(small.content(model={**own, "parts": parts}, blocks=blocks, own={}))
    assert params.parts == ("tail", "conv", "body")
    assert params.part_paths["conv"] == ("a.0", "a.1")
    assert faults(
        small.content(model={**own, "parts": {"conv": ["a"]}}, blocks=blocks, own={})
    ) == [
        "blocks.early: 'body' is no part; parts are conv",
        "blocks.late: 'tail' is no part; parts are conv",
    ]


def test_one_value_a_channel_is_enough_without_batch_norm_and_for_larger_last_layers() -> None:
    assert faults(small.content(**ONE_PIXEL))
    assert check(small.content(**ONE_PIXEL, model={"norm": "group"}))
    blocks = {"early": ["stem", "layer1"], "late": ["layer2", "layer3", "head"]}
    assert check(small.content(**ONE_PIXEL, model={"name": "wide_resnet"}, blocks=blocks, own={}))


ONE_PIXEL = {"data": {"image_size": 8}, "train": {"batch_size": 1, "crop_padding": 1}}


def test_settings_that_leave_batch_norm_one_value_a_channel_are_named() -> None:
    rivals = {name: dict(section) for name, section in small.SHIPPED["expE"].items()}
    rivals["bnrecal"]["batch_norm_images"] = 1
    assert faults(small.content(**ONE_PIXEL, expE=rivals)) == [
        "train.batch_size: 1 is too few: the last layer sees one pixel of an image of size 8, "
        "and batch norm needs two values a channel; raise it to 2, or data.image_size",
        "expE.bnrecal.batch_norm_images: 1 is too few: the last layer sees one pixel of an image "
        "of size 8, and batch norm needs two values a channel; raise it to 2, or data.image_size",
    ]


@pytest.mark.parametrize("image_size", [8, 9, 16, 17])
@pytest.mark.parametrize("batch_size", [1, 2])
@pytest.mark.parametrize("largest_batch", [1, 3])
@pytest.mark.parametrize("batch_norm_images", [1, 2, 3])
def test_what_is_accepted_is_what_batch_norm_can_take(
    image_size: int, batch_size: int, largest_batch: int, batch_norm_images: int
) -> None:
    rivals = {name: dict(section) for name, section in small.SHIPPED["expE"].items()}
    rivals["batch"]["largest_batch"] = largest_batch
    rivals["bnrecal"]["batch_norm_images"] = batch_norm_images
    train = {"batch_size": batch_size, "precision": "fp32", "crop_padding": 0}
    content = small.content(
        data={"image_size": image_size}, train=train, model={"width": 1}, expE=rivals
    )
    try:
        params = check(content)
    except ParameterError as refused:
        keys = {fault.split(":")[0] for fault in refused.faults}
        params = check(small.content(train=train, model={"width": 1}, expE=rivals))
    else:
        keys = set()
    torch.manual_seed(0)  # steps of one image at the full rate can diverge
    engine = small.engine(params)
    pixels = torch.randint(0, 256, (3, image_size, image_size, 3), dtype=torch.uint8)
    images = to_device(
        pixels,
        torch.arange(3),
        mean=[0.5] * 3,
        std=[0.2] * 3,
        padding=0,
        device=small.CPU,
        dtype=torch.float32,
    )

    def accepted(work: Callable[[], Any]) -> bool:
        try:
            work()
        except ValueError as error:
            assert "Expected more than 1 value per channel" in str(error)
            return False
        return True

    for variant in (Variant("baseline"), Variant("expE", "batch")):
        phase = schedule(params, variant).phases[-1]
        trained = accepted(lambda: engine.epoch(phase, images, images, 0, 0))  # noqa: B023
        assert trained == ("train.batch_size" not in keys)
    recomputed = accepted(
        lambda: recompute_batch_norm(
            engine.model, images, batch_norm_images, batch_size, engine.autocast
        )
    )
    assert recomputed == ("expE.bnrecal.batch_norm_images" not in keys and trained)


def test_all_faults_are_listed_at_once() -> None:
    content = altered(
        (("trian",), {}),
        (("model", "width"), 0),
        (("train", "momentun"), 0.9),
        (("expB", "freeze_epoch"), "60"),
        (("expD", "freeze_epoch"), 500),
        (("blocks", "64"), ["stem"]),
        (("data", "sha256"), "b" * 64),
        (("own", "a.b"), {"65": {"sixty": 0.1}}),
        (("report",), ABSENT),
    )
    with pytest.raises(ParameterError) as refused:
        check(content, "params.yaml")
    keys = [line.split(":")[0] for line in refused.value.faults]
    assert keys == [
        "trian",
        "model.width",
        "train.momentun",
        "expB.freeze_epoch",
        "report",
        "blocks",
        "data.sha256",
        "expD.freeze_epoch",
        "own.a.b",
        "own.a.b.65",
        "own.a.b.65.sixty",
    ]
    said = str(refused.value)
    assert said.startswith("params.yaml: 11 faults\n")
    assert all(line in said for line in refused.value.faults)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "is not a mapping of sections; restore it from git"),
        ("- seeds\n", "is not a mapping of sections; restore it from git"),
        ("seeds: [0\n", "is not valid YAML: line 2, column 1: "),
        ("seeds:\n\t- 0\n", "is not valid YAML: line 2, column 1: found character '\\t'"),
        ("seeds: 1\n---\nseeds: 2\n", "is not valid YAML: line 2, column 1: but found another"),
        ("seeds: !!python/object:os.system {}\n", "is not valid YAML: line 1, column 8: could not"),
        (
            "seeds: *missing\n",
            "line 1: an alias (*missing); write the value out, for dvc",
        ),
        ("a: &s\n  x: 1\nb: *s\n", "line 3: an alias (*s); write the value out"),
        ("a: &s\n  x: 1\nb:\n  <<: *s\n", "line 4: an alias (*s); write the value out"),
        ("%YAML 1.9\n---\nseeds: [0]\n", "has a line that begins with %; leave it out"),
        ("seeds:\n- 0\n%YAML 9.9\nown:\n  x: {}\n", "has a line that begins with %"),
        ("a: &x 1\nb: &x 2\n", "is not valid YAML: found duplicate anchor"),
        ("seeds: 2020-13-13\n", "is not valid YAML: month must be in 1..12"),
        # Too deep for Python, or an end too early: that depends on how deep Python may go.
        ("[" * 500, "is not valid YAML: "),
    ],
)
def test_a_file_that_is_no_parameters_is_refused(text: str, fault: str, tmp_path: Path) -> None:
    assert faults_of_text(text, tmp_path)[0].startswith(fault)


@pytest.mark.parametrize(
    ("line", "doubled"),
    [("  epochs: 200\n", "epochs"), ("expB:\n  freeze_epoch: 60\n", "expB")],
)
def test_a_key_stated_twice_is_refused(line: str, doubled: str, tmp_path: Path) -> None:
    assert line in TEXT
    (fault,) = faults_of_text(TEXT.replace(line, line * 2), tmp_path)
    assert f'found duplicate key "{doubled}"' in fault


def test_integer_keys_say_that_they_need_quotes(tmp_path: Path) -> None:
    # A DVC matrix over a mapping with integer keys silently makes no stage.
    found = faults_of_text(TEXT.replace("'64':", "64:"), tmp_path)
    assert "blocks.64: put the key in quotes: '64'" in found
    assert "own.warm_restart.64: put the key in quotes: '64'" in found


def test_a_file_that_cannot_be_read_is_named_with_a_remedy(tmp_path: Path) -> None:
    missing = tmp_path / "params.yaml"
    for path in (missing, tmp_path, missing):
        with pytest.raises(ParameterError) as refused:
            read(path)
        assert str(refused.value).startswith(f"{path}: 1 fault\n")
        assert "git checkout -- params.yaml" in str(refused.value)
        missing.write_bytes(b"seeds: \xff\xfe")


def test_parameters_cannot_be_changed() -> None:
    params = check(small.content())
    places = [params, *(v for v in dict(params).values() if isinstance(v, Section))]
    assert len(places) == 19
    for place in places:
        name = next(iter(type(place).model_fields), "new")
        with pytest.raises(ValidationError, match=r"frozen|no field"):
            setattr(place, name, 1)


@pytest.mark.parametrize(
    ("scale", "epochs"),
    [
        (1.0, [60, 90, 120, 140, 200]),
        (0.1, [6, 9, 12, 14, 20]),
        (0.3, [18, 27, 36, 42, 60]),
        (0.05, [3, 5, 6, 7, 10]),
    ],
)
def test_time_scale_multiplies_every_epoch(scale: float, epochs: list[int]) -> None:
    train = check(small.content(train={"time_scale": scale})).train
    assert [train.at_scale(epoch) for epoch in (60, 90, 120, 140, 200)] == epochs
    assert train.run_epochs == epochs[-1]


def test_a_whole_number_may_be_written_with_a_point() -> None:
    params = check(small.content(model={"width": 16.0}))
    assert repr(params.model.width) == "16"


def test_a_rate_that_decays_to_nothing_at_all_is_a_rate() -> None:
    rivals = {"batch": {**small.SHIPPED["expE"]["batch"], "decay_factor": 5e-324}}
    last = schedule(check(small.content(expE=rivals)), Variant("expE", "batch")).phases[-1]
    # The largest batch of pieces of 128, at a rate that no number stands for.
    assert (last.batch_size, last.setting("stem")) == (4992, 0.0)
