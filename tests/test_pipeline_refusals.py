"""What is refused leaves the committed results in place, and says what to do."""

from pathlib import Path

import pytest
import torch

from netstab.data.dataset import OFFICIAL
from netstab.errors import TrainingError
from netstab.store.ledger import Ledger
from netstab.store.states import Store
from netstab.study.experiments import Run, Variant
from netstab.study.plan import Work
from netstab.sweep import estimate
from netstab.sweep.refusals import refuse_days
from netstab.training import device, trainer
from netstab.training.device import choose
from tests import small
from tests.pipeline_helpers import Clone

pytestmark = pytest.mark.xdist_group("pipeline")

CPU = torch.device("cpu")


def assert_only_params_changed(clone: Clone, *settings: str) -> None:
    changed = clone.git("status", "--short").split()
    assert set(changed) in (set(), {"M", "params.yaml", *settings})
    assert not clone.trained()


def test_every_fault_of_the_parameters_is_named_and_nothing_is_lost(clone: Clone) -> None:
    clone.change(
        train={"momentum": 1.5, "learning_rate": -1},
        expB={"freeze_epoch": 200},
        model={"width": "wide"},
        runtime={"thread": 1},
    )
    said = clone.dvc("repro", code=255).output
    assert "params.yaml: 5 faults" in said
    for key in ("train.momentum", "train.learning_rate", "expB.freeze_epoch", "model.width"):
        assert f"\n  {key}: " in said
    assert "runtime.thread: is not a parameter; did you mean threads?" in said
    assert "Traceback" not in said
    assert_only_params_changed(clone)


def test_a_misspelt_override_is_refused_by_dvc(clone: Clone) -> None:
    said = clone.dvc("exp", "run", "-S", "expB.freeze_epok=90", code=255).output
    assert "expB.freeze_epok" in said
    assert clone.git("status", "--short") == ""
    assert not clone.trained()


def test_a_stage_without_its_images_names_the_command_that_makes_them(clone: Clone) -> None:
    for path in (clone.root / "data/prepared").iterdir():
        path.unlink()
    clone.change(outpost={"decay_factor": 0.2})
    said = clone.dvc("repro", "--single-item", "reference@outpost-0", code=255).text
    assert "data/prepared/train_images.npy: is missing" in said
    assert "dvc repro data" in said and "Traceback" not in said
    assert_only_params_changed(clone)
    clone.dvc("repro", "data")
    assert len(clone.files("data/prepared")) == 4


def test_changed_images_are_refused_and_made_again(clone: Clone) -> None:
    path = clone.root / "data/prepared/train_images.npy"
    sound = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    clone.change(outpost={"decay_factor": 0.2})
    said = clone.dvc("repro", "--single-item", "reference@outpost-0", code=255).text
    assert "train_images.npy: is not what data/manifest.json says" in said
    assert "dvc repro data" in said and "Traceback" not in said
    assert_only_params_changed(clone)
    assert clone.dvc("repro", "data").stages == ["data"]
    assert path.read_bytes() == sound


def test_the_article_on_a_cpu_is_refused_with_an_estimate_and_the_ways_out(clone: Clone) -> None:
    # The digits as large as the article's images, and twice as many epochs.
    clone.change(
        data={"image_size": 32},
        model={"width": 64},
        train={"epochs": 400, "time_scale": 1.0, "batch_size": 128},
        runtime={"device": "auto"},
    )
    before = clone.files("metrics")
    run = clone.dvc("repro", "reference@baseline-0", code=255)
    assert run.stages == ["data", "settings", "reference@baseline-0"]
    assert "baseline-0: no CUDA device is there" in run.text
    assert "(1 threads) the run would take roughly" in run.text and " h, the study " in run.text
    assert "make demo" in run.text and "-S runtime.device=cpu" in run.text
    assert "Traceback" not in run.output
    assert {**clone.files("metrics"), "settings.json": before["settings.json"]} == before
    assert not clone.trained()


def article(store: Path, device: str) -> Ledger:
    params = small.check(small.content(runtime={"device": device}))
    return Ledger(params, OFFICIAL["cifar10"], Store(store), numerics=1)


def test_days_on_a_cpu_are_accepted_where_the_cpu_is_asked_for(tmp_path: Path) -> None:
    run = Run(Variant("baseline"), 0)
    with pytest.raises(TrainingError, match=r"would take roughly \d+ \w+, the study \d+ days"):
        refuse_days(article(tmp_path, "auto"), run, "cpu", threads=2)
    refuse_days(article(tmp_path, "cpu"), run, "cpu", threads=2)


@pytest.mark.parametrize(
    ("flags", "has"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_bf16", True),
        ("flags\t\t: fpu avx2 avx512f amx_bf16 amx_tile", True),
        ("Features\t: fp asimd bf16", True),
        ("flags\t\t: fpu avx2 avx512f", False),
    ],
)
def test_bf16_is_warned_of_where_the_processor_would_emulate_it(
    flags: str,
    has: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{flags}\n")
    found = device.bf16_units(tmp_path / "cpuinfo")
    assert found == has
    assert device.bf16_units(tmp_path / "missing")
    monkeypatch.setattr(device, "bf16_units", lambda: found)
    trainer._warn_of_emulation()
    assert ("set train.precision to fp32" in capsys.readouterr().err) == (not has)


def test_a_study_of_days_is_refused_though_each_run_would_be_done_in_hours(tmp_path: Path) -> None:
    ledger, run = article(tmp_path, "auto"), Run(Variant("baseline"), 0)
    phases = ledger.schedule(run).phases
    whole = [Work(run.variant, p, p.end - p.start) for p in phases]
    assert estimate.seconds(ledger, whole, gpu=False, threads=128)[0] < 6 * 3600
    with pytest.raises(TrainingError, match=r"\(128 threads\).* the study \d+ "):
        refuse_days(ledger, run, "cpu", threads=128)


def test_a_batch_of_more_images_than_there_are_is_refused(clone: Clone) -> None:
    clone.change(train={"batch_size": 2000})
    said = clone.dvc("repro", "reference@baseline-0", code=255).text
    assert "train.batch_size: 2000 is more than the 1442 training images; lower it" in said
    assert "Traceback" not in said
    # The settings that all runs share are written before a run is tried.
    assert_only_params_changed(clone, "dvc.lock", "metrics/settings.json")


def test_images_that_cannot_be_had_leave_the_prepared_ones_in_place(clone: Clone) -> None:
    before = clone.files("data/prepared")
    assert before
    clone.change(data={"source": "nowhere.zip"})
    said = clone.dvc("repro", "data", code=255).text
    assert "data.source: there is no file or folder" in said and "nowhere.zip" in said
    assert clone.files("data/prepared") == before
    assert_only_params_changed(clone)


def test_a_cuda_device_that_is_not_there_is_refused(clone: Clone) -> None:
    clone.change(runtime={"device": "cuda"}, outpost={"decay_factor": 0.2})
    said = clone.dvc("repro", "reference@outpost-0", code=255).text
    assert "runtime.device: cuda is not there; set it to auto or cpu" in said
    assert "Traceback" not in said
    assert_only_params_changed(clone)


def test_a_device_beyond_the_last_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name, there in (("cuda", True), ("cuda:1", True), ("cuda:2", False)):
        runtime = small.params(runtime={"device": name}).runtime
        if there:
            assert choose(runtime) == torch.device(name)
        else:
            with pytest.raises(TrainingError, match="cuda:2 is not there"):
                choose(runtime)
