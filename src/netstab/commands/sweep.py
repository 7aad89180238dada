"""`netstab sweep`: the study, or some runs, in one go into the store; `dvc repro` collects it."""

import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from netstab import params, paths
from netstab.commands import preflight
from netstab.commands.dvc import run_dvc
from netstab.data.manifest import read_manifest
from netstab.errors import NetstabError
from netstab.locks import shared_with_children
from netstab.store.ledger import open_ledger
from netstab.study.choice import choose
from netstab.sweep.display import Display
from netstab.sweep.local.pool import sweep
from netstab.sweep.refusals import refuse_share


def run(
    only: Sequence[str],
    seeds: Sequence[int],
    console: Console,
    *,
    by_ray: bool = False,
    address: str | None = None,
    gpus: float | None = None,
) -> None:
    """Prepare the images where they are not, then train whatever the plan lacks.

    Args:
        only: names of the runs that are wanted; see `choice.choose`.
        seeds: that are wanted.
        console: to tell of progress.
        by_ray: train by Ray, instead of in processes of this command.
        address: of a Ray cluster; None to start a Ray on this machine.
        gpus: the share of a GPU that a worker of Ray's takes.

    Raises:
        NetstabError: `params.yaml`, the choice or the images cannot be used, or a run cannot be
            trained.
    """
    if not by_ray and (address or gpus is not None):
        raise NetstabError("an address and --gpus-per-worker go with --ray: netstab sweep --ray")
    if by_ray:
        from netstab.sweep.ray import start

        refuse_share(gpus)
        start.prepare(address)
    root = paths.project_root()
    content = params.read(root / paths.PARAMS)
    chosen = choose(content, only, seeds)
    preflight.check(root)
    os.chdir(root)
    # A dvc that a killed sweep had started may still be at work, and would turn this one away.
    with shared_with_children(root / paths.DVC_AT_WORK) as number:
        code = run_dvc(root, ["repro", "--quiet", "data"], keep=(number,))
    if code:
        raise NetstabError(
            f"the images could not be prepared (dvc exit code {code}); see above. If another dvc "
            "is at work here, wait for its end"
        )
    manifest = read_manifest()
    ledger = open_ledger(Path(), content=content)
    display = Display(ledger, console)
    if by_ray:
        from netstab.sweep.ray.pool import sweep as sweep_by_ray

        sweep_by_ray(ledger, manifest, display, chosen, address=address, gpus=gpus)
    else:
        sweep(ledger, manifest, display, chosen)
    display.print(
        "netstab collect records the runs, in one go; dvc repro does the rest, and the report"
    )
