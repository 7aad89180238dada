"""Views of the baseline: averaged weights and recomputed statistics, at no epoch's cost."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from netstab.errors import DivergedError
from netstab.measure.evaluate import evaluate
from netstab.measure.probe import probe
from netstab.measure.views import laid_out, move_average, recompute_batch_norm, start_average
from netstab.params import Params
from netstab.store.ledger import Ledger
from netstab.store.records import Record
from netstab.study.experiments import Run
from netstab.training import state, trajectory, views
from tests import small

COLUMNS = ("val_loss", "val_top1_pct", "val_top5_pct")
VIEWS = ("expE-ema", "expE-bnrecal")


def study(**changes: object) -> Params:
    views = {
        "ema": {"start_epoch": 60, "decay": 0.8, "batch_norm_images": 32},
        "bnrecal": {"start_epoch": 60, "batch_norm_images": 32},
    }
    return small.params(experiments=[], own={}, expE=views, **changes)


def train(ledger: Ledger, name: str, counted: list[int] | None = None) -> Record:
    def count(run: Run, row: dict[str, int | float], seconds: float) -> None:
        if counted is not None:
            counted.append(int(row["epoch"]))

    run = small.run(ledger.params, name)
    return trajectory.train(ledger, run, small.context(ledger.params), count)


def test_views_are_recorded_while_the_baseline_trains_and_cost_no_epoch(tmp_path: Path) -> None:
    ledger = small.ledger(study(), tmp_path)
    counted: list[int] = []
    baseline = train(ledger, "baseline", counted)
    views = [train(ledger, name, counted) for name in VIEWS]
    assert counted == list(range(10))
    for view in views:
        training = [{k: v for k, v in row.items() if k not in COLUMNS} for row in view.history]
        assert training == [
            {k: v for k, v in row.items() if k not in COLUMNS} for row in baseline.history
        ]
        assert view.history[:3] == baseline.history[:3], "a past in common up to the start"
        assert all(
            v["val_loss"] != b["val_loss"]
            for v, b in zip(view.history[3:], baseline.history[3:], strict=True)
        )


def test_the_baseline_has_the_same_bits_with_views_and_without(tmp_path: Path) -> None:
    with_views = small.ledger(study(), tmp_path / "with")
    without = small.ledger(small.params(experiments=[], own={}, expE={}), tmp_path / "without")
    one, other = train(with_views, "baseline"), train(without, "baseline")
    assert one.key == other.key
    assert one.history == other.history
    assert state.equal(small.tensors(with_views, one), small.tensors(without, other))


def test_a_view_whose_loss_is_not_finite_costs_the_baseline_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = (small.ledger(study(), tmp_path / name) for name in ("whole", "broken"))
    expected = train(whole, "baseline")
    nan = SimpleNamespace(loss=float("nan"), top1_pct=0.0, top5_pct=0.0)
    monkeypatch.setattr(views, "evaluate", lambda *_: nan)
    assert train(broken, "baseline").history == expected.history
    for name in VIEWS:
        with pytest.raises(DivergedError, match=f"{name}-0: the validation loss") as refused:
            train(broken, name)
        assert refused.value.history == expected.history[:3]
        assert refused.value.segments[-1]["to"] == 3


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_cut_at_every_epoch_or_asked_for_later_is_the_view_without_a_stop(
    name: str, tmp_path: Path
) -> None:
    whole = small.ledger(study(), tmp_path / "whole")
    expected = train(whole, name)
    cut = small.ledger(study(runtime={"save_interval_s": 1e-9}), tmp_path / "cut")

    class CutError(Exception):
        pass

    run = small.run(cut.params, name)
    for _ in range(20):
        seen: list[int] = []

        def cut_after_two(_run: Run, row: dict[str, int | float], _s: float, seen=seen) -> None:
            seen.append(int(row["epoch"]))
            if len(seen) == 2:
                raise CutError

        try:
            record = trajectory.train(cut, run, small.context(cut.params), cut_after_two)
            break
        except CutError:
            continue
    later = small.ledger(study(), tmp_path / "later")
    bare = later.params.model_copy(update={"expE": type(later.params.expE)()})
    train(small.ledger(bare, tmp_path / "later"), "baseline")
    counted: list[int] = []
    replayed = train(later, name, counted)
    assert counted[0] == 3, "the replay begins at the view's start, where the baseline was kept"
    for ledger, found in ((cut, record), (later, replayed)):
        assert found.key == expected.key
        assert found.history == expected.history
        assert state.equal(small.tensors(ledger, found), small.tensors(whole, expected))


def test_a_changed_average_trains_no_state_anew_and_shares_nothing_but_the_baseline(
    tmp_path: Path,
) -> None:
    first = small.ledger(study(), tmp_path)
    kept = train(first, "expE-ema")
    host = first.finished(small.run(first.params, "baseline"))
    changed = study()
    ema = changed.expE.ema.model_copy(update={"decay": 0.5})
    changed = changed.model_copy(update={"expE": changed.expE.model_copy(update={"ema": ema})})
    second = small.ledger(changed, tmp_path)
    found = train(second, "expE-ema")
    assert found.key != kept.key
    assert found.history[:3] == kept.history[:3]
    assert found.history[-1]["val_loss"] != kept.history[-1]["val_loss"]
    assert second.finished(small.run(changed, "baseline")) == host


def test_a_stored_average_comes_back_in_the_memory_layout_of_the_weights() -> None:
    model = small.engine(small.params()).model
    moved = start_average(model)
    move_average(moved, small.engine(small.params()).model, 0.5)
    stored = {name: tensor.contiguous() for name, tensor in moved.items()}
    assert any(stored[n].stride() != w.stride() for n, w in model.named_parameters())
    found = laid_out(stored, model)
    assert found.keys() == moved.keys()
    for name, weight in model.named_parameters():
        assert (found[name].stride(), found[name].dtype) == (weight.stride(), weight.dtype)
        assert torch.equal(found[name], moved[name]) and not found[name].requires_grad


def test_the_average_is_the_exponential_average_of_the_weights_after_each_step() -> None:
    engine = small.engine(small.params(), double=True)
    average = start_average(engine.model)
    name, weight = next(engine.model.named_parameters())
    expected = weight.detach().clone()
    draw = torch.Generator().manual_seed(0)
    for _ in range(5):
        with torch.no_grad():
            weight += torch.randn(weight.shape, generator=draw, dtype=torch.float64)
        move_average(average, engine.model, 0.9)
        expected = 0.9 * expected + 0.1 * weight.detach()
    torch.testing.assert_close(average[name], expected, rtol=1e-12, atol=1e-12)


def test_recomputed_statistics_are_those_of_the_images() -> None:
    engine = small.engine(small.params(), double=True)
    training = small.images(2, dtype=torch.float64, count=48)
    recompute_batch_norm(engine.model, training, 48, 16, engine.autocast)
    norm = engine.model.stem[1]
    inner = training.pixels[:, 2:-2, 2:-2].double() / 255
    x = ((inner - training.mean) / training.std).permute(0, 3, 1, 2)
    found = engine.model.stem[0](x)
    # Of equal batches: the mean of their means is the mean; variances are those within.
    torch.testing.assert_close(norm.running_mean, found.mean((0, 2, 3)), rtol=1e-9, atol=1e-9)
    order, _ = probe(training, 48, "batch norm")
    within = [batch.var((0, 2, 3)) for batch in engine.model.stem[0](order).split(16)]
    expected = torch.stack(within).mean(0)
    torch.testing.assert_close(norm.running_var, expected, rtol=1e-9, atol=1e-9)
    before = norm.running_mean.clone()
    evaluate(engine.model, small.images(0, dtype=torch.float64), engine.autocast)
    assert torch.equal(norm.running_mean, before)
    assert norm.momentum == 0.1, "training goes on as before"
