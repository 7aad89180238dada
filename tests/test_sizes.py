"""`netstab size`: a supported size, written into params.yaml and taken back."""

import copy
import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import dumps_yaml

from netstab.commands import study
from netstab.data import subset
from netstab.errors import NetstabError
from netstab.params import read, sizes
from tests import small
from tests.repository import netstab

SHIPPED = (small.ROOT / "params.yaml").read_text(encoding="utf-8")
KNOWN = sizes.read_sizes(small.ROOT / "sizes.yaml")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    for name in ("dvc.yaml", "params.yaml", "sizes.yaml"):
        shutil.copy(small.ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)

    def kept() -> Path:
        return tmp_path / ".netstab" / "downloads" / "cifar10-head.tar.gz"

    monkeypatch.setattr(subset, "official", kept)
    return tmp_path


def written(root: Path) -> str:
    return (root / "params.yaml").read_text(encoding="utf-8")


def test_the_shipped_parameters_are_the_article_s() -> None:
    content = read(small.ROOT / "params.yaml").model_dump(mode="json")
    assert sizes.differences(content, KNOWN["article"]) == []
    assert sizes.nearest(content, KNOWN) == "article"


def test_the_article_names_every_key_that_a_size_changes() -> None:
    assert set(KNOWN["article"]) >= {key for size in KNOWN.values() for key in size}


@pytest.mark.parametrize("size", ["demo", "mini"])
def test_a_size_changes_its_own_lines_alone_twice_is_once_and_article_restores_to_the_byte(
    size: str, checkout: Path
) -> None:
    said = netstab("size", size).stdout.splitlines()
    after = written(checkout)
    kept = {"data.source": ".netstab/downloads/cifar10-head.tar.gz", "data.name": subset.NAME}
    values = sizes.whole(KNOWN, size) | (kept if size == "mini" else {})
    assert said == [
        f"{key}: {json.dumps(old)} -> {json.dumps(values[key])}"
        for key, old in KNOWN["article"].items()
        if values[key] != old
    ]
    before, now = SHIPPED.splitlines(), after.splitlines()
    assert [x for x in before if x.lstrip().startswith("#")] == [
        x for x in now if x.lstrip().startswith("#")
    ]
    content = read(checkout / "params.yaml").model_dump(mode="json")
    assert sizes.differences(content, KNOWN[size]) == []
    assert netstab("size", size).stdout == "params.yaml has this size already\n"
    assert written(checkout) == after
    netstab("size", "article")
    assert written(checkout) == SHIPPED


def test_every_size_can_follow_every_other(checkout: Path) -> None:
    alone = {}
    for size in KNOWN:
        netstab("size", size)
        alone[size] = written(checkout)
        netstab("size", "article")
    for first in KNOWN:
        for second in KNOWN:
            netstab("size", first)
            netstab("size", second)
            assert written(checkout) == alone[second], (first, second)


def test_what_the_user_changed_beside_the_size_stays(checkout: Path) -> None:
    changed = SHIPPED.replace("expB:\n  freeze_epoch: 60", "expB:\n  freeze_epoch: 90").replace(
        "  width: 64\n", "  width: 64  # channels of the stem\n"
    )
    (checkout / "params.yaml").write_text(changed, encoding="utf-8")
    netstab("size", "demo")
    assert "expB:\n  freeze_epoch: 90" in written(checkout)
    assert "  width: 8   # channels of the stem\n" in written(checkout)
    netstab("size", "article")
    assert written(checkout) == changed


def test_a_rival_that_is_removed_stays_removed(checkout: Path) -> None:
    start, end = SHIPPED.index("  ema:"), SHIPPED.index("  # the baseline, its batch")
    (checkout / "params.yaml").write_text(SHIPPED[:start] + SHIPPED[end:], encoding="utf-8")
    netstab("size", "demo")
    assert read(checkout / "params.yaml").expE.ema is None
    assert netstab("size").stdout == "demo\n"


def test_the_size_that_params_yaml_has_is_named_with_what_differs(checkout: Path) -> None:
    assert netstab("size").stdout == "article\n"
    netstab("size", "mini")
    text = written(checkout).replace("seeds:\n- 0\n", "seeds:\n- 0\n- 1\n", 1)
    (checkout / "params.yaml").write_text(text, encoding="utf-8")
    assert netstab("size").stdout == "mini, but for\n  seeds: [0, 1] instead of [0]\n"
    assert json.loads(netstab("size", "--json").stdout) == {
        "size": "mini",
        "differences": {"seeds": {"value": [0, 1], "of_size": [0]}},
    }
    assert json.loads(netstab("size", "mini", "--json").stdout) == {
        "size": "mini",
        "changes": {"seeds": {"old": [0, 1], "new": [0]}},
    }
    assert json.loads(netstab("size", "mini", "--json").stdout)["changes"] == {}


def test_mini_names_its_images_within_the_checkout_and_takes_others(checkout: Path) -> None:
    netstab("size", "mini")
    data = read(checkout / "params.yaml").data
    assert (data.source, data.name) == (".netstab/downloads/cifar10-head.tar.gz", subset.NAME)
    (checkout / "pets.zip").touch()
    netstab("size", "mini", "--source", "pets.zip")
    data = read(checkout / "params.yaml").data
    assert (data.source, data.name) == ("pets.zip", None)
    assert "demo takes no images" in netstab("size", "demo", "--source", "x.zip", code=1).stderr


@pytest.mark.parametrize(
    "source",
    ["dir #1/x.zip", "my pics: 2024.zip", "@a", "*a", "&a", "2024", "null", " a", "{a}", "x " * 99],
)
def test_images_of_any_name_are_read_back_as_they_were_named(source: str, checkout: Path) -> None:
    (checkout / source).parent.mkdir(exist_ok=True)
    (checkout / source).touch()
    netstab("size", "mini", "--source", source)
    assert read(checkout / "params.yaml").data.source == source
    netstab("size", "article")
    assert written(checkout) == SHIPPED


def test_a_section_in_one_line_stays_in_one(checkout: Path) -> None:
    block, line = "  name: resnet18\n", "model: {name: resnet18, norm: batch, width: 64}\n"
    start, end = SHIPPED.index("model:\n" + block), SHIPPED.index("\n# Images:")
    (checkout / "params.yaml").write_text(SHIPPED[:start] + line + SHIPPED[end:], encoding="utf-8")
    netstab("size", "demo")
    assert line.replace("64", "8") in written(checkout)
    assert read(checkout / "params.yaml").model.width == 8


def test_a_size_that_is_not_there_or_a_file_that_cannot_be_used_is_refused_and_nothing_written(
    checkout: Path,
) -> None:
    for command in ("size", "study"):
        said = netstab(command, "huge", code=1).stderr
        assert said == "huge: is not a size; sizes.yaml has demo, mini, article\n"
    (checkout / "params.yaml").write_text("seeds: [", encoding="utf-8")
    assert "is not valid YAML" in netstab("size", "demo", code=1).stderr
    assert written(checkout) == "seeds: ["


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("- 1\n", "holds no sizes"),
        ("demo: {}\n", "lacks article"),
        ("article: [\n", "(?s)cannot be read"),
        ("article: 2020-13-13\n", r"cannot be read \(month must be in 1..12\)"),
    ],
)
def test_sizes_that_cannot_be_used_are_refused(text: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "sizes.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(NetstabError, match=rf"{fault}.*; restore it: git checkout -- sizes.yaml"):
        sizes.read_sizes(tmp_path / "sizes.yaml")


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("a:\n- 1\n- 2\nb: 1\n", {"a": []}, "a: []\nb: 1\n"),
        ("a: []\nb: 1\n", {"a": [1, 2]}, "a:\n- 1\n- 2\nb: 1\n"),
        (
            "a:\n  b:\n  - 1\n  # of c\n  c: 2\n",
            {"a.b": [3]},
            "a:\n  b:\n  - 3\n  # of c\n  c: 2\n",
        ),
        ("a:\n- 1\n\n# of b\nb: 2\n", {"a": []}, "a: []\n\n# of b\nb: 2\n"),
        ("a: []\n\n# of b\nb: 2\n", {"a": [1]}, "a:\n- 1\n\n# of b\nb: 2\n"),
        ("a: [1, 2]  # two\n", {"a": [1]}, "a:         # two\n- 1\n"),
        ("a:\n  b:   # nothing\n  c: 1\n", {"a.b": 2}, "a:\n  b: 2 # nothing\n  c: 1\n"),
        ("a: {b: 1, c: [2]}  # d\ne: 1\n", {"a.b": 3, "a.c": []}, "a: {b: 3, c: []}   # d\ne: 1\n"),
        ("a: true\n", {"a": False, "b": 1}, "a: false\n"),
        ("a: 1.0\n", {"a": 1}, "a: 1.0\n"),
        ("a:\n  - 1\nb:    2", {"a": [1], "c": 3}, "a:\n  - 1\nb:    2"),
        ("a: last", {"a": "else"}, "a: else\n"),
    ],
)
def test_values_are_written_where_they_stand(
    text: str, values: sizes.Values, expected: str
) -> None:
    assert sizes.write_values(text, values) == expected


def asked_of_dvc(checkout: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> list[str]:
    """The overrides that `netstab study` gives to DVC, which is not started."""
    asked: list[list[str]] = []
    subset.official().parent.mkdir(parents=True, exist_ok=True)
    subset.official().touch()
    monkeypatch.setattr(study.preflight, "check", lambda root: None)
    monkeypatch.setattr(study, "run_dvc", lambda _root, command, _env: asked.append(command) or 1)
    assert "the study stopped" in netstab("study", *words, code=1).stderr
    (command,) = asked
    return [word for before, word in pairwise(command) if before == "-S"]


def test_a_study_of_ones_own_images_drops_the_name_of_those_before(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netstab("size", "mini")
    (checkout / "pets.zip").touch()
    overrides = asked_of_dvc(checkout, monkeypatch, "mini", "--source", "pets.zip")
    apply_overrides(str(checkout / "params.yaml"), overrides)
    data = read(checkout / "params.yaml").data
    assert (data.source, data.name) == ("pets.zip", None)


@pytest.mark.parametrize("command", ["size", "study"])
def test_images_of_ones_own_are_sought_from_the_current_folder_and_have_to_be_there(
    command: str, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / "below").mkdir()
    monkeypatch.chdir(checkout / "below")
    (checkout / "pets.zip").touch()
    monkeypatch.setattr(study.preflight, "check", lambda root: None)
    said = netstab(command, "mini", "--source", "pets.zip", code=1).stderr
    assert said == "pets.zip: is not there; name an archive or a folder of images\n"
    assert written(checkout) == SHIPPED
    for source, named in [
        ("../pets.zip", "pets.zip"),
        ("https://x.org/pets.zip", "https://x.org/pets.zip"),
    ]:
        if command == "study":
            overrides = asked_of_dvc(checkout, monkeypatch, "mini", "--source", source)
            apply_overrides(str(checkout / "params.yaml"), overrides)
        else:
            netstab("size", "mini", "--source", source)
        assert read(checkout / "params.yaml").data.source == named


OPTIONAL = ("data.source", "data.name", "data.sha256", "own.warm_restart", "expE")
RIVALS = ("expE.ema", "expE.bnrecal", "expE.batch", "expE.head")


@pytest.mark.parametrize("size", KNOWN)
@pytest.mark.parametrize("removed", [*RIVALS, *OPTIONAL])
def test_a_study_of_any_size_needs_no_key_that_may_be_left_out(
    size: str, removed: str, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = copy.deepcopy(small.SHIPPED)
    section, _, key = removed.partition(".")
    if key:
        del content[section][key]
    else:
        content[section] = {}
    (checkout / "params.yaml").write_text(dumps_yaml(content), encoding="utf-8")
    overrides = asked_of_dvc(checkout, monkeypatch, size)
    apply_overrides(str(checkout / "params.yaml"), overrides)
    params = read(checkout / "params.yaml")
    left = {name for name in RIVALS if not name.startswith(removed)}
    assert {f"expE.{name}" for name in params.expE.rivals} == left
    kept = ".netstab/downloads/cifar10-head.tar.gz"
    assert params.data.source == (kept if size == "mini" else None)


def test_a_mini_study_without_a_source_takes_the_head_of_cifar10(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def sources(*words: str, **data: Any) -> list[str]:
        content = small.content(data={"dataset": "cifar10", "source": None, **data})
        (checkout / "params.yaml").write_text(dumps_yaml(content), encoding="utf-8")
        overrides = asked_of_dvc(checkout, monkeypatch, *words)
        named = any(word == f"++data.name='{subset.NAME}'" for word in overrides)
        assert named == any("cifar10-head.tar.gz" in word for word in overrides)
        return [word for word in overrides if word.lstrip("+").startswith("data.source")]

    assert sources("mini") == ["++data.source='.netstab/downloads/cifar10-head.tar.gz'"]
    assert sources("article") == []
    assert sources("mini", "--source", "dvc.yaml") == ["++data.source='dvc.yaml'"]
    outside = tmp_path_factory.mktemp("elsewhere") / "pets.zip"
    outside.touch()
    assert sources("mini", "--source", str(outside)) == [f"++data.source='{outside}'"]
    # Whoever names images gets these.
    assert sources("mini", "-S", "data.source=/mine") == ["data.source=/mine"]
    assert sources("mini", "-S", "data.dataset=cifar100") == []
    assert sources("mini", source="/mine") == []
    assert sources("mini", dataset="cifar100") == []


@pytest.mark.parametrize("size", KNOWN)
def test_a_rival_that_an_override_removes_stays_removed(
    size: str, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removals = [word for name in RIVALS for word in ("-S", f"~{name}")]
    overrides = asked_of_dvc(checkout, monkeypatch, size, *removals)
    apply_overrides(str(checkout / "params.yaml"), overrides)
    assert read(checkout / "params.yaml").expE.rivals == {}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("seeds=0", "  seeds: should be a list (found 0); write [0]\n"),
        ("own=null", "  own: is empty; write {} for none\n"),
        ("expB.freeze_epoch=500", "  expB.freeze_epoch: 500 is past the end"),
        ("expB.freeze_epok=5", "-S: Could not override 'expB.freeze_epok'"),
        ("~expE.nothing", "-S: Could not delete from config. 'expE.nothing' does"),
        ("seeds=[0", "-S: "),
        ("expB.freeze_epoch=60,90", "-S expB.freeze_epoch=60,90: has several values, and a study"),
        ("seeds=range(3)", "-S seeds=range(3): has several values, and a study takes one"),
    ],
)
def test_a_study_names_what_is_wrong_with_an_override_before_dvc_starts(
    override: str, said: str, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study.preflight, "check", lambda root: None)
    monkeypatch.setattr(study, "run_dvc", None)
    assert said in netstab("study", "demo", "-S", override, code=1).stderr


@pytest.mark.parametrize("key", ["source", "name"])
def test_a_size_that_cannot_be_written_says_which_key_it_lacks(key: str, checkout: Path) -> None:
    before = SHIPPED.replace(f"  {key}:\n", "")
    (checkout / "params.yaml").write_text(before, encoding="utf-8")
    said = netstab("size", "mini", code=1).stderr
    assert said == f"params.yaml: lacks data.{key}, which mini needs; add the key\n"
    assert written(checkout) == before
    netstab("size", "demo")
