"""`netstab rerun`: one run of a crate trained again, and held against its history."""

import os
import sys
from pathlib import Path

from netstab import params, paths, source_code
from netstab.commands import images
from netstab.commands.crate import opened
from netstab.data import subset
from netstab.data.manifest import Manifest, read_manifest
from netstab.errors import NetstabError
from netstab.params import Params
from netstab.results.read import UnusableFileError, read_json, read_table
from netstab.results.schema import HISTORY, PROVENANCE, Provenance
from netstab.study.experiments import Run, runs

AGAIN = Path("again")
"""Where the new run's files are, in the unpacked crate."""


def run(crate: Path, name: str, source: str | None) -> None:
    """Train a run from its first epoch on, in an empty store, and compare the two histories.

    Args:
        crate: a ZIP that `netstab crate` wrote.
        name: of one of its runs, such as `expB-64-0`.
        source: the images, where they are not the ones that its parameters name here.

    Raises:
        NetstabError: the crate or its images cannot be used, this code computes other numbers, or
            the history is another one.
    """
    root, crate = paths.project_root(), crate.resolve()
    named = None if source is None else images.own(root, source)
    with opened(crate) as folder:
        content = params.read(folder / paths.PARAMS)
        if content.model.is_own:
            _refuse_foreign_code(content.model.name, root)
            sys.path.insert(0, str(root))
        chosen = _chosen(content, name)
        told = _told(folder, name)
        content = _as_trained(content, told, named)
        before = Path.cwd()
        os.chdir(folder)
        # What the parameters name relative to a checkout, and downloads, belong to this one.
        os.environ["DVC_ROOT"] = str(root)
        try:
            _train(content, chosen, told)
            epochs = _compare(chosen, told)
        finally:
            os.chdir(before)
    print(f"{name}: the same history, to the bit, over {epochs} epochs")


def _chosen(content: Params, name: str) -> Run:
    known = {run.name: run for run in runs(content)}
    if name not in known:
        raise NetstabError(f"{name}: is no run of this study; known are {', '.join(known)}")
    return known[name]


def _refuse_foreign_code(name: str, root: Path) -> None:
    """Refuse to run what a crate names, where that is no code of this checkout.

    A crate is others'. It may name any function of any package, with any arguments.
    """
    if not source_code.lies_in(root, name):
        raise NetstabError(
            f"{name}: is the network of this study, and no code of this checkout; a crate holds no "
            "code. To train it is to run it: get it from whoever made the crate, look at it, and "
            "put it where it was in theirs"
        )


def _told(folder: Path, name: str) -> Provenance:
    try:
        return read_json(folder / paths.RUNS.name / name / PROVENANCE, Provenance)
    except UnusableFileError as error:
        raise NetstabError(str(error).replace(f"{folder}/", "")) from None


def _as_trained(content: Params, told: Provenance, source: str | None) -> Params:
    """The parameters with the device and threads that trained the run, and images found here."""
    last = told.segments[-1]
    how = {(s.device_type, s.threads, s.torch, s.instruction_sets) for s in told.segments}
    if len(how) > 1:
        # The past that it shares was perhaps trained elsewhere.
        where = "; ".join(segment.where for segment in told.segments)
        said = (
            f"{told.run} was not trained in one way ({where}); it is now, as its last epochs were"
        )
        print(f"warning: {said}", file=sys.stderr)
    runtime = {"device": last.device_type, "threads": last.threads}
    data: dict[str, str | None] = {}
    if source is not None:
        data = {"source": source}
    elif content.data.name == subset.NAME:
        data = {"source": str(subset.official())}
    return content.model_copy(
        update={
            "runtime": content.runtime.model_copy(update=runtime),
            "data": content.data.model_copy(update=data),
        }
    )


def _train(content: Params, chosen: Run, told: Provenance) -> None:
    """Prepare the images, and train the run, in the current folder."""
    # Only now torch: what is refused before costs no second.
    from netstab.data.prepare import prepare
    from netstab.store import finished
    from netstab.store.ledger import open_ledger
    from netstab.store.states import Store
    from netstab.sweep.progress import Reporter
    from netstab.training.trainer import Trainer

    wanted = read_manifest()
    manifest = prepare(content)
    _refuse_other_images(manifest, wanted)
    ledger = open_ledger(Path(), Store(Path("store")), content=content)
    if ledger.end_key(chosen) != told.key:
        raise NetstabError(
            f"{chosen.name}: was trained by version {told.numerics_version} of the numerics, and "
            f"this code has version {ledger.numerics}; check out the commit that the crate names"
        )
    trainer = Trainer(ledger, manifest)
    gpu = trainer.device.type == "cuda"
    with Reporter(ledger, chosen, gpu=gpu, threads=trainer.threads) as reporter:
        record = trainer.train(chosen, reporter.epoch_done, reporter.measuring)
    finished.write(ledger, chosen, record, finished.images(manifest), root=AGAIN)


def _refuse_other_images(manifest: Manifest, wanted: Manifest) -> None:
    if manifest.content_sha256 != wanted.content_sha256:
        raise NetstabError(
            f"{wanted.name}: these are other images than the study was trained on (content_sha256 "
            f"{manifest.content_sha256[:12]}..., there {wanted.content_sha256[:12]}...). Name its: "
            "--source; other versions of the libraries may decode JPEG otherwise"
        )


def _compare(chosen: Run, told: Provenance) -> int:
    """Number of epochs of two equal histories.

    Raises:
        NetstabError: they are not equal.
    """
    theirs, ours = (
        folder / chosen.name / HISTORY for folder in (Path(paths.RUNS.name), AGAIN / paths.RUNS)
    )
    if theirs.read_bytes() == ours.read_bytes():
        return told.epochs
    try:
        tables = [read_table(path, ("epoch",)) for path in (theirs, ours)]
    except UnusableFileError as error:
        raise NetstabError(str(error)) from None
    here = read_json(ours.parent / PROVENANCE, Provenance).segments[-1]
    where = f"there {told.segments[-1].where}; here {here.where}"
    for epoch, (old, new) in enumerate(zip(*(t.to_dict("records") for t in tables), strict=False)):
        for name in (column for column in old if old[column] != new.get(column)):
            raise NetstabError(
                f"{chosen.name}: another history: {name} of epoch {epoch} is {new.get(name)!r}, in "
                f"the crate {old[name]!r}. The same bits take the same kind of processor, torch "
                f"and threads ({where})"
            )
    raise NetstabError(f"{chosen.name}: another history: {len(tables[0])} epochs in the crate")
