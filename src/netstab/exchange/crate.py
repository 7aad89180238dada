"""A study as an RO-Crate: a ZIP of its parameters, images' manifest, results and page.

It is described as a Workflow Run RO-Crate (https://w3id.org/ro/wfrun/workflow/0.5): `dvc.yaml` is
the workflow, `params.yaml` and the manifest went in, the results came out, and the commit of the
code says what ran. What is read of one is bounded, and nothing of it is executed.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from netstab import paths, plain_json
from netstab.data.archives import stream
from netstab.data.passed_over import PassedOver
from netstab.errors import DataError, NetstabError
from netstab.files import replacing
from netstab.results.schema import RUN_FILES

METADATA = "ro-crate-metadata.json"
WORKFLOW = "dvc.yaml"
CODE = "#code"
"""Identifier of the code in the metadata; its `version` is the commit."""
LICENCE = "https://spdx.org/licenses/MIT"
PROFILES = (
    "https://w3id.org/ro/wfrun/process/0.5",
    "https://w3id.org/ro/wfrun/workflow/0.5",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0",
)
INPUTS = (
    (str(paths.PARAMS), "Parameters of the study", "application/yaml"),
    (str(paths.MANIFEST), "Identity of the images", "application/json"),
)
RESULTS = (
    ("claims.json", "Each claim's verdict, with effect and interval", "application/json"),
    ("claims.csv", "Every test behind the claims", "text/csv"),
    ("curves.csv", "The curves over epochs, means over seeds", "text/csv"),
    ("ceiling.json", "How alike the signals of two seeds are", "application/json"),
    ("barriers.json", "Loss on straight lines between states of a seed", "application/json"),
    ("report.html", "The page: claims, curves and measurements", "text/html"),
    ("variants", "Final figures of each variant", ""),
    ("figures", "The page's figures", ""),
    ("runs", "History, measurements and provenance of each run", ""),
)
"""Files and folders of a study, what they are, and their media types; not all need be there."""

MOST_FILE = 64 * 2**20
MOST_BYTES = 512 * 2**20
"""Of all that is read; an article-sized study of three seeds has some 20 MB."""
_RUN = r"[A-Za-z0-9_-]{1,200}"
_READ = re.compile(
    rf"params\.yaml|dvc\.yaml|data/manifest\.json|{re.escape(METADATA)}|(claims|ceiling|barriers)\.json|"
    rf"(claims|curves)\.csv|variants/{_RUN}\.json|"
    rf"runs/{_RUN}/({'|'.join(map(re.escape, RUN_FILES))})"
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a crate says of its study beside the files.

    Attributes:
        name: of the study.
        description: in a line or two.
        commit: of the code.
        repository: URL that the code can be cloned from; None where git knows none.
        started: when the first epochs were trained.
        ended: when the last ones were.
    """

    name: str
    description: str
    commit: str
    repository: str | None
    started: datetime
    ended: datetime


def write(study: Path, workflow: Path, facts: Facts, target: Path) -> None:
    """Write a crate, replaced whole.

    Args:
        study: folder with the results, `params.yaml` and `data/manifest.json`.
        workflow: the `dvc.yaml` that ran.
        facts: what it says beside them.
        target: the ZIP.

    Raises:
        NetstabError: `rocrate` is not installed, or it cannot be written.
    """
    if find_spec("rocrate") is None:
        raise NetstabError(
            "rocrate is not installed; install it: pip install -c constraints.txt -e '.[crate]'"
        )
    crate = _described(study, workflow, facts)
    try:
        with replacing(target) as temporary:
            # write_zip adds its own suffix where there is none.
            made = temporary.with_suffix(".zip")
            crate.write_zip(made)
            with ZipFile(made, "a") as archive:
                for folder in (e.id for e in crate.data_entities if e.id.endswith("/")):
                    archive.mkdir(folder)
            made.replace(temporary)
    except OSError as error:
        raise NetstabError(
            f"{target}: cannot be written ({error.strerror or error}); free some room or name "
            "another place"
        ) from error


def _described(study: Path, pipeline: Path, facts: Facts) -> Any:
    from rocrate.model.computerlanguage import ComputerLanguage
    from rocrate.model.contextentity import ContextEntity
    from rocrate.rocrate import ROCrate

    # The version that the profiles build on.
    crate = ROCrate(version="1.1")
    crate.name, crate.description = facts.name, facts.description
    crate.datePublished = facts.ended
    profiles = [
        crate.add(ContextEntity(crate, url, {"@type": "CreativeWork", "name": url}))
        for url in PROFILES
    ]
    crate.root_dataset["conformsTo"] = profiles
    author = {"@type": "Organization", "name": "the netstab contributors"}
    authors = crate.add(ContextEntity(crate, "#netstab", author))
    crate.root_dataset["author"] = crate.root_dataset["publisher"] = authors
    licence = {"@type": "CreativeWork", "name": "MIT licence"}
    crate.license = crate.add(ContextEntity(crate, LICENCE, licence))
    told = {"@type": "SoftwareSourceCode", "name": "netstab", "version": facts.commit}
    if facts.repository:
        told |= {"codeRepository": facts.repository}
    code = crate.add(ContextEntity(crate, CODE, told))
    crate.root_dataset["isBasedOn"] = code
    dvc = {"name": "DVC pipeline", "url": {"@id": "https://dvc.org"}}
    language = crate.add(ComputerLanguage(crate, "https://dvc.org", dvc))
    workflow = crate.add_workflow(pipeline, WORKFLOW, main=True, lang=language, gen_cwl=False)
    workflow["name"] = "The study as a DVC pipeline"
    workflow["version"] = facts.commit
    workflow["isBasedOn"] = code
    _run(crate, workflow, facts, _added(crate, study, INPUTS), _added(crate, study, RESULTS))
    return crate


def _added(crate: Any, study: Path, files: Iterable[tuple[str, str, str]]) -> list[Any]:
    found = []
    for name, what, kind in files:
        path = study / name
        if path.is_dir():
            found.append(crate.add_dataset(path, f"{name}/", properties={"name": what}))
        elif path.is_file():
            told = {"name": what, "encodingFormat": kind}
            found.append(crate.add_file(path, name, properties=told))
    return found


def _run(crate: Any, workflow: Any, facts: Facts, used: list[Any], made: list[Any]) -> None:
    """The run of the workflow: what went in, what came out, when."""
    for slot, entities in (("input", used), ("output", made)):
        for entity in entities:
            kind = "Dataset" if entity.type == "Dataset" else "File"
            identifier = f"#{entity.id.strip('/').replace('/', '-')}"
            parameter = crate.add_formal_parameter(
                entity["name"], kind, identifier, valueRequired=slot == "input"
            )
            entity["exampleOfWork"] = parameter
            workflow.append_to(slot, parameter)
    told = {
        "name": f"Run of {facts.name}",
        "description": facts.description,
        "startTime": facts.started.isoformat(),
        "endTime": facts.ended.isoformat(),
    }
    action = crate.add_action(workflow, "#run", used, made, told)
    action["agent"] = crate.dereference("#netstab")
    crate.root_dataset["mentions"] = action


def unpack(path: Path, target: Path) -> None:
    """Write a crate's inputs and results into a folder, but neither page nor figures.

    Args:
        path: the ZIP.
        target: an empty folder.

    Raises:
        DataError: it is no ZIP, hostile, damaged, too large, or no crate of a study.
    """
    total, found = 0, set()
    passed_over = PassedOver(path)
    for entry in stream(path, lambda name: MOST_FILE if _READ.fullmatch(name) else 0, passed_over):
        if entry.content is None:
            continue
        total += len(entry.content)
        if total > MOST_BYTES:
            raise DataError(f"{path}: has more than {MOST_BYTES // 2**20} MiB, and is not used")
        (target / entry.name).parent.mkdir(parents=True, exist_ok=True)
        (target / entry.name).write_bytes(entry.content)
        found.add(entry.name)
    for name in (METADATA, str(paths.PARAMS), str(paths.MANIFEST), paths.CLAIMS.name):
        if name not in found:
            raise DataError(f"{path}: has no {name}; name a ZIP that netstab crate wrote")


def commit(folder: Path) -> str | None:
    """The commit of the code that an unpacked crate names; None where it names none."""
    try:
        graph = plain_json.read(folder / METADATA)["@graph"]
        versions = [entity["version"] for entity in graph if entity.get("@id") == CODE]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return versions[0] if versions and re.fullmatch("[0-9a-f]{40,64}", str(versions[0])) else None
