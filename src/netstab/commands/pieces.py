"""`netstab store export` and `import`: finished runs from one machine to another."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

from netstab.commands.explain import told
from netstab.errors import StoreError, visible
from netstab.exchange import exporting, piecefile
from netstab.exchange.importing import import_files
from netstab.results.exported import FinishedRun
from netstab.results.schema import TrainedSegment, by_instruction_sets
from netstab.store.ledger import Ledger
from netstab.store.why import explain
from netstab.study.choice import choose
from netstab.study.differences import Change, changes
from netstab.study.experiments import Run, runs
from netstab.text import few


def export(ledger: Ledger, target: Path, only: Sequence[str], seeds: Sequence[int]) -> None:
    """Export the finished ones of some runs, and name those that are not finished.

    Raises:
        NetstabError: none is finished, a name is unknown, or the file cannot be written.
    """
    chosen = choose(ledger.params, only, seeds)
    finished = [run for run in chosen if exporting.ready(ledger, run)]
    left = ", ".join(run.name for run in chosen if run not in finished)
    if not finished:
        raise StoreError(
            f"nothing to export: of {len(chosen)} runs none is finished. Train: netstab sweep"
        )
    piece = exporting.piece(ledger, finished)
    path = piecefile.write(piece, target)
    said = f"{path}: {len(finished)} runs, {len(piece.measurements):,} measurements, "
    print(f"{said}{path.stat().st_size / 1e6:,.1f} MB")
    if left:
        print(f"not finished, and so left out: {left}", file=sys.stderr)


def import_runs(ledger: Ledger, paths: Sequence[Path]) -> None:
    """Import files of pieces, and say what the current parameters make of their runs.

    Raises:
        NetstabError: they cannot be used or joined, or the store cannot be written; then nothing
            was imported.
    """
    files = piecefile.found(list(paths))
    outcome = import_files(ledger, files)
    said = f"{len(outcome.new)} runs and {outcome.measurements:,} measurements imported"
    known = len(outcome.runs) - len(outcome.new)
    print(said + (f"; {known} runs were there already" if known else ""))
    wanted = {ledger.end_key(run): run for run in runs(ledger.params)}
    asked = [wanted[run.key] for run in outcome.runs if run.key in wanted]
    print(f"params.yaml asks for {len(asked)} of them; dvc repro collects these")
    warnings = (_unmeasured(ledger, asked), _others(ledger, outcome.runs, wanted), _apart(ledger))
    for line in chain.from_iterable(warnings):
        print(f"warning: {visible(line)}", file=sys.stderr)


def _unmeasured(ledger: Ledger, asked: list[Run]) -> Iterator[str]:
    """Runs without weights that lack measurements, by what is otherwise with those they have."""
    if all(map(ledger.is_measured, asked)):
        return
    lacking: dict[tuple[Change, ...], list[str]] = {}
    for reason in explain(ledger):
        if reason.imported and reason.run in asked:
            lacking.setdefault(reason.changes, []).append(reason.run.name)
    for apart, names in lacking.items():
        version = any(change.name.startswith("measures.") for change in apart)
        yield (
            f"{few(names)}: params.yaml asks for measurements that were not taken "
            f"({told(apart) or 'never so'}), and dvc repro would train the runs again for them. "
            + (
                "A netstab of that version collects the runs as they are"
                if version
                else "Set measure and blocks as where they were trained"
            )
        )


def _others(ledger: Ledger, found: list[FinishedRun], wanted: Mapping[str, Run]) -> Iterator[str]:
    """Runs that params.yaml does not ask for, by what is otherwise with them."""
    reasons: dict[str, list[str]] = {}
    for run in found:
        if run.key not in wanted:
            reasons.setdefault(_difference(ledger, run), []).append(run.run)
    for why, names in reasons.items():
        yield f"params.yaml does not ask for {few(names)}: {why}"


def _apart(ledger: Ledger) -> Iterator[str]:
    """Instruction sets that trained the study's finished runs, where they are not all the same."""
    trained = {
        run.name: [TrainedSegment.model_validate(row) for row in record.provenance]
        for run in runs(ledger.params)
        if (record := ledger.finished(run))
    }
    found = by_instruction_sets(trained)
    if len(found) > 1:
        members = "; ".join(f"{few(names)}: {sets}" for sets, names in found.items())
        yield (
            f"runs of this study were trained by different instruction sets ({members}). Each "
            "rounds otherwise: the same epochs come to other bits. Train all runs of a seed by one"
        )


def _difference(ledger: Ledger, run: FinishedRun) -> str:
    seed = run.inputs.get("seed")
    if seed not in ledger.params.seeds:
        return f"seed {seed} is none of its seeds"
    there = {k: v for k, v in run.inputs.items() if k not in ("schedule", "view")}
    found = sorted(changes(there, ledger.identity(seed)), key=lambda change: change.name)
    apart = [f"{change.name} is {change.old}, here {change.new}" for change in found]
    return "; ".join(apart) or "another schedule (epochs, rates, interventions)"
