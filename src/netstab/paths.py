"""Where every file of the study lies. No other module spells a path of the project."""

import os
from pathlib import Path

from netstab.errors import NetstabError

PARAMS = Path("params.yaml")
SIZES = Path("sizes.yaml")
MANIFEST = Path("data/manifest.json")
PREPARED = Path("data/prepared")
METRICS = Path("metrics")
SETTINGS = METRICS / "settings.json"
RUNS = METRICS / "runs"
VARIANTS = METRICS / "variants"
CURVES = METRICS / "curves.csv"
REPORT = METRICS / "report.html"
CEILING = METRICS / "ceiling.json"
BARRIERS = METRICS / "barriers.json"
CLAIMS = METRICS / "claims.json"
CLAIM_PARTS = METRICS / "claims.csv"
FIGURES = METRICS / "figures"

NETWORKS = Path("networks")
"""Where networks of the user's own lie, if DVC is to see them change."""

DVC_LOCK = Path("dvc.lock")
"""What DVC has recorded of each stage."""
LOCKS = Path(".netstab") / "locks"
"""Of a checkout: a file for each result that only one process may write at a time."""
DVC_AT_WORK = LOCKS / "dvc.lock"
"""Held while a command of ours runs DVC."""

NUMERICS = Path(__file__).parent / "training" / "numerics.json"
"""Golden values of the code at work."""
RECORDED_NUMERICS = Path("src") / "netstab" / "training" / "numerics.json"
"""Those that DVC records, in a checkout."""


def project_root(start: Path | None = None) -> Path:
    """Nearest folder from `start` (default: the current one) upwards that holds the project.

    Raises:
        NetstabError: there is none.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / PARAMS).is_file() and (folder / "dvc.yaml").is_file():
            return folder
    raise NetstabError(
        f"{start}: no params.yaml and dvc.yaml here or above. "
        "Change into a checkout of netstab and try again."
    )


def main_root() -> Path:
    """The user's own checkout, also from within a temporary copy that `dvc exp run` made.

    DVC names it to its stages in `DVC_ROOT`. Relative paths in `data.source`, the store and
    downloads belong to it, so that temporary copies share them.
    """
    named = os.environ.get("DVC_ROOT")
    return Path(named) if named else project_root()


def named_in(root: Path, path: Path) -> Path:
    """How parameters name a file: relative to the checkout if it lies there, else absolute.

    Args:
        root: the checkout, absolute.
        path: of the file, absolute.
    """
    return path.relative_to(root) if path.is_relative_to(root) else path


def store_root() -> Path:
    """Folder of the store of states: `NETSTAB_STORE`, or `.netstab/store`.

    A relative path belongs to the main checkout, wherever the command is started.
    """
    named = Path(os.environ.get("NETSTAB_STORE") or Path(".netstab") / "store").expanduser()
    return named if named.is_absolute() else main_root() / named


def studies(root: Path) -> list[Path]:
    """Folders of `netstab study`'s results in a checkout, and copies of them beside these.

    Each holds what `metrics` holds, and the study's own `params.yaml` and `data/manifest.json`;
    one that lacks something of it is among them all the same, to be asked about.
    """
    signs = (PARAMS.name, CLAIMS.name)
    found = {path.parent for sign in signs for path in root.glob(f"*/{sign}")}
    # No checkout in the checkout, which has a store of its own.
    return sorted(f for f in found if f != root / METRICS and not (f / "dvc.yaml").is_file())


def under_way(root: Path) -> list[Path]:
    """Temporary copies of a checkout in which `dvc exp run --temp` is at work, or was killed."""
    found = root.glob(f".dvc/tmp/exps/*/*/{PARAMS}")
    return sorted(path.parent for path in found if (path.parent / MANIFEST).is_file())


def downloads() -> Path:
    """Folder that keeps downloaded archives, so that each is fetched once."""
    return main_root() / ".netstab" / "downloads"


def kept_script(name: str) -> Path:
    """File that keeps a page's script; outside a checkout a relative one."""
    named = os.environ.get("DVC_ROOT")
    return Path(named or "") / ".netstab" / "vega" / name


def run_dir(run: str) -> Path:
    """Folder of one run's small files, e.g. `metrics/runs/expB-64-0`.

    It holds `history.csv` (a row an epoch), `stability.csv`, `field.csv` and `sharpness.json`
    (what was measured on it) and `provenance.json` (what trained it, where, how long).
    """
    return RUNS / run
