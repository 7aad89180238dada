"""Code that runs inside the clones of `pipeline_helpers`."""

FILL = """
from netstab import params, paths
from netstab.data.prepare import prepare
from netstab.study.experiments import Run, variants
from netstab.sweep.job import train
from netstab.data.dataset import Dataset
from netstab.store.ledger import Ledger, versions
from netstab.store.states import Store
content = params.read(paths.PARAMS)
manifest = prepare(content)
moved = content.model_copy(
    update={"expB": content.expB.model_copy(update={"freeze_epoch": 90})}
)
store = Store(paths.store_root())
for study in (content, moved):
    ledger = Ledger(study, Dataset.prepared(manifest), store, *versions())
    for variant in variants(study):
        train(ledger, Run(variant, 0), manifest)
"""
"""Fills the store: the study, and with `MOVED` as well."""

SPY = """

# --- added by tests/pipeline_helpers.py: a log of every epoch trained, and a gate before one ---
def _spied(epoch_of):
    import hashlib, json, os, pathlib, time

    log, gate = os.environ.get("SPY_LOG"), os.environ.get("SPY_GATE")

    def epoch(self, phase, training, validation, seed, number, after_step=None):
        if log:
            start = hashlib.sha256()
            for tensor in self.model.state_dict().values():
                start.update(tensor.cpu().numpy().tobytes())
            row = {"pid": os.getpid(), "seed": seed, "epoch": number}
            row |= {"start": start.hexdigest(), "settings": phase.settings}
            with open(log, "a") as file:
                file.write(json.dumps(row) + "\\n")
        for _ in range(30_000):  # ten minutes: a test that was killed leaves no trainer behind
            if not gate or not pathlib.Path(f"{gate}-{number}").exists():
                break
            time.sleep(0.02)
        return epoch_of(self, phase, training, validation, seed, number, after_step)

    return epoch


Engine.epoch = _spied(Engine.epoch)
"""
