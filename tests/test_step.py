"""A recorded step gives the bits of a step that is run, and no recording outlives what it knows."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from netstab.params import Params
from netstab.store.states import Row
from netstab.study.schedule import Frozen, Phase
from netstab.training import state, trajectory
from netstab.training.compiled import Compiled
from netstab.training.engine import Engine
from tests import small
from tests.tape import Tape
from tests.test_engine import FREEZES, MODES, PATTERNS, fresh, phase

Told = list[dict[str, torch.Tensor]]


def pair(study: Params) -> tuple[Engine, Engine, Tape]:
    """Two engines in the same state; the second one's steps are recorded and replayed."""
    recorded = fresh(study, double=False)
    recorded.recorder = tape = Tape()
    return fresh(study, double=False), recorded, tape


def train(engine: Engine, *phases: Phase) -> tuple[list[Row], state.Tensors]:
    training = small.images(2)
    rows = [engine.epoch(p, training, small.images(0), 3, e) for e, p in enumerate(phases)]
    return rows, state.capture(engine)


def assert_same(
    one: tuple[list[Row], state.Tensors], other: tuple[list[Row], state.Tensors]
) -> None:
    assert one[0] == other[0]
    assert state.equal(one[1], other[1])


@pytest.mark.parametrize(("pattern", "mode"), FREEZES)
def test_recorded_matches_eager_to_the_bit(pattern: str, mode: Frozen) -> None:
    # 6 steps an epoch: three warm up, and the third epoch has another rate but the same pattern.
    frozen = PATTERNS[pattern]
    phases = [
        phase((), mode),
        phase(frozen, mode, start=1),
        phase(frozen, mode, start=2, rate=0.01),
        phase((), mode, start=3),
    ]
    eager, recorded, tape = pair(small.params())
    assert_same(train(eager, *phases), train(recorded, *phases))
    assert (tape.warm_ups, tape.recordings, tape.replays) == (12, 4, 12)


def test_a_phase_is_recorded_once_for_all_its_epochs() -> None:
    eager, recorded, tape = pair(small.params())
    long = Phase(0, 4, (0.1,) * 6, batch_size=8)
    assert_same(train(eager, *[long] * 4), train(recorded, *[long] * 4))
    assert (tape.warm_ups, tape.recordings, tape.replays) == (3, 1, 21)


@pytest.mark.parametrize(("batch_size", "recordings"), [(8, 1), (16, 2), (24, 3)])
def test_a_batch_in_pieces_matches_eager_to_the_bit(batch_size: int, recordings: int) -> None:
    large = Phase(0, 4, (0.1,) * 6, batch_size)
    eager, recorded, tape = pair(small.params())
    assert_same(train(eager, *[large] * 3), train(recorded, *[large] * 3))
    assert tape.recordings == recordings
    assert tape.replays >= 12


@pytest.mark.parametrize("mode", MODES)
def test_what_looks_on_after_each_step_sees_the_same_weights(mode: Frozen) -> None:
    seen: list[Told] = []
    for engine in pair(small.params())[:2]:
        told: Told = []
        engine.epoch(
            phase(PATTERNS["all but 128"], mode),
            small.images(2),
            small.images(0),
            3,
            0,
            lambda engine=engine, told=told: told.append(state.capture(engine)),  # type: ignore[misc]
        )
        seen.append(told)
    assert len(seen[0]) == len(seen[1]) == 6
    assert all(state.equal(a, b) for a, b in zip(*seen, strict=True))


def go_back(engine: Engine, before: state.Tensors) -> None:
    state.restore(engine, before)


def start_again(engine: Engine, before: state.Tensors) -> None:
    trajectory.start(engine, 7)


def clear_momentum(engine: Engine, before: state.Tensors) -> None:
    engine.optimizer.state.clear()


def other_memory(engine: Engine, before: state.Tensors) -> None:
    for parameter in engine.model.parameters():
        parameter.data = parameter.data.clone()


def another_rate(engine: Engine, before: state.Tensors) -> None:
    for group in engine.optimizer.param_groups:
        group["lr"] = 0.02


def another_mode(engine: Engine, before: state.Tensors) -> None:
    engine.model.layer2.eval()


def filled_in_place(engine: Engine, before: state.Tensors) -> None:
    with torch.no_grad():
        for tensor in engine.model.state_dict().values():
            tensor.mul_(2)


def no_gradients(engine: Engine, before: state.Tensors) -> None:
    engine.model.zero_grad(set_to_none=True)


@pytest.mark.parametrize(
    "meddle",
    [
        go_back,
        start_again,
        clear_momentum,
        other_memory,
        another_rate,
        another_mode,
        filled_in_place,
        no_gradients,
    ],
)
@pytest.mark.parametrize("batch_size", [8, 24])
def test_no_stale_recording_is_replayed(
    meddle: Callable[[Engine, state.Tensors], None], batch_size: int
) -> None:
    now = Phase(0, 9, (0.1,) * 6, batch_size)
    ends = []
    for engine in pair(small.params())[:2]:
        train(engine, now)
        before = state.capture(engine)
        train(engine, now, now)
        meddle(engine, before)
        ends.append(train(engine, now, now))
    assert_same(*ends)


def test_what_is_recorded_does_not_learn_of_a_change_by_itself() -> None:
    # Without `begin` the tests above would fail: the tape is as blind as a CUDA graph.
    eager, recorded, _ = pair(small.params())
    now = Phase(0, 9, (0.1,) * 6, 8)
    for engine in (eager, recorded):
        train(engine, now)
        another_rate(engine, {})
    recorded.enter(now).begin = lambda: None  # type: ignore[method-assign]
    assert not state.equal(train(eager, now)[1], train(recorded, now)[1])


def test_images_of_another_shape_are_recorded_anew() -> None:
    ends = []
    now = Phase(0, 9, (0.1,) * 6, 8)
    for engine in pair(small.params())[:2]:
        train(engine, now)
        whole = small.images(0)
        cut = replace(whole, pixels=whole.pixels[:, 4:, 4:].contiguous())
        engine.epoch(now, cut, cut, 3, 1)
        ends.append(train(engine, now))
    assert_same(*ends)


@pytest.mark.slow
def test_compiled_and_recorded_match_compiled_to_the_bit() -> None:
    phases = [
        phase(PATTERNS["all but 512"], Frozen.EVAL, start=e, rate=0.1 / (e + 1)) for e in (0, 1)
    ]
    ends = []
    for engine in pair(small.params())[:2]:
        engine.compiled = Compiled(engine.forward, "aot_eager")
        ends.append(train(engine, *phases))
    assert_same(*ends)


def test_runs_with_recorded_steps_come_to_the_same_states(tmp_path: Path) -> None:
    study = small.params(experiments=["expB"])
    for name in ("baseline", "outpost", "expB-64", "expE-batch", "expE-ema"):
        run, records = small.run(study, name), {}
        for how in ("eager", "recorded"):
            ledger, shop = small.ledger(study, tmp_path / how), small.workshop(study)
            shop.built[0].recorder = Tape() if how == "recorded" else None
            record = trajectory.train(ledger, run, shop, small.silent)
            path = ledger.store.tensors_file(record)
            assert path is not None
            records[how] = record.history, state.read(path)
        assert records["eager"][0] == records["recorded"][0], name
        assert state.equal(records["eager"][1], records["recorded"][1]), name


def test_cuda_graphs_on_a_cpu_are_eager_and_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    study = small.params(runtime={"cuda_graphs": True})
    model = fresh(study, double=False).model
    engine = Engine(model, study.train, small.CPU, graphs=study.runtime.cuda_graphs)
    assert "runtime.cuda_graphs has no effect on this device (cpu)" in capsys.readouterr().err
    assert engine.recorder is None
    train(engine, Phase(0, 1, (0.1,) * 6, 8))
    assert capsys.readouterr().err == ""
