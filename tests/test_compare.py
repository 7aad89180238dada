"""`netstab compare`: what changed between two revisions, judged as claims are."""

import json
import shutil
from typing import Any

import pytest

from netstab import paths
from netstab.evidence.claims.comparison import compare
from netstab.evidence.claims.effects import Study
from netstab.evidence.claims.statistics import Sample, holm
from netstab.evidence.summary.windows import final
from netstab.results.schema import MEASURES
from tests import small, synthetic
from tests.repository import Repository, netstab

EXP_B = [f"expB-{block}" for block in small.SHIPPED["blocks"]]


def compared(repository: Repository, *arguments: str) -> dict[tuple[str, str], dict[str, Any]]:
    """What the command says of each variant's figures."""
    told = json.loads(netstab("compare", *arguments, "--json").stdout)
    return {(one["variant"], one["figure"]): one for one in told["compared"]}


def effects(old: synthetic.Study, new: synthetic.Study, variant: str, measure: str) -> list[float]:
    """What changed in a final figure, in each seed."""

    def figure(study: synthetic.Study, seed: int) -> float:
        history = study.histories[f"{variant}-{seed}"]
        return float(final(study.params, history[measure].to_numpy()))

    return [figure(new, seed) - figure(old, seed) for seed in old.params.seeds]


def test_a_moved_freeze_is_compared_by_seed_with_the_claims_interval(
    repository: Repository,
) -> None:
    old = repository.write()
    commit = repository.commit()
    new = repository.write(expB={"freeze_epoch": 100})
    found = compared(repository, "main")
    assert {name for name, _ in found} == {"baseline", "outpost", *EXP_B}
    assert {variant for (variant, _), one in found.items() if one["verdict"] != "unchanged"} == set(
        EXP_B
    )
    one = found["expB-64", "final_val_loss"]
    sample = Sample.of(effects(old, new, "expB-64", "val_loss"))
    assert one["effect"] == pytest.approx(sample.mean, abs=1e-8)
    assert (one["low"], one["high"]) == pytest.approx(sample.interval(0.95), abs=1e-8)
    assert (one["n"], one["seeds"], one["unit"]) == (3, [0, 1, 2], "nats")
    assert one["new"] - one["old"] == pytest.approx(one["effect"], abs=1e-8)
    told = json.loads(netstab("compare", "main", "--json").stdout)
    assert told["old"] == {"name": "main", "commit": commit}
    assert told["new"] == {"name": "workspace", "commit": None}
    assert told["confidence"] == 0.95


@pytest.mark.parametrize(("shift", "verdict"), [(5.0, "higher"), (-5.0, "lower"), (0.0, "")])
def test_a_change_beyond_noise_has_a_side_and_one_within_it_has_none(
    shift: float, verdict: str, repository: Repository
) -> None:
    repository.write()
    repository.commit()
    study = repository.write()
    for seed in (0, 1, 2):
        run, noise = f"outpost-{seed}", 0.01 * (seed - 1)
        study.change(run, val_top1_pct=study.histories[run]["val_top1_pct"] + shift + noise)
    study.write(repository.root)
    found = compared(repository, "HEAD")
    assert found["outpost", "final_val_top1_pct"]["verdict"] == (verdict or "inconclusive")
    assert found["outpost", "final_val_loss"]["verdict"] == "unchanged"
    said = netstab("compare", "HEAD").stdout
    assert ("outpost" in said) and ("baseline" not in said)
    assert "HEAD to workspace: final figures of 1 of 6 variants changed" in said


def test_p_values_are_adjusted_over_what_changed(repository: Repository) -> None:
    old = repository.write()
    repository.commit()
    new = repository.write(expB={"freeze_epoch": 100})
    found = compared(repository, "main")
    changed = [(variant, measure) for variant in EXP_B for measure in MEASURES]
    samples = [Sample.of(effects(old, new, *one)) for one in changed]
    adjusted = holm([2 * min(s.p_above(0.0), s.p_below(0.0)) for s in samples])
    told = [found[variant, f"final_{measure}"]["p_holm"] for variant, measure in changed]
    assert told == pytest.approx(adjusted, rel=1e-4)
    assert all(found[key]["p_holm"] is None for key in found if key[0] not in EXP_B)


def test_below_three_seeds_there_is_no_interval_and_it_is_said(repository: Repository) -> None:
    repository.write(seeds=[0, 1])
    repository.commit()
    repository.write(seeds=[0, 1, 2], expB={"freeze_epoch": 100})
    one = compared(repository, "HEAD")["expB-64", "final_val_top1_pct"]
    assert (one["verdict"], one["n"], one["seeds"]) == ("too few seeds", 2, [0, 1])
    assert one["effect"] is not None and one["low"] is None and one["p_holm"] is None
    said = netstab("compare", "HEAD").stdout
    assert "fewer than three seeds: no interval and no verdict" in said


def test_two_revisions_are_compared_and_variants_that_one_has_alone_are_named(
    repository: Repository,
) -> None:
    repository.write()
    first = repository.commit()
    repository.git("tag", "before")
    repository.write(experiments=["expA"])
    repository.commit()
    repository.write()
    said = netstab("compare", "before", "main").stdout
    assert "before to main: final figures of 0 of 2 variants changed" in said
    assert "only in before: expB-64, expB-128, expB-256, expB-512" in said
    assert "only in main: expA-64" in said
    assert netstab("compare", first[:10], "before").stdout.count("0 of 6 variants changed") == 1


def test_an_experiment_is_found_by_its_name(repository: Repository) -> None:
    repository.write()
    main = repository.commit()
    repository.write(expB={"freeze_epoch": 100})
    experiment = repository.commit()
    repository.git("update-ref", f"refs/exps/{main[:2]}/{main[2:]}/late-freeze", experiment)
    repository.git("reset", "--quiet", "--hard", main)
    told = json.loads(netstab("compare", "late-freeze", "--json").stdout)
    assert told["old"] == {"name": "late-freeze", "commit": experiment}
    repository.git("update-ref", f"refs/exps/{experiment[:2]}/{experiment[2:]}/late-freeze", main)
    said = netstab("compare", "late-freeze", code=1).stderr
    assert said.startswith("late-freeze: is the name of 2 experiments; name a commit: ")


def test_runs_on_other_images_are_not_compared(repository: Repository) -> None:
    repository.write()
    repository.commit()
    repository.write(synthetic.DIGITS)
    one = compared(repository, "HEAD")["outpost", "final_val_loss"]
    assert (one["verdict"], one["effect"]) == ("not comparable", None)
    assert "trained on different data" in netstab("compare", "HEAD").stdout


def test_a_run_that_cannot_be_used_is_left_out_and_named(repository: Repository) -> None:
    repository.write()
    repository.commit()
    (repository.root / paths.run_dir("outpost-1") / "history.csv").unlink()
    result = netstab("compare", "HEAD", "--json")
    assert "warning: workspace: outpost-1: no usable run" in result.stderr
    one = compared(repository, "HEAD")["outpost", "final_val_loss"]
    assert one["seeds"] == [0, 2]


@pytest.mark.parametrize("name", ["nowhere", "-x", "main:params.yaml", ""])
def test_a_revision_that_is_not_there_is_refused(name: str, repository: Repository) -> None:
    repository.write()
    repository.commit()
    said = netstab("compare", "--", name, code=1).stderr
    assert said.startswith(f"{name}: is no branch, tag, commit or DVC experiment here")


def test_a_revision_without_results_is_refused(repository: Repository) -> None:
    repository.write()
    runs = repository.root / paths.RUNS
    shutil.move(runs, repository.root / "elsewhere")
    (repository.root / "elsewhere").rename(repository.root / "kept")
    repository.commit()
    shutil.move(repository.root / "kept", runs)
    said = netstab("compare", "HEAD", code=1).stderr
    assert said.startswith("HEAD: has no results: params.yaml or metrics/runs is not there; run")
    repository.write()
    repository.commit()
    (repository.root / "params.yaml").write_text("seeds: [")
    repository.commit()
    said = netstab("compare", "HEAD", "HEAD~1", code=1).stderr
    assert said.startswith("HEAD: params.yaml (of another version of netstab? git checkout HEAD, ")
    assert "compare there): 1 fault\n" in said


def test_what_changed_as_markdown_is_a_table(repository: Repository) -> None:
    repository.write()
    repository.commit()
    assert "|" not in netstab("compare", "HEAD", "--markdown").stdout
    repository.write(expB={"freeze_epoch": 100})
    said = netstab("compare", "HEAD", "--markdown").stdout.splitlines()
    assert said[0].startswith("HEAD to workspace: ")
    assert said[2] == "| variant | figure | change | interval | n | p (Holm) | verdict |"
    assert said[3] == "| --- | --- | --- | --- | --- | --- | --- |"
    assert len(said) == 4 + len(EXP_B) * len(MEASURES)
    assert all(line.count("|") == 8 for line in said[2:])
    refused = netstab("compare", "HEAD", "--markdown", "--json", code=2)
    assert "does not go with --json" in refused.stderr


def test_a_study_compared_with_itself_has_not_changed() -> None:
    study = synthetic.Study(synthetic.small(seeds=[0, 1, 2]))
    same = Study(study.params, study.collection())
    found = compare(same, Study(study.params, study.collection()))
    assert {one.verdict for one in found} == {"unchanged"}
    assert {one.effect for one in found} == {0.0}
