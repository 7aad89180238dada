"""Compiled passes give what eager ones give, also where they write to the memory of the last run.

No CUDA graph runs on a CPU. What the engine has to mind about one does: its results lie where those
of its last run lay, and it reads weights and buffers where they are.
"""

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.backends.common import aot_autograd
from torch._guards import TracingContext

from netstab.params import Params
from netstab.study.schedule import Frozen, Phase
from netstab.training import state, trajectory
from netstab.training.compiled import Compiled
from netstab.training.engine import Engine
from tests import small
from tests.test_engine import FREEZES, MODES, PATTERNS, fresh, one_step, phase

Graph = Callable[..., Sequence[Any]]


def compiled(study: Params, backend: str | Callable[..., Any], *, double: bool = False) -> Engine:
    engine = fresh(study, double=double)
    engine.compiled = Compiled(engine.forward, backend)
    return engine


def in_fixed_memory(graph: Graph, inputs: Sequence[Any]) -> Callable[[list[Any]], list[Any]]:
    """A graph whose results lie where those of its last run lay, as a CUDA graph's do."""
    memory: list[Any] = []

    def run(given: list[Any]) -> list[Any]:
        with torch.no_grad():
            found = graph(*given)
            given.clear()
            if not memory:
                memory.extend(t.clone() if isinstance(t, Tensor) else t for t in found)
            for own, result in zip(memory, found, strict=True):
                if isinstance(own, Tensor):
                    own.copy_(result)
            return [own.detach() if isinstance(own, Tensor) else own for own in memory]

    run._boxed_call = True  # type: ignore[attr-defined]
    return run


OVERWRITING = aot_autograd(fw_compiler=in_fixed_memory, bw_compiler=in_fixed_memory)


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
def test_compiled_matches_eager_for_every_freeze_pattern(
    mode: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One engine through all patterns: a graph traced for one must not serve another, even where
    # the compiler would not notice (its own guards are off). That is decided before any code is
    # generated, which takes the most time; so none is, here.
    unguarded = {"guard_filter_fn": lambda guards: [False for _ in guards]}
    monkeypatch.setattr(torch, "compile", partial(torch.compile, options=unguarded))
    names = [pattern for pattern, of in FREEZES if of is mode]
    assert_one_step_matches_eager("aot_eager", mode, ["everything", *names])


@pytest.mark.long
@pytest.mark.skipif(shutil.which("g++") is None, reason="generated code needs a C++ compiler")
def test_generated_code_matches_eager() -> None:
    assert_one_step_matches_eager("inductor", Frozen.EVAL, ["all but 512"])


def assert_one_step_matches_eager(backend: str, mode: Frozen, names: list[str]) -> None:
    study = small.params()
    engine = compiled(study, backend)
    for name in names:
        engine.model.zero_grad()
        now = phase(PATTERNS[name], mode)
        found = one_step(engine, now, torch.float32)
        engine.start(5)
        eager = one_step(fresh(study, double=False), now, torch.float32)
        assert found.keys() == eager.keys()
        for key, value in eager.items():
            torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-5, msg=key)


@pytest.mark.long
def test_a_pattern_that_comes_back_is_not_compiled_again() -> None:
    engine = compiled(small.params(), "aot_eager")
    counts = []
    for name in ("all but 512", "all but the head", "all but 512"):
        one_step(engine, phase(PATTERNS[name], Frozen.EVAL), torch.float32)
        counts.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    assert counts[0] < counts[1] == counts[2]


@pytest.mark.long
def test_epochs_match_eager_where_the_next_run_overwrites_results() -> None:
    # A batch of three pieces adds up gradients; a phase and a state come back to graphs in use.
    study = small.params()
    training, validation = (small.images(p, dtype=torch.float64) for p in (2, 0))
    frozen = phase(PATTERNS["all but 128"], Frozen.LIVE)
    trunk, large = (Phase(0, 9, (0.1,) * 6, batch_size) for batch_size in (8, 24))
    ends = []
    for engine in (fresh(study), compiled(study, OVERWRITING, double=True)):
        rows = []
        for epoch, now in enumerate((trunk, large, frozen, large, trunk)):
            if epoch == 2:
                before = state.capture(engine)
            if epoch == 4:
                state.restore(engine, before)
            rows.append(engine.epoch(now, training, validation, 3, epoch))
        ends.append((rows, state.capture(engine)))
    (rows, expected), (found_rows, found) = ends
    for row, expected_row in zip(found_rows, rows, strict=True):
        assert row == pytest.approx(expected_row, rel=1e-9)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-9, atol=1e-11, msg=name)


@pytest.mark.long
def test_runs_share_their_past_to_the_bit_where_the_next_run_overwrites_results(
    tmp_path: Path,
) -> None:
    study = small.params(experiments=["expB"])
    context = small.context(study)
    engine = context.built.engine
    engine.compiled = Compiled(engine.forward, OVERWRITING)
    shared = small.ledger(study, tmp_path / "shared")
    for name in ("baseline", "expB-64", "expE-batch", "expE-ema"):
        run = small.run(study, name)
        alone = small.ledger(study, tmp_path / name)
        found, expected = (
            trajectory.train(ledger, run, context, small.silent) for ledger in (shared, alone)
        )
        assert found.history == expected.history, name
        assert state.equal(small.tensors(shared, found), small.tensors(alone, expected)), name


@pytest.mark.long
def test_weights_and_buffers_are_read_where_they_are() -> None:
    # What else the graph changes, or were copied, would keep torch from making a CUDA graph of it.
    moving: list[str] = []

    def look(graph: Any, inputs: Sequence[Any]) -> Any:
        static = TracingContext.get().fw_metadata.static_input_indices
        names = [node.name for node in graph.graph.nodes if node.op == "placeholder"]
        moving.extend(name for index, name in enumerate(names) if index not in static)
        return in_fixed_memory(graph, inputs)

    backend = aot_autograd(fw_compiler=look, bw_compiler=in_fixed_memory)
    one_step(compiled(small.params(), backend), phase((), Frozen.LIVE), torch.float32)
    assert len(moving) == 2, "images and labels"


def test_code_for_cuda_becomes_torchs_own_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(torch, "compile", lambda function, **how: asked.append(how) or function)
    Compiled(fresh(small.params()).forward).of(phase((), Frozen.LIVE))
    options = {"backend": "inductor", "mode": "reduce-overhead"}
    assert [how.items() >= options.items() for how in asked] == [True]
    assert torch._inductor.list_mode_options("reduce-overhead") == {"triton.cudagraphs": True}
