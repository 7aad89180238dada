"""The page's tables and facts as plain data, from parameters, summaries and provenance."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from netstab.evidence.results import Results
from netstab.evidence.summary.summaries import shown
from netstab.evidence.summary.windows import final_window
from netstab.evidence.texts import MEASURE_TITLES, counted, last, network_size, network_title
from netstab.params import Model, Params
from netstab.results.runs import Collection
from netstab.results.schema import Provenance, by_instruction_sets
from netstab.study.experiments import REFERENCES, Run, view
from netstab.text import duration, few


def facts(results: Results) -> list[dict[str, str]]:
    """Data, network, training, seeds and hardware: name, value and a detail of each."""
    params, collection = results.params, results.collection
    train, seeds = params.train, params.seeds
    segments = collection.segments
    devices = dict.fromkeys(s.device for s in segments)
    versions = ", ".join(sorted({s.torch for s in segments})) or "unknown"
    scale = "" if train.time_scale == 1 else f", time scale {train.time_scale:g}"
    rows = [
        ("Data", results.data.name, results.data.details),
        (
            "Network",
            _capital(network_title(params.model)) + network_size(params.model),
            _blocks(params),
        ),
        (
            "Training",
            f"{counted(train.run_epochs, 'epoch')} of batches of {train.batch_size}",
            f"SGD, rate {train.learning_rate:g}, momentum {train.momentum:g}, "
            f"weight decay {train.weight_decay:g}, {train.precision}{scale}",
        ),
        ("Seeds", str(len(seeds)), f"{', '.join(map(str, seeds))}; runs are paired by seed"),
        (
            "Runs",
            f"{len(collection.histories)} of {len(collection.expected)}",
            counted(len(results.summaries), "variant"),
        ),
        (
            "Hardware",
            ", ".join(devices) or "unknown",
            f"{duration(sum(s.seconds for s in segments))} of training, torch {versions}",
        ),
    ]
    rows += _instruction_sets(collection)
    return [{"name": name, "value": value, "detail": detail} for name, value, detail in rows]


def _instruction_sets(collection: Collection) -> list[tuple[str, str, str]]:
    """Those of the processors that trained, where they are known, and which runs have which."""
    told = {run.name: told.segments for run, told in collection.provenance.items()}
    found = by_instruction_sets(told)
    if not found:
        return []
    apart = "; ".join(f"{few(names)}: {sets}" for sets, names in found.items())
    detail = f"each rounds otherwise, so runs differ by that too: {apart}"
    return [("Instruction sets", "; ".join(found), detail if len(found) > 1 else "")]


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _blocks(params: Params) -> str:
    return "; ".join(f"block {name}: {' + '.join(p)}" for name, p in params.blocks.items())


def results_table(results: Results) -> dict[str, Any]:
    """Final figures and jitter of every measure, with spread over seeds, in groups of rows."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for variant in results.collection.schedules:
        summary = results.summaries[variant.name]
        cells = [
            shown(summary, f"{kind}_{measure}", 4 if measure.endswith("loss") else 2)
            for measure in MEASURE_TITLES
            for kind in ("final", "jitter")
        ]
        group = "" if variant.experiment in REFERENCES else variant.experiment
        row = {"name": variant.name, "seeds": summary["n_seeds"], "cells": cells}
        groups.setdefault(group, []).append(row)
    return {
        "caption": f"final: mean of the {last(final_window(results.params), 'epoch')}. "
        "jitter: what changes from epoch to epoch at the end, as a standard deviation (of the "
        "differences between neighbouring epochs, over the square root of 2). Each is the mean "
        "over seeds ± the standard deviation over seeds.",
        "headings": list(MEASURE_TITLES.values()),
        "groups": list(groups.values()),
    }


def sharing(results: Results) -> str:
    """How many epochs the runs hold, and how many were trained for them; views train nothing."""
    params, provenance = results.params, results.collection.provenance
    runs = [p for run, p in provenance.items() if view(params, run.variant) is None]
    held = sum(p.epochs for p in runs)
    if not held:
        return "No provenance is known."
    trained = len(set(_trained(runs)))
    return (
        f"{counted(len(runs), 'run')} with {counted(held, 'epoch')} in all, of "
        f"which {trained:,} were trained ({trained / held:.0%}): runs of a seed share "
        "what comes before they part."
    )


def _trained(runs: Iterable[Provenance]) -> Iterator[tuple[str, int]]:
    """Each epoch of each run, with the name of the run that it was trained for."""
    for run in runs:
        for segment in run.segments:
            yield from ((segment.trained_for, e) for e in range(segment.start, segment.end))


def run_rows(collection: Collection) -> list[dict[str, Any]]:
    """A row a run, in the order of the study; seconds are those of the run's whole past."""
    users = Counter(_trained(collection.provenance.values()))
    return [
        _run_row(run, collection.provenance[run], users)
        for run in collection.expected
        if run in collection.provenance
    ]


def _run_row(run: Run, provenance: Provenance, users: Counter[tuple[str, int]]) -> dict[str, Any]:
    segments = []
    for segment in provenance.segments:
        # A run that has the last epoch of a segment has all of it.
        shared = users[segment.trained_for, segment.end - 1]
        text = f"{segment.start} to {segment.end}"
        if segment.trained_for != run.name:
            text += f" of {segment.trained_for}"
        segments.append(f"{text} (in {shared} runs)" if shared > 1 else text)
    return {
        "name": run.name,
        "seed": run.seed,
        "epochs": provenance.epochs,
        "segments": " · ".join(segments),
        "seconds": f"{sum(s.seconds for s in provenance.segments):,.0f}",
        "device": ", ".join(dict.fromkeys(s.device for s in provenance.segments)),
        "torch": ", ".join(dict.fromkeys(s.torch for s in provenance.segments)),
        "key": provenance.key[:12],
    }


def protocol(collection: Collection) -> list[str]:
    """How sharpness was measured, as its files say; a line for each protocol that was used."""
    protocols = (s.protocol for s in collection.sharpness.values() if s.measurements)
    lines = (
        ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in found.items()) for found in protocols
    )
    return list(dict.fromkeys(lines))


def last_finished(collection: Collection) -> str:
    """When the last segment of any run was finished; empty where nothing is known."""
    segments = collection.segments
    return f"{segments[-1].finished:%Y-%m-%d %H:%M} UTC" if segments else ""


ARTICLE = {"width": 64, "epochs": 200, "time scale": 1.0, "batch": 128, "image size": 32}


def size_differences(params: Params) -> list[str]:
    """How the size differs from the article's; empty where it does not."""
    mine = {
        "width": params.model.width or ARTICLE["width"],
        "epochs": params.train.run_epochs,
        "time scale": params.train.time_scale,
        "batch": params.train.batch_size,
        "image size": params.data.image_size,
    }
    title, article_title = network_title(params.model), network_title(Model())
    other = [f"{title} instead of {article_title}"] if title != article_title else []
    return other + [
        f"{what} {mine[what]:g} instead of {article:g}"
        for what, article in ARTICLE.items()
        if mine[what] != article
    ]


def settings(params: Params) -> list[tuple[str, str]]:
    """Everything in `params.yaml` that results depend on: key and value, as JSON."""
    content = params.model_dump(mode="json", exclude={"runtime"})
    flat = {
        f"{section}.{key}" if isinstance(value, dict) else section: inner
        for section, value in content.items()
        for key, inner in (value.items() if isinstance(value, dict) else [("", value)])
    }
    return [(name, json.dumps(value, ensure_ascii=False)) for name, value in flat.items()]
