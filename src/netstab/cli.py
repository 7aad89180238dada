"""The command line: `netstab plan`, `sweep`, `collect`, `study` ...; the stages are not here.

Results go to stdout. Messages go to stderr: refusals, warnings, questions, progress and what to do
next. Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 130 stopped by Ctrl-C, 143 by SIGTERM,
129 by SIGHUP.
"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.prompt import Confirm

from netstab import __version__, paths
from netstab.exits import exit_codes
from netstab.store.ledger import Ledger, open_ledger
from netstab.store.states import Store

app = typer.Typer(
    help="What does learning-rate decay do in training? A first look: netstab study demo. The "
    "study of params.yaml: dvc repro, or netstab sweep and collect, then dvc repro.",
    epilog="Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 130 stopped by Ctrl-C, 143 by "
    "SIGTERM, 129 by SIGHUP.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
store_app = typer.Typer(
    help="Trained states, kept so that no epoch is trained twice: list, check, free, exchange."
)
app.add_typer(store_app, name="store", no_args_is_help=True)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"netstab {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Options of `netstab` itself."""


Gpus = Annotated[
    float | None,
    typer.Option(
        min=0,
        help="GPUs for each Ray worker, such as 0.5. Default: 0 with runtime.device: cpu; "
        "else 1 in a plan, and in a sweep 1 if the cluster has any.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print it as JSON; see docs/JSON.md.")]
Markdown = Annotated[
    bool, typer.Option("--markdown", help="Print it as a table for a pull request; see docs/CI.md.")
]


@app.command()
def plan(
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Predict a sweep by Ray with this number of workers; see docs/CLUSTER.md."
        ),
    ] = None,
    gpus_per_worker: Gpus = None,
    start_up: Annotated[
        float | None,
        typer.Option(min=0, help="Seconds that a worker takes to start. Default: 10."),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Say of every run why it is trained, measured or only collected: the nearest "
            "stored state, and the parameter that parts them.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Draw the tree of shared pasts; say what is stored, what is left and how long it takes."""
    with exit_codes():
        from netstab.commands import plan as command

        command.run(
            _ledger(),
            _console(),
            workers,
            gpus_per_worker,
            start_up,
            why=explain,
            as_json=json,
        )


Only = Annotated[
    list[str] | None,
    typer.Option(
        help="Experiments or runs, separated by commas: reference,expA or expB-64. Default: all."
    ),
]
Seeds = Annotated[
    list[int] | None,
    typer.Option("--seed", help="A seed of params.yaml; repeatable. Default: all."),
]


@app.command()
def sweep(
    only: Only = None,
    seed: Seeds = None,
    ray: Annotated[bool, typer.Option("--ray", help="Train by Ray; see docs/CLUSTER.md.")] = False,
    address: Annotated[
        str | None,
        typer.Argument(help="With --ray: of a cluster, HOST:PORT or auto. Default: one here."),
    ] = None,
    gpus_per_worker: Gpus = None,
) -> None:
    """Train every run that the store lacks, several at once; then run `netstab collect`."""
    with exit_codes():
        from netstab.commands import sweep as command

        command.run(
            only or [],
            seed or [],
            _messages(),
            by_ray=ray,
            address=address,
            gpus=gpus_per_worker,
        )


@app.command()
def collect() -> None:
    """Record with DVC, in one go, each group of stages that the store has all runs of."""
    with exit_codes():
        from netstab.commands import collect as command

        command.run()


@app.command()
def study(
    size: Annotated[str, typer.Argument(help="demo, mini or article.")],
    source: Annotated[
        str | None,
        typer.Option(
            help="Archive, folder or URL with images, all of which are taken; not for demo. See "
            "docs/IMAGES.md. Default: what params.yaml says; mini takes only the "
            "first images of each CIFAR-10 batch."
        ),
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option(
            "-S", help="Another parameter, for this study alone: expB.freeze_epoch=90. Repeatable."
        ),
    ] = None,
) -> None:
    """Run the whole study in a supported size, as a DVC experiment of its own.

    Its results replace those in the folder named after the size, which git ignores.
    """
    with exit_codes():
        from netstab.commands import study as command

        command.run(size, source, override or [], _console())


@app.command()
def size(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[SIZE]", help="demo, mini or article. Default: say which it is."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(help="With a size: archive, folder or URL with images; not for demo."),
    ] = None,
    json: Json = False,
) -> None:
    """Write a supported size into params.yaml, or say which one it has and what differs."""
    with exit_codes():
        from netstab.commands import size as command

        if name is None:
            command.show(as_json=json)
        else:
            command.write(name, source, as_json=json)


@app.command()
def claims(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Show every test behind these.")
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            help="Folder with a study's results, such as demo, or a crate, whose results are then "
            "held against its runs. Default: metrics, the study of params.yaml."
        ),
    ] = None,
    json: Json = False,
    markdown: Markdown = False,
) -> None:
    """Show each claim's verdict, with effect, interval and n."""
    with exit_codes():
        from netstab.commands import claims as command

        command.show(ids or [], _console(), results, as_json=json, as_markdown=markdown)


@app.command()
def compare(
    old: Annotated[
        str, typer.Argument(metavar="REV1", help="Branch, tag, commit or DVC experiment.")
    ],
    new: Annotated[
        str | None, typer.Argument(metavar="[REV2]", help="Likewise. Default: the workspace.")
    ] = None,
    json: Json = False,
    markdown: Markdown = False,
) -> None:
    """Judge what changed in final figures between two revisions, paired by seed.

    As `dvc metrics diff`, with the claims' interval and verdict for each change.
    """
    with exit_codes():
        from netstab.commands import compare as command

        command.run(old, new, _console(), as_json=json, as_markdown=markdown)


@app.command()
def crate(
    study: Annotated[
        Path | None,
        typer.Argument(
            metavar="[STUDY]",
            help="Folder that netstab study left, such as demo. Default: metrics, the study of "
            "params.yaml.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="The ZIP. Default: netstab-STUDY-COMMIT.zip in this folder."),
    ] = None,
) -> None:
    """Pack a study to cite, check and rerun: a ZIP described as a Workflow Run RO-Crate."""
    with exit_codes():
        from netstab.commands import crate as command

        command.run(study, output)


@app.command()
def rerun(
    crate: Annotated[Path, typer.Argument(help="A ZIP that netstab crate wrote.")],
    run: Annotated[str, typer.Argument(help="One of its runs, such as expB-64-0.")],
    source: Annotated[
        str | None,
        typer.Option(help="Archive, folder or URL with the images, if they are elsewhere here."),
    ] = None,
) -> None:
    """Train one run of a crate again, and hold its history against the one in there."""
    with exit_codes():
        from netstab.commands import rerun as command

        command.run(crate, run, source)


@store_app.command("ls")
def store_ls(json: Json = False) -> None:
    """List the states that are stored, and what params.yaml, or a study, wants them for."""
    with exit_codes():
        from netstab.commands import store as command

        command.ls(_ledger(), _console(), as_json=json)


@store_app.command("verify")
def store_verify() -> None:
    """Check all that is stored; damaged files are set aside, and the exit code is then 1."""
    with exit_codes():
        from netstab.commands import store as command

        if not command.verify(Store(paths.store_root())):
            raise typer.Exit(1)


@store_app.command("gc")
def store_gc(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed.")] = False,
) -> None:
    """Remove what neither params.yaml nor a study's results, such as demo/, need.

    Other branches may still want it, and so may other clones that share this store.
    """
    with exit_codes():
        from netstab.commands import store as command

        if not command.gc(
            _ledger(), dry_run=dry_run, confirm=(lambda _: True) if yes else _confirmed
        ):
            raise typer.Exit(1)


@store_app.command("export")
def store_export(
    target: Annotated[Path, typer.Argument(help="A folder, or a file that ends in .json.gz.")],
    only: Only = None,
    seed: Seeds = None,
) -> None:
    """Write finished runs, all but their weights, into a small file for another machine."""
    with exit_codes():
        from netstab.commands import pieces as command

        command.export(_ledger(), target, only or [], seed or [])


@store_app.command("import")
def store_import(
    files: Annotated[
        list[Path], typer.Argument(help="Files that export wrote, or folders of them.")
    ],
) -> None:
    """Import runs that were trained elsewhere; `dvc repro` then collects them."""
    with exit_codes():
        from netstab.commands import pieces as command

        command.import_runs(_ledger(), files)


def _ledger() -> Ledger:
    # A plan can be drawn before the data is there; nothing in the store can match it.
    return open_ledger(paths.project_root(), planning=True)


def _confirmed(question: str) -> bool:
    # typer.confirm turns Ctrl-C into a refusal.
    return Confirm.ask(question, console=_messages(), default=False)


def _console() -> Console:
    return Console(highlight=False)


def _messages() -> Console:
    return Console(highlight=False, stderr=True)
