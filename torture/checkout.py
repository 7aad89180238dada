"""A checkout of the project with a study of seconds, to be tortured."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netstab.store.ledger import Ledger, open_ledger
from netstab.store.states import Store
from tests import checkout
from tests.checkout import DVC, TINY

SAVE_INTERVAL_S = 0.3
STUDY: dict[str, Any] = {
    **TINY,
    # 6 epochs of 6 steps; the shipped interventions fall on epochs 2 and 4.
    "train": {**TINY["train"], "time_scale": 0.03, "batch_size": 288},
    "blocks": {"64": ["stem", "layer1", "layer2"], "512": ["layer3", "layer4", "head"]},
    "expE": {"ema": {"start_epoch": 60, "decay": 0.99, "batch_norm_images": 128}},
    "runtime": {**TINY["runtime"], "workers": 2, "save_interval_s": SAVE_INTERVAL_S},
}
TRAIN = (sys.executable, "-m", "netstab.stages.train")


@dataclass(frozen=True)
class Checkout(checkout.Checkout):
    """A checkout with its store, whose processes can be found.

    Attributes:
        sessions: of the processes that were forked for it.
    """

    sessions: set[int] = field(default_factory=set)

    @property
    def store(self) -> Store:
        """Its store of states."""
        return Store(self.root / ".netstab" / "store")

    @property
    def temporary(self) -> Path:
        """Its processes' folder for temporary files."""
        folder = self.root / ".netstab" / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def ledger(self) -> Ledger:
        """What its parameters ask for."""
        return open_ledger(self.root, self.store)

    def environment(self) -> dict[str, str]:
        """See `tests.checkout`; its sources, and a mark by which its processes are found."""
        own = {"PYTHONPATH": "src", "TMPDIR": str(self.temporary), "TORTURED": str(self.root)}
        return super().environment() | own


def make(root: Path, *, spied: bool = True) -> Checkout:
    """A checkout of the working tree with the small study, its images prepared; committed."""
    made = Checkout(root)
    made.copy_working_tree(spied=spied)
    made.change(**STUDY)
    made.run(*DVC, "repro", "--quiet", "data")
    made.commit("study")
    return made
