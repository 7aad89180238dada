"""A network of one's own: found, checked, hashed, trained and measured."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML
from torch import Tensor, nn

from netstab import paths, source_code
from netstab.errors import NetstabError, ParameterError
from netstab.evidence import report
from netstab.measure.stability import compare, signals
from netstab.networks.network import build
from netstab.params import Params, check
from netstab.results.runs import collect
from netstab.results.schema import Origin
from netstab.store import finished
from netstab.store.why import explain
from netstab.study import cost
from netstab.study.experiments import runs
from netstab.study.keys import identity
from netstab.study.measuring import boundaries
from netstab.sweep.estimate import seconds
from netstab.training import trajectory
from tests import small
from tests.checkout import TINY

PAGE = (small.ROOT / "docs" / "NETWORKS.md").read_text(encoding="utf-8")
BLOCKS = {"early": ["first", "second"], "late": ["third", "classifier"]}


def study(name: str = "networks.example:Net", **changes: Any) -> Params:
    model = {"name": name, "norm": "none", "width": None, "arguments": {"width": 4}}
    model |= changes.pop("model", {})
    return small.params(model=model, blocks=changes.pop("blocks", BLOCKS), own={}, **changes)


def made(
    function: Callable[..., nn.Module], monkeypatch: pytest.MonkeyPatch, **changes: Any
) -> Any:
    """The network of a function, as `networks.example:made` would be."""
    monkeypatch.setattr("networks.example.made", function, raising=False)
    model = {"arguments": {}, **changes.pop("model", {})}
    return build(study("networks.example:made", model=model, **changes), 3, 10)


# Building


def test_the_function_is_called_with_channels_classes_and_arguments() -> None:
    network = build(study(), 3, 10)
    shapes = [tuple(weight.shape) for weight in network.module.parameters()]
    assert shapes[0] == (4, 3, 3, 3) and shapes[-1] == (10,)
    assert tuple(network.parts) == ("first", "second", "third", "classifier")


def test_its_own_initialisation_depends_on_the_seed_alone() -> None:
    network, torch_state = build(study(), 3, 10), torch.get_rng_state()

    def first(seed: int) -> list[Tensor]:
        network.initialise(network.module, seed)
        return [weight.detach().clone() for weight in network.module.parameters()]

    one, other, again = first(0), first(1), first(0)
    assert all(map(torch.equal, one, again))
    assert not any(map(torch.equal, one, other))
    assert torch.equal(torch.get_rng_state(), torch_state)
    # torch's own: uniform within 1 / sqrt(fan-in), which ours is not.
    assert float(one[0].abs().max()) == pytest.approx(27**-0.5, rel=0.05)


class Twice(nn.Module):
    """Calls a part twice, and another one before the first."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 4, 3, padding=1)
        self.again = nn.Conv2d(4, 4, 3, padding=1)
        self.tail = nn.Linear(4, classes)

    def forward(self, x: Tensor) -> Tensor:
        h = self.again(self.again(self.first(x)).relu_())
        return self.tail(h.relu_().mean((2, 3)))


TWICE = {"one": ["first"], "two": ["again"], "three": ["tail"]}


def test_a_part_that_is_called_twice_is_said_and_its_signals_are_left_empty(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = made(Twice, monkeypatch, blocks=TWICE)
    assert "calls its part again 2 times in a forward pass, not once" in capsys.readouterr().err
    params = study("networks.example:made", model={"arguments": {}}, blocks=TWICE)
    x, y = torch.randn(6, 3, 8, 8), torch.arange(6)
    before = signals(network.module, boundaries(params), x, y)
    with torch.no_grad():
        network.module.first.weight.mul_(2)
    after = signals(network.module, boundaries(params), x, y)
    rows = {row["block"]: row for row in compare(before, after, "step", None)}
    assert list(rows) == ["one", "two", "three", "network"]
    assert rows["two"]["forward_change"] is rows["two"]["backward_cka"] is None
    for block, direction in (("one", "backward"), ("three", "forward"), ("network", "forward")):
        assert rows[block][f"{direction}_change"] > 0
    assert rows["one"]["forward_change"] == 0


def test_signals_are_those_that_came_and_went_though_they_are_changed_in_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = made(Twice, monkeypatch, blocks=TWICE).module
    x = torch.randn(2, 3, 8, 8)
    found = signals(network, {"all": ("first", "tail")}, x, torch.zeros(2, dtype=torch.int64))
    h = network.again(network.again(network.first(x)).relu())
    torch.testing.assert_close(found.forward["network"], h.relu().mean((2, 3)))
    torch.testing.assert_close(found.logits, network(x))


@pytest.mark.parametrize(
    ("name", "changes", "fault"),
    [
        ("networks.nowhere:net", {}, "model.name: there is no module networks.nowhere in the ch"),
        ("networks.example:net", {}, "model.name: networks.example has no function net"),
        ("networks.example:Net", {"norm": "batch"}, "model.norm: is batch, and networks.example"),
        (
            "networks.example:Net",
            {"parts": {"first": ["second"], "second": ["first"], "third": ["third"]}},
            "blocks.late: 'classifier' is no part",
        ),
        (
            "networks.example:Net",
            {
                "parts": {"first": ["first"], "second": ["third"], "third": ["second"]}
                | {"classifier": ["classifier"]}
            },
            "model.parts: third is called where second comes; name parts in the order of calls",
        ),
        (
            "networks.example:Net",
            {"parts": {n: [n] for n in ("first", "second", "third")} | {"classifier": ["third"]}},
            "model.parts: classifier.weight belongs to no part",
        ),
    ],
)
def test_what_is_no_such_network_is_refused_with_what_to_do(
    name: str, changes: dict[str, Any], fault: str, tmp_path: Path
) -> None:
    with pytest.raises(NetstabError, match=re.escape(fault)):
        params = study(name, model=changes)
        small.ledger(params, tmp_path)
        build(params, 3, 10)


def test_logits_of_another_shape_and_what_is_no_module_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ParameterError, match=r"makes \(2, 8\) of 2 images, not logits \(2, 10\)"):
        made(
            lambda channels, classes: nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 8)),
            monkeypatch,
            blocks={"all": ["1"]},
        )
    with pytest.raises(ParameterError, match=r"does not use idle\.weight"):

        def idle(channels: int, classes: int) -> nn.Module:
            network = Twice(channels, classes)
            network.idle = nn.Linear(2, 2, bias=False)
            return network

        made(idle, monkeypatch, blocks={**TWICE, "four": ["idle"]})
    with pytest.raises(ParameterError, match="blocks: first is called where again comes"):
        made(Twice, monkeypatch, blocks={"a": ["again"], "b": ["first"], "c": ["tail"]})
    with pytest.raises(ParameterError, match=r"makes a dict, no nn\.Module"):
        made(lambda channels, classes: {}, monkeypatch)  # type: ignore[arg-type]


class Tail(nn.Module):
    """Two parts; what it does with images can be made anything."""

    def __init__(self, channels: int, classes: int, *, fails: str = "") -> None:
        super().__init__()
        self.body = nn.Conv2d(channels, 4, 3)
        self.tail = nn.Linear(4, classes)
        self.fails = fails
        if fails == "begin":
            raise ValueError("no such width")
        if fails == "frozen":
            self.tail.bias.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        h = self.body(x)
        if self.fails == "draw":
            h = h + torch.randn_like(h)
        logits: Tensor = self.tail(h if self.fails == "forward" else h.mean((2, 3)))
        return logits


@pytest.mark.parametrize(
    ("fails", "fault"),
    [
        ("begin", r"called with channels, classes, fails: ValueError: no such width \(.*py, line"),
        (
            "forward",
            r"cannot take images \(2, 3, 16, 16\): RuntimeError: .* \(.*own.*py, line \d+\)",
        ),
        ("frozen", r"asks for no gradient of tail\.bias; make buffers of them, or train them"),
        ("draw", "makes other logits of the same images when asked again; in mode eval it must"),
    ],
)
def test_what_the_users_code_raises_or_cannot_do_is_told_with_its_place(
    fails: str, fault: str
) -> None:
    # As if this file were the user's.
    blocks = {"all": ["body", "tail"]}
    model = {"name": "tests.test_own_network:Tail", "arguments": {"fails": fails}}
    with pytest.raises(ParameterError, match=fault):
        build(study("tests.test_own_network:Tail", model=model, blocks=blocks), 3, 10)


def test_a_module_that_cannot_be_imported_is_told_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lacking.py").write_text("\nimport nowhere_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    told = "lacking cannot be imported: ModuleNotFoundError: No module named 'nowhere_at_all' ("
    with pytest.raises(ParameterError, match=re.escape(told) + r".*lacking\.py, line 2\)"):
        build(study("lacking:net"), 3, 10)


def test_layers_that_take_their_size_from_the_first_images_begin_by_the_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lazy(channels: int, classes: int) -> nn.Module:
        head = nn.Sequential(nn.Flatten(), nn.LazyLinear(classes))
        return nn.Sequential(nn.Conv2d(channels, 2, 3), head)

    network = made(lazy, monkeypatch, blocks={"all": ["0", "1"]})
    network.initialise(network.module, 0)
    first = network.module.get_parameter("1.1.weight").detach().clone()
    network.initialise(network.module, 1)
    other = network.module.get_parameter("1.1.weight").detach().clone()
    network.initialise(network.module, 0)
    assert first.shape == (10, 2 * 14 * 14)
    assert torch.equal(network.module.get_parameter("1.1.weight"), first)
    assert not torch.equal(other, first)


def test_single_parameters_and_nested_modules_can_be_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tokens(nn.Module):
        def __init__(self, channels: int, classes: int) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))
            self.body = nn.Sequential(nn.Flatten(), nn.Linear(channels * 256, 8), nn.Tanh())
            self.tail = nn.Linear(8, classes)

        def forward(self, x: Tensor) -> Tensor:
            return self.tail(self.body(self.scale * x))

    parts = {"in": ["scale", "body.1"], "out": ["tail"]}
    network = made(Tokens, monkeypatch, model={"parts": parts}, blocks={"a": ["in"], "b": ["out"]})
    assert network.parts == {"in": ("scale", "body.1"), "out": ("tail",)}


# Keys


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a package of one's own."""
    for name in ("params.yaml", "dvc.yaml", "mine/__init__.py", "mine/parts.py", "other.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    text = "import torch\nfrom . import parts\n\ndef net(): import other\n"
    (tmp_path / "mine" / "net.py").write_text(text)
    (tmp_path / "mine" / "unused.py").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["mine/net.py", "mine/parts.py", "mine/__init__.py"])
def test_a_change_in_the_code_or_in_what_it_imports_changes_its_hash(name: str, code: Path) -> None:
    before = source_code.digest("mine.net:net")
    assert source_code.digest("mine.net:other") == before
    for unused in ("mine/unused.py", "other.py"):
        (code / unused).write_text("x = 1\n")
    assert source_code.digest("mine.net:net") == before
    with (code / name).open("a") as file:
        file.write("# changed\n")
    assert source_code.digest("mine.net:net") != before


def test_the_hash_is_the_same_wherever_the_code_lies_and_nothing_is_run(
    code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code / "mine" / "parts.py").write_text("raise RuntimeError\n")
    before = source_code.digest("mine.net:net")
    monkeypatch.syspath_prepend(str(code))
    (code / "elsewhere").mkdir()
    (code / "params.yaml").unlink()
    monkeypatch.chdir(code / "elsewhere")  # as on a node of a cluster
    assert source_code.digest("mine.net:net") == before
    shutil.rmtree(code / "mine")
    with pytest.raises(NetstabError, match="there is no module mine"):
        source_code.digest("mine.net:net")


def test_code_that_is_no_python_is_named(code: Path) -> None:
    (code / "mine" / "parts.py").write_text("def\n")
    with pytest.raises(NetstabError, match=r"mine.parts\.py is no Python"):
        source_code.digest("mine.net:net")


def test_the_codes_hash_and_its_arguments_are_in_a_states_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def key(params: Params) -> str:
        ledger = small.ledger(params, tmp_path)
        return ledger.end_key(small.run(params, "baseline"))

    before = key(study())
    assert key(study(model={"arguments": {"width": 5}})) != before
    assert key(study("networks.example:Twin")) != before
    monkeypatch.setattr(source_code, "digest", lambda name: "another")
    assert key(study()) != before


def test_time_of_a_network_that_nothing_was_trained_of_is_a_lower_bound(tmp_path: Path) -> None:
    params = study(seeds=[0], experiments=[], expE={})
    ledger = small.ledger(params, tmp_path)
    work = ledger.outstanding()[0]
    steps = sum(w.epochs for w in work) * (small.IMAGES // params.train.batch_size)
    assert seconds(ledger, work, gpu=False, threads=1) == (
        pytest.approx(steps * cost.ROUGH_STEP_S_CPU),
        False,
    )
    trajectory.train(ledger, small.run(params, "baseline"), small.context(params), small.silent)
    spent, measured = seconds(ledger, work, gpu=False, threads=1)
    assert measured and spent > 0


def test_a_changed_network_is_named_by_plan_explain(tmp_path: Path) -> None:
    params = study(seeds=[0], experiments=[], expE={})
    ledger = small.ledger(params, tmp_path)
    run = small.run(params, "baseline")
    trajectory.train(ledger, run, small.context(params), small.silent)
    ledger.code = "changed"
    ledger._keys.clear()
    (reason, _) = explain(ledger)
    assert [(c.name, c.new) for c in reason.changes] == [("model.code", "changed")]


def test_keys_of_the_articles_network_hold_what_they_always_held() -> None:
    told = identity(check(small.content()), 0, data="d", numerics=1)
    assert told["model"] == {"width": 64}
    group = check(small.content(model={"norm": "group"}))
    assert identity(group, 0, data="d", numerics=1)["model"] == {
        "name": "resnet18",
        "norm": "group",
        "width": 64,
    }


# The example of docs/NETWORKS.md


def test_the_example_is_the_code_that_lies_there() -> None:
    (shown,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    text = (small.ROOT / "networks" / "example.py").read_text(encoding="utf-8")
    assert text.partition("\n\n")[2] == shown


@pytest.mark.long
def test_the_example_comes_to_its_curves_and_verdicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shown,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    sections = YAML(typ="safe", pure=True).load(shown)
    content = small.content(
        seeds=[0, 1, 2],
        experiments=["expC"],
        train={"time_scale": 0.05, "batch_size": 8, "precision": "fp32", "crop_padding": 2},
        data={"image_size": small.SIZE},
        measure=TINY["measure"],
        expE={"bnrecal": small.SHIPPED["expE"]["bnrecal"]},
        ceiling={"seeds": []},
        runtime={"threads": 1, "device": "cpu", "save_interval_s": 1e6},
    )
    params = check({**content, **sections})
    ledger, context = small.ledger(params, tmp_path / "store"), small.context(params)
    shutil.copytree(small.ROOT / "networks", tmp_path / "networks")
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    data = Origin(name="small", official=False, content_sha256="small")

    observer = small.observing(ledger, context)
    for run in runs(params):
        record = trajectory.train(ledger, run, context, small.silent, observer)
        finished.write(ledger, run, record, data, root=tmp_path)
    assert not collect(params).faults
    results = report.make(params)
    verdicts = {judgement.id: judgement for judgement in results.judgements}
    assert str(verdicts["A1"].verdict) in ("supported", "contradicted", "inconclusive")
    assert {part.name.split(":")[0] for part in verdicts["C3"].parts} == {"expC-early", "expC-late"}
    assert "early blocks (64, 128): early; late blocks (256, 512): late" in verdicts["C4"].note
    assert "speaks of batch norm, and the norm is none" in verdicts["R-bnrecal"].note
    page = paths.REPORT.read_text(encoding="utf-8")
    assert "The network networks.example:Net is trained" in page
    assert "early" in paths.CURVES.read_text()
    with (tmp_path / "networks" / "example.py").open("a") as file:
        file.write("# changed\n")
    with pytest.raises(NetstabError, match="was trained with other settings"):
        collect(params)
