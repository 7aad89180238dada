"""`netstab crate`: a study as a ZIP that others can cite, check and rerun."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from netstab import paths
from netstab.commands import preflight
from netstab.commands.git import git
from netstab.errors import NetstabError
from netstab.evidence.page import citation
from netstab.evidence.results import Results
from netstab.evidence.verify import verify
from netstab.exchange import crate
from netstab.store.settings import versions

CODE = ("src", "*.py", "dvc.yaml", "constraints.txt", "pyproject.toml")
"""What a commit has to say for the results to be made again."""


def run(study: Path | None, target: Path | None) -> None:
    """Write a crate of a study's results, once they are what its runs give.

    Args:
        study: a folder as `netstab study` leaves one; None for `metrics`, of params.yaml.
        target: the ZIP; None for one named after the study and the commit, in the current folder.

    Raises:
        NetstabError: the results are not what the runs give, were trained by other numbers than
            this code's, or its code is not committed; or the crate cannot be written.
    """
    root = paths.project_root()
    preflight.check(root)
    commit = _commit(root)
    folder = study or root / paths.METRICS
    with _whole(root, study) as whole:
        results, wrong = verify(whole)
        _refuse_other_numbers(folder, results)
        if wrong:
            raise NetstabError(
                f"{folder}: is not what its runs give, and nobody could check it:\n  "
                + "\n  ".join(wrong)
                + "\nMake it anew: dvc repro, or netstab study"
            )
        source = results.params.data.source
        if source and Path(source).expanduser().is_absolute():
            print(
                f"warning: the crate's params.yaml names the images by a path of this machine "
                f"({source}). Who reruns it names theirs: netstab rerun CRATE RUN --source FILE",
                file=sys.stderr,
            )
        name = "study" if study is None else folder.resolve().name
        target = target or Path(f"netstab-{name}-{commit[:7]}.zip")
        crate.write(whole, root / crate.WORKFLOW, _facts(root, results, commit), target)
    runs = len(results.collection.histories)
    print(f"{target}: {runs} runs, {target.stat().st_size / 1e6:,.1f} MB, commit {commit[:12]}")


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """A crate's study as a folder, while it is looked at; says so where its code is another one.

    Raises:
        NetstabError: it is no crate, or cannot be read safely.
    """
    with tempfile.TemporaryDirectory() as folder:
        crate.unpack(path, Path(folder))
        theirs, here = crate.commit(Path(folder)), _head(paths.project_root())
        if theirs and theirs != here:
            print(
                f"warning: {path} is of commit {theirs[:12]}, and this checkout is at "
                f"{(here or 'none')[:12]}; git checkout {theirs[:12]} has the code that made it",
                file=sys.stderr,
            )
        yield Path(folder)


@contextmanager
def _whole(root: Path, study: Path | None) -> Iterator[Path]:
    """A folder with a study's results and inputs; for `metrics`, a copy with those of the root."""
    if study is not None:
        yield study
        return
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "study"
        if not (root / paths.METRICS).is_dir():
            raise NetstabError(f"{paths.METRICS}: is not there yet. Make it: dvc repro")
        shutil.copytree(root / paths.METRICS, whole)
        (whole / paths.MANIFEST).parent.mkdir()
        for part in (paths.PARAMS, paths.MANIFEST):
            if (root / part).is_file():
                shutil.copyfile(root / part, whole / part)
        yield whole


def _refuse_other_numbers(folder: Path, results: Results) -> None:
    training, _ = versions()
    collection = results.collection
    if collection.faults:
        raise NetstabError(
            f"{folder}: is not whole, so it is not published: {collection.faults[0]}"
        )
    found = {told.numerics_version for told in collection.provenance.values()}
    if found != {training}:
        told = ", ".join(map(str, sorted(found)))
        raise NetstabError(
            f"{folder}: was trained by version {told} of the numerics, and this code has version "
            f"{training}, so nobody could train a run of it again by this commit. Check out the "
            "commit that trained it, or train it anew"
        )


def _facts(root: Path, results: Results, commit: str) -> crate.Facts:
    segments = [s for told in results.collection.provenance.values() for s in told.segments]
    times = [segment.finished for segment in segments]
    return crate.Facts(
        name=f"netstab: {results.data.name}, width {results.params.model.width}",
        description=citation.plain(results),
        commit=commit,
        repository=_repository(root),
        started=min(times),
        ended=max(times),
    )


def _commit(root: Path) -> str:
    """The commit that has this code.

    Raises:
        NetstabError: something of it is not committed.
    """
    changed = git(root, "status", "--porcelain", "--", *CODE).stdout.splitlines()
    if changed:
        raise NetstabError(
            f"{changed[0][3:]}: is not committed, so no commit says by which code the study can be "
            "made again; commit it: git commit -a"
        )
    commit = _head(root)
    assert commit is not None  # preflight has looked
    return commit


def _head(root: Path) -> str | None:
    return git(root, "rev-parse", "--verify", "--quiet", "HEAD").stdout.strip() or None


def _repository(root: Path) -> str | None:
    url = git(root, "config", "--get", "remote.origin.url").stdout.strip()
    # Whoever cites it must not get a path of this machine, or what someone signs in with.
    return url if url.startswith("https://") and "@" not in url else None
