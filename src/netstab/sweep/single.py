"""One run in this process, with its progress shown: what a stage does for itself."""

from netstab.data.manifest import Manifest
from netstab.data.tensors import load
from netstab.store.ledger import Ledger
from netstab.store.records import Record
from netstab.study.experiments import Run
from netstab.sweep.progress import Reporter
from netstab.sweep.refusals import refuse
from netstab.training.trainer import Read, Trainer


def train_run(ledger: Ledger, run: Run, manifest: Manifest, read: Read = load) -> Record:
    """Train a run to its end on the device that the parameters ask for, and measure it.

    Raises:
        NetstabError: the run is refused (see `refusals.refuse`), the data is not what the manifest
            says, a loss is not finite, or a state cannot be saved.
    """
    trainer = Trainer(ledger, manifest, read)
    refuse(ledger, [run], manifest, trainer.device.type, trainer.threads)
    gpu = trainer.device.type == "cuda"
    with Reporter(ledger, run, gpu=gpu, threads=trainer.threads) as reporter:
        record = trainer.train(run, reporter.epoch_done, reporter.measuring)
    reporter.study()
    return record
