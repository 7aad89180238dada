"""The loss along straight lines between states: known answers, and which states are joined."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from netstab import paths
from netstab.data.prepare import prepare
from netstab.measure.barriers import between, loss_at, losses_between
from netstab.params import check
from netstab.results.runs import collect
from netstab.results.write import write_json
from netstab.stages import report
from netstab.stages import train as stage
from netstab.store.housekeeping import garbage
from netstab.store.ledger import Ledger, open_ledger
from netstab.study.barriers import height, pairs
from netstab.study.experiments import schedule, variants
from netstab.sweep import barriers
from tests import small
from tests.checkout import TINY, files_in
from tests.test_stage_train import ask_for

pytestmark = pytest.mark.xdist_group("barriers")  # what is trained once is trained in one process


def images(count: int = 32) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(7)
    return torch.randn(count, 3, 8, 8, generator=draw), torch.arange(count) % 4


def normed() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, bias=False),
        nn.BatchNorm2d(6),
        nn.Dropout(0.5),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 4),
    )


def copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


class Point(nn.Module):
    """A network that is a number: its output, whatever the images are."""

    def __init__(self) -> None:
        super().__init__()
        self.at = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.at.expand(len(x))


# Known answers


def line(model: nn.Module, first: Any, second: Any, points: int = 11, **how: Any) -> list[Any]:
    x, y = images()
    ends = [loss_at(model, state, x, y, **how) for state in (first, second)]
    return [ends[0], *losses_between(model, first, second, points, x, y, **how), ends[1]]


@pytest.mark.parametrize(("left", "right", "barrier"), [(-1, 1, 1.0), (-2, 2, 0.0), (1, 2, 0.0)])
def test_a_double_well_has_its_known_barrier(left: float, right: float, barrier: float) -> None:
    def well(found: Tensor, _: Tensor) -> Tensor:
        return (found.square() - 1).square().mean()

    ends = ({"at": torch.tensor(float(at))} for at in (left, right))
    losses = line(Point(), *ends, loss=well)
    where = [left + (right - left) * at / 10 for at in range(11)]
    assert losses == pytest.approx([(at**2 - 1) ** 2 for at in where], abs=1e-5)
    assert height(losses) == pytest.approx(barrier, abs=1e-5)


def test_a_line_of_constant_loss_has_no_barrier() -> None:
    # Batch norm takes the scale of a filter off again, with the statistics of each point alone.
    model = normed()
    first = copied(model)
    second = {**copied(model), "0.weight": 3 * first["0.weight"]}
    losses = line(model, first, second)
    assert losses == pytest.approx([losses[0]] * 11, abs=1e-4)
    assert height(losses) == pytest.approx(0, abs=1e-4)


def test_equal_ends_have_no_barrier_at_all() -> None:
    model = normed()
    state = copied(model)
    losses = line(model, state, state)
    assert len(set(losses)) == 1 and height(losses) == 0.0


def test_statistics_are_recomputed_and_running_ones_do_not_matter() -> None:
    model, other = normed(), normed()
    with torch.no_grad():
        other[0].weight.add_(0.1)
    first, second = copied(model), copied(other)
    x, y = images()
    there = between(first, second, 0.3)
    found = loss_at(model, there, x, y)
    # By hand: the mean and variance of the very images, with no dropout.
    signal = functional.conv2d(x, there["0.weight"])
    mean, variance = signal.mean((0, 2, 3)), signal.var((0, 2, 3), unbiased=False)
    shape = (1, -1, 1, 1)
    signal = (signal - mean.view(shape)) / (variance.view(shape) + 1e-5).sqrt()
    signal = signal * there["1.weight"].view(shape) + there["1.bias"].view(shape)
    logits = functional.linear(signal.mean((2, 3)), there["5.weight"], there["5.bias"])
    assert found == pytest.approx(float(functional.cross_entropy(logits, y)), abs=1e-5)
    for state in (first, second):
        state["1.running_mean"] += 100
        state["1.running_var"] *= 50
    assert loss_at(model, between(first, second, 0.3), x, y) == found


@pytest.mark.parametrize(
    ("losses", "barrier"),
    [
        ([1.0, 1.0, 1.0], 0.0),
        ([0.0, 1.0, 2.0], 0.0),
        ([1.0, 0.2, 1.0], 0.0),
        ([0.0, 3.0, 2.0], 2.0),
        ([2.0, 1.0, 1.5, 1.0, 0.0], 0.5),
        ([1.0, None, 1.0], None),
        ([1.0, 2.0, float("nan")], None),
    ],
)
def test_a_barrier_is_the_largest_excess_over_the_chord(
    losses: list[float | None], barrier: float | None
) -> None:
    assert height(losses) == barrier


def test_a_loss_that_is_not_finite_is_no_number() -> None:
    x, y = images()
    assert (
        loss_at(Point(), {"at": torch.tensor(1e30)}, x, y, lambda o, _: o.square().mean()) is None
    )


# Which states are joined


def test_pairs_of_the_article_sized_study() -> None:
    params = check(small.content())
    found = pairs(params, {v: schedule(params, v) for v in variants(params)})
    of_seed = [(p.run.variant.name, p.against, p.epoch) for p in found if p.run.seed == 0]
    assert len(of_seed) == 24 * 3 + 1 and len(found) == 3 * len(of_seed)
    assert of_seed[0] == ("baseline", "ema", 200)
    branches = {name: epoch for name, against, epoch in of_seed if against == "branch"}
    # From the baseline's path, also those that leave it together with others.
    assert set(branches.values()) == {60} and {"outpost", "expC-64", "expD-512"} <= set(branches)
    assert not {"expE-ema", "expE-bnrecal"} & {name for name, *_ in of_seed}


def test_a_run_that_never_leaves_the_baseline_or_does_so_at_once_has_no_branch() -> None:
    own = {"same": {}, "other": {"network": {"0": 0.05}}}
    params = check(small.content(own=own, outpost={"decay_epochs": []}, expE={}, seeds=[0]))
    found = pairs(params, {v: schedule(params, v) for v in variants(params)})
    whose = {(p.run.variant.name, p.against) for p in found}
    assert ("own-other", "baseline") in whose and ("own-other", "branch") not in whose
    assert not {name for name, _ in whose} & {"own-same", "outpost", "baseline"}
    none = {**small.SHIPPED["measure"], "barriers": {"images": None, "points": 11}}
    params = check(small.content(measure=none))
    assert not pairs(params, {v: schedule(params, v) for v in variants(params)})


# From stored states to metrics/barriers.json


EMA = {"start_epoch": 60, "decay": 0.9, "batch_norm_images": 64}
ASKED = {"images": 16, "points": 5}
STUDY: dict[str, Any] = {
    **TINY,
    "train": {**TINY["train"], "time_scale": 0.05},
    "measure": {**TINY["measure"], "barriers": ASKED},
    "expE": {"ema": EMA},
}
NAMES = ("baseline", "outpost", "expE-ema")


def ask(**changes: Any) -> None:
    ask_for(**{**STUDY, **changes})


def enter(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.chdir(folder)
    patch.delenv("DVC_ROOT", raising=False)
    patch.setenv("NETSTAB_STORE", str(folder / "store"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose runs are trained, and no barrier measured; nobody changes it."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        enter(folder, patch)
        ask()
        (folder / "dvc.yaml").touch()
        prepare(check(small.content(**STUDY)))
        for name in NAMES:
            stage.main(name, 0)
    return folder


@pytest.fixture
def checkout(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    enter(tmp_path, monkeypatch)
    return tmp_path


def measure() -> None:
    """What the stage `report` does before it makes the report."""
    told = report._barriers(ledger().params)
    write_json(paths.BARRIERS, told.model_dump(mode="json"))


def told() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(paths.BARRIERS.read_text())
    return content


def found() -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["run"], row["against"]): row for row in told()["barriers"]}


def missing() -> dict[tuple[str, str], str]:
    return {(row["run"], row["against"]): row["why"] for row in told()["missing"]}


def ledger() -> Ledger:
    return open_ledger(Path())


def trained_again(*_: Any) -> None:
    pytest.fail("it is measured already")


OUTPOST = [("outpost-0", against) for against in ("baseline", "branch", "ema")]


def test_the_report_measures_what_is_stored_and_trains_nothing(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states, runs = files_in(checkout / "store/states"), files_in(checkout / "metrics/runs")
    report.main()
    assert list(found()) == [("baseline-0", "ema"), *OUTPOST] and told()["missing"] == []
    assert files_in(checkout / "store/states") == states
    assert files_in(checkout / "metrics/runs") == runs, "no bit of a run depends on it"
    for row in found().values():
        assert len(row["losses"]) == 5 and row["barrier"] == height(row["losses"])
    # The same state is the end of several lines.
    outposts = {row["losses"][0] for (run, _), row in found().items() if run == "outpost-0"}
    averages = {row["losses"][-1] for (_, against), row in found().items() if against == "ema"}
    assert len(outposts) == len(averages) == 1
    assert found()["baseline-0", "ema"]["losses"][0] == found()[OUTPOST[0]]["losses"][-1]
    assert found()["outpost-0", "branch"]["epoch"] == 3
    assert {path.name for path in garbage(ledger())} == set()
    monkeypatch.setattr(barriers, "measure_barriers", trained_again)
    before = told()
    report.main()
    assert told() == before


def test_no_setting_of_barriers_touches_anything_else(checkout: Path) -> None:
    before = ledger()
    kept = {run: before.keys(run) for run in (small.run(before.params, name) for name in NAMES)}
    measure()
    first = found()
    ask(measure={**STUDY["measure"], "barriers": {"images": 24, "points": 3}})
    assert {run: ledger().keys(run) for run in kept} == kept
    stage.main("outpost", 0)
    measure()
    assert found().keys() == first.keys()
    assert {len(row["losses"]) for row in found().values()} == {3}
    ask(measure={**STUDY["measure"], "barriers": {"images": None, "points": 3}})
    measure()
    assert told()["barriers"] == told()["missing"] == []
    assert collect(ledger().params).barriers.problem == ""


def test_a_changed_end_leaves_no_stale_barrier(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure()
    first = found()
    ask(expE={"ema": {**EMA, "decay": 0.5}})
    stage.main("expE-ema", 0)
    # The file of before, read for the parameters of today, as in another checkout.
    known = collect(ledger().params).barriers
    assert {(run.name, against) for run, against in known.found} == set(OUTPOST[:2])
    assert "outpost-0 to ema" in "".join(known.missing)
    measure()
    assert found()["outpost-0", "branch"] == first["outpost-0", "branch"]
    assert found()["outpost-0", "baseline"] == first["outpost-0", "baseline"]
    assert found()["outpost-0", "ema"]["losses"] != first["outpost-0", "ema"]["losses"]
    ask(outpost={"decay_factor": 0.5})
    stage.main("outpost", 0)
    measure()
    assert not {row["key"] for row in found().values()} & {first[at]["key"] for at in OUTPOST}
    assert found()["baseline-0", "ema"] == first["baseline-0", "ema"]
    assert collect(ledger().params).barriers.missing == ()


def test_a_clone_without_states_keeps_its_barriers_and_names_what_it_lacks(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure()
    before = told()
    monkeypatch.setenv("NETSTAB_STORE", str(checkout / "empty"))
    measure()
    assert told() == before
    ask(measure={**STUDY["measure"], "barriers": {"images": 12, "points": 5}})
    measure()
    assert told()["barriers"] == []
    assert missing()["outpost-0", "ema"] == "the run's end is not in the store"
    known = collect(ledger().params).barriers
    assert not known.found
    names = ", ".join(f"{run} to {other}" for run, other in [("baseline-0", "ema"), *OUTPOST])
    assert known.missing == (f"{names}: the run's end is not in the store",)


def test_barriers_are_the_same_bits_in_whatever_process_and_order(checkout: Path) -> None:
    measure()
    first = found()
    ready = ledger().unmeasured_barriers
    assert ready() == ([], {})
    for key in (row["key"] for row in list(first.values())[1:]):
        # Another process, that finds some of them there.
        ledger().measurements.remove(key)
        paths.BARRIERS.unlink()
        measure()
        assert found() == first


def test_a_damaged_state_leaves_its_barriers_out_and_the_others_in(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = ledger()
    record = study.store.record(study.end_key(small.run(study.params, "expE-ema")))
    assert record is not None
    path = study.store.tensors_file(record)
    assert path is not None
    path.write_bytes(b"cut")
    measure()
    assert list(found()) == OUTPOST[:2]
    assert missing()["outpost-0", "ema"] == "the state that it is joined with is not in the store"
    assert "is set aside" in capsys.readouterr().err
