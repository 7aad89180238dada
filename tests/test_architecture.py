"""Imports go down only, and DVC knows what every stage's results depend on."""

import ast
import copy
import os
import re
import shutil
import subprocess
import symtable
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grimp
import pytest
from dvc.repo import Repo
from dvc.stage import PipelineStage
from dvc.utils.serialize import dumps_yaml
from importlinter.cli import lint_imports
from ruamel.yaml import YAML

from netstab import paths
from netstab.data.dataset import Dataset
from netstab.errors import ParameterError
from netstab.params import BLOCK_EXPERIMENTS, PARTS, Params, check
from netstab.store.ledger import Ledger
from netstab.store.states import Store
from netstab.study.experiments import Run, runs, variants
from netstab.study.stages import stage_name
from tests import small

SRC = small.ROOT / "src"
STAGES: dict[str, dict[str, Any]] = YAML(typ="safe", pure=True).load(
    (small.ROOT / "dvc.yaml").read_text(encoding="utf-8")
)["stages"]

OTHERS = {"data", "settings", "ceiling", "report"}
"""Stages that are no run's."""

NUMERICS = "src/netstab/training/numerics.json"
NETWORKS = "networks"
"""Where code of the user's own lies, whose hash is in keys."""
SETTINGS = "metrics/settings.json"
GOLDEN = "netstab.training.numerics"
"""The module whose golden values that file holds: what it imports cannot change unnoticed."""

EXEMPT = {
    "netstab.locks": "says who writes or computes first, never what",
    "netstab.errors": "messages; no result depends on them",
    "netstab.exits": "says how a stage ends",
    "netstab.stops": "says when a stage ends",
    "netstab.files": "says how files are written, never what",
    "netstab.paths": "a file that moves is another out or dependency in dvc.yaml",
}
TRAINS = {
    "netstab.machine": "says how many cores there are, and how threads wait",
    "netstab.data.tensors": "what it loads is checked against the manifest's hashes",
    "netstab.sweep.ceiling": "brings tested pieces together",
    "netstab.training.trainer": "likewise",
    "netstab.sweep.single": "likewise",
    "netstab.sweep.progress": "says how far a run is",
    "netstab.training.replay": "trains by the trajectory's own means",
    "netstab.results.write": "writes down what it is given",
    "netstab.store.finished": "likewise",
    "netstab.store.ahead": "moves what a stage has written, while nothing has changed",
    "netstab.sweep.estimate": "says how long a sweep takes",
    "netstab.sweep.refusals": "says what is not trained",
    "netstab.text": "words for people",
}
"""Exempt of every stage that may train."""
EXEMPT_OF = {
    "netstab.stages.data": {
        "netstab.stages.data": "a thin entry",
        "netstab.params.fields": "the section that it reads is tracked by its values",
        "netstab.params.changes": "likewise",
        "netstab.params.epochs": "likewise",
        "netstab.params.interventions": "likewise",
        "netstab.params.measuring": "likewise",
        "netstab.params.models": "likewise",
        "netstab.params.networks": "likewise",
        "netstab.params.reading": "likewise",
    },
    "netstab.stages.settings": {
        "netstab.stages.settings": "a thin entry",
        "netstab.results.write": "writes down what it is given",
    },
    "netstab.stages.train": {
        **TRAINS,
        "netstab.stages.train": "a thin entry",
        "netstab.stages.run": "likewise",
        "netstab.sweep.makespan": "says how long a sweep takes",
        "netstab.sweep.display": "says how far a sweep is",
        "netstab.sweep.barriers": "brings tested pieces together",
        "netstab.sweep.forecast": "says how long a sweep takes",
        "netstab.sweep.jobs": "says in which order runs are trained, by the trajectory's means",
        "netstab.sweep.run": "hands out jobs, which the trajectory trains",
        "netstab.sweep.events": "says how far a sweep is",
        "netstab.sweep.output": "passes on what workers print",
        "netstab.sweep.local.pool": "hands out jobs, which the trajectory trains",
        "netstab.sweep.local.calibration": "says how many workers train",
        "netstab.sweep.local.worker": "trains jobs by the trajectory's own means",
    },
    "netstab.stages.ceiling": {**TRAINS, "netstab.stages.ceiling": "a thin entry"},
    "netstab.stages.report": {
        "netstab.store.ahead": "only part of what collects runs: none is collected here",
        "netstab.store.finished": "writes down what the store has",
        "netstab.sweep.barriers": "brings tested pieces together",
        "netstab.training.trainer": "likewise",
        "netstab.training.replay": "only part of the trainer: nothing is trained",
    },
}


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("netstab", cache_dir=None)


# Layers


def test_imports_go_down_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(small.ROOT)
    assert lint_imports(no_cache=True, no_logo=True) == 0, capsys.readouterr().out
    assert "0 broken" in capsys.readouterr().out


def test_no_module_stands_outside_the_layers(imports: grimp.ImportGraph) -> None:
    content = tomllib.loads((small.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = content["tool"]["importlinter"]["contracts"][0]["layers"]
    named = {module.strip() for layer in layers for module in layer.split("|")}
    assert named == imports.find_children("netstab")


@pytest.mark.parametrize("path", sorted(SRC.rglob("__init__.py")), ids=lambda p: p.parent.name)
def test_packages_hold_no_code(path: Path) -> None:
    # Nothing but names from the modules below, which count as imported by who imports the package.
    docstring, *rest = ast.parse(path.read_text(encoding="utf-8")).body
    assert isinstance(docstring, ast.Expr)
    own = [line for line in rest if not isinstance(line, ast.ImportFrom)]
    assert [ast.unparse(line).split(" = ")[0] for line in own] in ([], ["__version__"], ["__all__"])


# Dependencies of the stages


def entry(stage: str) -> str:
    """The module that a stage runs."""
    found = re.search(r"python -m (netstab\.stages\.\w+)", STAGES[stage]["cmd"])
    assert found, STAGES[stage]["cmd"]
    return found.group(1)


def exempt(stage: str) -> dict[str, str]:
    return EXEMPT | EXEMPT_OF[entry(stage)]


def file_of(module: str) -> Path:
    path = SRC.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def run_by(stage: str, imports: grimp.ImportGraph) -> set[str]:
    """Modules that a stage's entry imports, directly or not; packages hold no code."""
    found = {entry(stage), *imports.find_upstream_modules(entry(stage))}
    return {module for module in found if file_of(module).name != "__init__.py"}


def deps_of(stage: str) -> list[str]:
    """What a stage depends on, and what the stage `settings` does where it depends on that."""
    deps: list[str] = STAGES[stage]["deps"]
    return [*deps, *(STAGES["settings"]["deps"] if SETTINGS in deps else [])]


def uncovered(stage: str, imports: grimp.ImportGraph) -> set[str]:
    """Modules that can change a stage's results without DVC noticing."""
    deps = [Path(dep) for dep in deps_of(stage)]
    golden: set[str] = set()
    if NUMERICS in deps_of(stage):
        golden = {GOLDEN, *imports.find_upstream_modules(GOLDEN)}

    def tracked(module: str) -> bool:
        path = file_of(module).relative_to(small.ROOT)
        return any(path == dep or dep in path.parents for dep in deps)

    left = run_by(stage, imports) - golden - exempt(stage).keys()
    return {module for module in left if not tracked(module)}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_all_the_code_that_its_results_depend_on(
    stage: str, imports: grimp.ImportGraph
) -> None:
    assert uncovered(stage, imports) == set(), "add them to the stage's deps in dvc.yaml"


@pytest.mark.parametrize("stage", STAGES)
def test_every_exemption_is_needed(stage: str, imports: grimp.ImportGraph) -> None:
    assert exempt(stage).keys() - EXEMPT.keys() <= run_by(stage, imports)
    assert EXEMPT.keys() <= run_by(stage, imports)


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_stage_depends_on_in_the_sources_is_there(stage: str) -> None:
    sources = [dep for dep in deps_of(stage) if dep.startswith("src/")]
    assert sources
    for dep in sources:
        assert (small.ROOT / dep).exists(), dep


@pytest.mark.parametrize(
    ("stage", "importer", "imported"),
    [
        ("report", "netstab.evidence.report", "netstab.exchange.exporting"),
        ("report", "netstab.evidence.report", "netstab.newcomer"),
        ("data", "netstab.data.prepare", "netstab.study.schedule"),
        ("train", "netstab.training.trainer", "netstab.data.archives"),
        ("own", "netstab.stages.train", "netstab.newcomer"),
    ],
)
def test_a_new_import_that_no_dependency_covers_is_found(
    stage: str, importer: str, imported: str, imports: grimp.ImportGraph
) -> None:
    changed = copy.deepcopy(imports)
    changed.add_module(imported)
    before = uncovered(stage, changed)
    changed.add_import(importer=importer, imported=imported)
    assert imported in uncovered(stage, changed) - before


def test_training_rests_on_the_golden_values_and_on_no_source(imports: grimp.ImportGraph) -> None:
    for stage in ("settings", "ceiling"):
        assert STAGES[stage]["deps"] == ["data/manifest.json", NUMERICS, NETWORKS]
    for stage in ("reference", "train", "rival", "own", "cyclical"):
        assert STAGES[stage]["deps"] == [SETTINGS]
    golden = imports.find_upstream_modules(GOLDEN)
    assert {
        "netstab.data.batches",
        "netstab.data.seeds",
        "netstab.measure.barriers",
        "netstab.measure.evaluate",
        "netstab.measure.field",
        "netstab.measure.sharpness",
        "netstab.measure.similarity",
        "netstab.measure.stability",
        "netstab.measure.views",
        "netstab.params",
        "netstab.study.experiments",
        "netstab.study.schedule",
        "netstab.training.engine",
        "netstab.networks.layers",
        "netstab.networks.network",
        "netstab.networks.resnet",
        "netstab.training.modes",
        "netstab.training.optimizer",
        "netstab.training.state",
        "netstab.training.trajectory",
    } <= golden


# The stages, as DVC's own resolver sees them


def resolved(folder: Path, **changes: Any) -> dict[str, PipelineStage]:
    """Every stage by name, for params.yaml with these changes."""
    shutil.copy(small.ROOT / "dvc.yaml", folder)
    if changes:
        (folder / "params.yaml").write_text(dumps_yaml(small.content(**changes)))
    else:
        shutil.copy(small.ROOT / "params.yaml", folder)
    Repo.init(str(folder), no_scm=True, force=True).close()
    with Repo(str(folder)) as repo:
        return {stage.name: stage for stage in repo.index.stages}


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PipelineStage]:
    return resolved(tmp_path_factory.mktemp("shipped"))


def own_params(stage: PipelineStage) -> list[str]:
    return [name for dep in stage.deps for name in getattr(dep, "params", None) or []]


def tracked_params(stage: PipelineStage, stages: dict[str, PipelineStage]) -> list[str]:
    """Its own, and those of the stage `settings` where it depends on that."""
    shared = any(dep.def_path == SETTINGS for dep in stage.deps)
    return [*own_params(stage), *(own_params(stages["settings"]) if shared else [])]


def test_the_shipped_study_has_85_stages(shipped: dict[str, PipelineStage]) -> None:
    # Two references, five experiments of four blocks, four rivals, one own, of three seeds each;
    # and data, settings, ceiling, report.
    assert len(shipped) == (2 + 5 * 4 + 4 + 1) * 3 + 4 == 85
    assert {"data", "reference@outpost-2", "train@expB-64-0", "own@warm_restart-1"} <= set(shipped)


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({"seeds": [7]}, 27 + 4),
        ({"own": {}}, 82),
        ({"expF": {"shapes": ["cosine", "triangular"]}}, 85 + 2 * 3),
        ({"experiments": ["expB"]}, 85 - 48),
        ({"experiments": [], "own": {}, "expE": {}, "seeds": [0]}, 6),
        # Names and seeds that could be read as other values, or spelt otherwise.
        ({"blocks": {"null": list(PARTS[:2]), "1e3": list(PARTS[2:])}, "own": {}}, 82 - 5 * 2 * 3),
        ({"blocks": {"nan": list(PARTS)}, "own": {}, "seeds": [0, 10**18]}, (26 - 5 * 3) * 2 + 4),
        ({"own": {name: {} for name in ("NA", "true", "None", "inf")}}, 85 + 3 * 3),
    ],
)
def test_a_smaller_study_has_fewer_stages(
    changes: dict[str, Any], count: int, tmp_path: Path
) -> None:
    stages = resolved(tmp_path, **changes)
    assert len(stages) == count
    assert set(stages) - OTHERS == {
        stage_name(run) for run in runs(check(small.content(**changes)))
    }


@pytest.mark.parametrize("section", ["seeds", "experiments", "blocks", "expE", "own"])
@pytest.mark.parametrize("value", [None, 0, True, "expA"])
def test_what_dvc_makes_no_stages_of_is_refused_by_its_key(
    section: str, value: Any, tmp_path: Path
) -> None:
    with pytest.raises(TypeError, match="not iterable"):
        resolved(tmp_path, **{section: value})
    with pytest.raises(ParameterError, match=f"\n  {section}: "):
        check(small.content(**{section: value}))


@pytest.mark.parametrize("value", [None, 0, "cosine"])
def test_cyclical_rates_that_dvc_makes_no_stages_of_are_refused(value: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="not iterable"):
        resolved(tmp_path, expF={"shapes": value})
    with pytest.raises(ParameterError, match=r"\n  expF.shapes: "):
        check(small.content(expF={"shapes": value}))


@pytest.fixture(scope="module")
def cyclical(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PipelineStage]:
    return resolved(tmp_path_factory.mktemp("cyclical"), **CYCLICAL)


CYCLICAL: dict[str, Any] = {"expF": {"shapes": ["cosine", "triangular", "warm_restarts"]}}


def test_the_stages_of_cyclical_rates_track_what_changes_them(
    cyclical: dict[str, PipelineStage],
) -> None:
    before = end_keys(check(small.content(**CYCLICAL)))
    for key, value in {
        "start_epoch": 50,
        "end_epoch": 140,
        "cycles": 2,
        "decay_factor": 0.1,
    }.items():
        changed = copy.deepcopy(CYCLICAL)
        changed["expF"][key] = value
        after = end_keys(check(small.content(**changed)))
        moved = {name for name in before if before[name] != after[name]}
        of_one = {"expF-cosine"} if key == "cycles" else set()
        assert moved == {f"expF-{shape}" for shape in CYCLICAL["expF"]["shapes"]} - of_one
        for name in moved:
            stage = cyclical[f"cyclical@{name.removeprefix('expF-')}-0"]
            assert f"expF.{key}" in own_params(stage)


def test_views_track_the_changes_of_the_baseline_that_they_are_of(
    shipped: dict[str, PipelineStage],
) -> None:
    before = end_keys(check(small.content()))
    after = end_keys(check(small.content(baseline={"changes": {"60": 0.05}})))
    moved = {name for name in before if before[name] != after[name]}
    assert moved == {"baseline", "expE-ema", "expE-bnrecal"}
    for name in ("reference@baseline-0", "rival@ema-0", "rival@bnrecal-0"):
        assert "baseline" in own_params(shipped[name])


def test_there_is_a_stage_for_every_run_and_it_makes_its_folder(
    shipped: dict[str, PipelineStage], cyclical: dict[str, PipelineStage]
) -> None:
    params = check(small.content(**CYCLICAL))
    names = {stage_name(run): run for run in runs(params)}
    assert set(cyclical) - OTHERS == set(names)
    assert set(shipped) == {name for name in cyclical if not name.startswith("cyclical")}
    for name, run in names.items():
        stage, folder = cyclical[name], paths.run_dir(run.name).as_posix()
        assert stage.cmd.endswith(f"netstab.stages.train {run.variant.name} {run.seed}")
        assert [out.def_path for out in stage.outs] == [folder]


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh", "fish"])
@pytest.mark.parametrize(("own", "told"), [(None, "src"), ("", "src"), ("/a:/b", "src:/a:/b")])
def test_stages_add_their_sources_to_what_pythonpath_has(
    own: str | None, told: str, shell: str, shipped: dict[str, PipelineStage], tmp_path: Path
) -> None:
    # Modules on clusters are found by it alone. DVC runs commands in the user's shell.
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} here")
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$PYTHONPATH"\n')
    python.chmod(0o755)
    env = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}
    env |= {} if own is None else {"PYTHONPATH": own}
    commands = {stage.cmd for stage in shipped.values()}
    assert len(commands) == len(shipped)
    done = subprocess.run(
        [program, "-c", "\n".join(sorted(commands))], env=env, capture_output=True, text=True
    )
    # What is empty at the end is the checkout, where `python -m` looks first anyhow.
    assert {line.rstrip(":") for line in done.stdout.splitlines()} == {told}, done.stderr


def test_what_a_stage_leaves_is_carried_by_git_and_survives_a_refusal(
    shipped: dict[str, PipelineStage],
) -> None:
    for name, stage in shipped.items():
        for out in stage.outs:
            if out.def_path != "data/prepared":
                assert (out.use_cache, out.persist) == (False, True), (name, out.def_path)


def test_no_stage_tracks_how_to_run_and_report_tracks_all_else(
    shipped: dict[str, PipelineStage],
) -> None:
    assert not [name for name, stage in shipped.items() if "runtime" in own_params(stage)]
    told = set(Params.model_fields) - {"runtime", "ceiling"}  # which the comparison itself names
    assert set(own_params(shipped["report"])) == told


def leaves(content: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(content, dict) and content:
        for key, value in content.items():
            yield from leaves(value, (*path, key))
    else:
        yield path


def altered(path: tuple[str, ...]) -> Params | None:
    """The shipped parameters with another value at a path; None where there is no other."""
    place: Any = small.SHIPPED
    for step in path:
        place = place[step]
    candidates: list[Any] = [
        *{
            "live": ["eval"],
            "bf16": ["fp32"],
            "end": ["always"],
            "batch": ["group"],
            "resnet18": ["plain"],
        }.get(str(place), [])
    ]
    if isinstance(place, bool):
        candidates = [not place]
    elif isinstance(place, int | float):
        candidates = [place + 1, place / 2, place / 2 + 5]
    elif isinstance(place, list) and path[0] != "blocks":
        candidates = [place[1:], place[:-1]]
    for candidate in candidates:
        try:
            return check(small.altered((path, candidate)))
        except ParameterError:
            continue
    return None


def end_keys(params: Params) -> dict[str, tuple[str, ...]]:
    """By variant, the keys of the last state and of all measurements; of one block, to be quick."""
    ledger = Ledger(
        params, Dataset("d" * 64, 50_000, 3, 10), Store(Path("none")), 1, small.VERSIONS
    )
    chosen = (
        variant
        for variant in variants(params)
        if variant.block in (None, "64") or variant.experiment in ("own", "expE", "expF")
    )
    return {
        run.variant.name: (
            ledger.key(run, ledger.schedule(run).epochs),
            *(asked.key for asked in ledger.asked(run)),
        )
        for run in (Run(variant, 0) for variant in chosen)
    }


def test_a_stage_tracks_every_parameter_that_changes_its_run(
    shipped: dict[str, PipelineStage],
) -> None:
    before = end_keys(check(small.content()))
    stages = {r.variant.name: stage_name(r) for r in runs(check(small.content())) if r.seed == 0}
    matters: dict[str, set[str]] = {}
    for path in leaves(small.SHIPPED):
        params = altered(path)
        after = end_keys(params) if params else {}
        for name in after.keys() & before.keys():
            if after[name] != before[name]:
                params_of = tracked_params(shipped[stages[name]], shipped)
                tracked = {tuple(param.split(".")) for param in params_of}
                assert any(path[: len(t)] == t for t in tracked), f"{name} depends on {path}"
                matters.setdefault(".".join(path), set()).add(name)
    # The search has found what there is to find.
    everyone = set(before)
    assert matters["train.momentum"] == matters["model.width"] == everyone
    assert matters["model.name"] == matters["model.norm"] == everyone
    assert matters["expB.freeze_epoch"] == {"expB-64"}
    assert matters["outpost.decay_factor"] == {"outpost"}
    assert matters["freeze.batch_norm"] == {"expB-64", "expC-64", "expD-64", "expE-head"}
    assert matters["expE.ema.decay"] == {"expE-ema"}
    views = {"expE-ema", "expE-bnrecal"}
    assert matters["measure.stability.images"] == everyone - views
    assert matters["measure.field.seed"] == everyone - views
    assert matters["measure.sharpness.blocks"] == everyone - views
    assert matters["own.warm_restart.64.60"] == {"own-warm_restart"}
    inert = {"runtime", "report", "data", "ceiling", "claims"}
    assert not [name for name in matters if name.split(".")[0] in inert]


def test_other_blocks_change_the_experiments_alone(
    shipped: dict[str, PipelineStage],
) -> None:
    blocks = {**small.SHIPPED["blocks"], "64": ["stem"], "128": ["layer1", "layer2"]}
    content = small.content(blocks=blocks)
    before, after = end_keys(check(small.content())), end_keys(check(content))
    retrained = {name for name in before if before[name][0] != after[name][0]}
    assert retrained == {f"{experiment}-64" for experiment in BLOCK_EXPERIMENTS}
    # Whatever has signals of its own is measured by block.
    measured = {name for name in before if before[name][1:] != after[name][1:]}
    assert measured == before.keys() - {"expE-ema", "expE-bnrecal"}
    for name, stage in shipped.items():
        assert ("blocks" in tracked_params(stage, shipped)) == (name != "data"), name


# Python


INLINED = {"listcomp", "setcomp", "dictcomp"}


def within(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    """The scopes of a function's comprehensions."""
    for child in table.get_children():
        if child.get_name() in INLINED:
            yield child
            yield from within(child)


def functions(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    for child in table.get_children():
        if child.get_type() == "function" and child.get_name() not in INLINED:
            yield child
        yield from functions(child)


@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="comprehensions have no scopes of their own"
)
@pytest.mark.parametrize("folder", ["src", "tests", "benchmarks", "torture"])
def test_no_comprehension_binds_what_another_one_takes_from_outside(folder: str) -> None:
    # Python 3.12 takes one for the other, and ends in an UnboundLocalError: a name of the module
    # until 3.12.3 (cpython#118513), one of an outer function since then too (cpython#156664).
    for path in (small.ROOT / folder).rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        for function in functions(symtable.symtable(source, str(path), "exec")):
            symbols = [symbol for scope in within(function) for symbol in scope.get_symbols()]
            bound = {symbol.get_name() for symbol in symbols if symbol.is_local()}
            taken = {symbol.get_name() for symbol in symbols if symbol.is_global()}
            taken |= {symbol.get_name() for symbol in function.get_symbols() if symbol.is_free()}
            assert not bound & taken, f"{path}: {function.get_name()}"
