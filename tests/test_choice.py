"""Which runs a person means, and what the keys of their states say of their pasts."""

import json
from pathlib import Path

import pytest

from netstab.errors import NetstabError
from netstab.study.choice import choose
from netstab.study.experiments import runs, variants
from netstab.study.keys import before, key_of, shared_epochs
from tests import small
from tests.pieces import study

# Which runs


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["reference"], ["baseline", "outpost"]),
        (["expB-64, expA-512"], ["expA-512", "expB-64"]),
        (["expE", "baseline"], ["baseline", "expE-ema", "expE-bnrecal"]),
        ([], [v.name for v in variants(study())]),
    ],
)
def test_runs_are_chosen_by_experiment_or_by_name(names: list[str], chosen: list[str]) -> None:
    assert [run.name for run in choose(study(), names, [1])] == [f"{name}-1" for name in chosen]


@pytest.mark.parametrize(
    ("names", "seeds", "said"),
    [
        (
            ["expA,expZ"],
            [],
            r"expZ: is no run of this study; known are reference, expA, expB, expE",
        ),
        (["expC"], [], "expC: is no run of this study"),
        ([","], [], "no run is named; known are reference"),
        ([], [7], "seed 7: is not in params.yaml; its seeds are 0, 1"),
    ],
)
def test_what_is_not_of_the_study_is_refused(names: list[str], seeds: list[int], said: str) -> None:
    with pytest.raises(NetstabError, match=said):
        choose(study(), names, seeds)


# Keys


def test_what_determines_a_state_determines_the_states_before_it() -> None:
    params = small.params()
    ledger = small.ledger(params, Path("none"))
    for run in runs(params):
        host = ledger.host(run) if ledger.is_view(run) else run
        inputs = json.loads(json.dumps(ledger.inputs(run, 10)))
        assert key_of(inputs) == ledger.key(run, 10)
        for epoch in range(1, 11):
            assert key_of(before(inputs, epoch)) == ledger.key(host, epoch)


def test_how_long_two_runs_have_the_same_past_is_told_by_what_determines_them() -> None:
    params = small.params(seeds=[0, 1])
    ledger = small.ledger(params, Path("none"))
    inputs = {run: ledger.inputs(run, 10) for run in runs(params)}
    for one, mine in inputs.items():
        for other, theirs in inputs.items():
            expected = ledger.schedule(one).shared_epochs(ledger.schedule(other))
            assert shared_epochs(mine, theirs) == (expected if one.seed == other.seed else 0)
