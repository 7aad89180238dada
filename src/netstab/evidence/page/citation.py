"""How to cite a study and the article that it reruns, as text and as BibTeX."""

import re

import netstab
from netstab.evidence.results import Results
from netstab.evidence.texts import counted, network_title

ARTICLE = (
    "Proposing a new effect of learning rate decay \N{EN DASH} Network Stability. Medium, 2020."
)


def plain(results: Results) -> str:
    """The study in a line: project, version, size, data, hardware, date."""
    return f"netstab {netstab.__version__}: {_TITLE} {_setup(results)}."


def bibtex(results: Results) -> str:
    """BibTeX entries of the study and of the article."""
    segments = results.collection.segments
    last = segments[-1].finished if segments else None
    fields = {
        "title": f"{{netstab: {_TITLE}}}",
        "version": netstab.__version__,
        **({"year": f"{last:%Y}", "month": f"{last:%m}"} if last else {}),
        "note": _escaped(_setup(results)),
    }
    article = {
        "title": "{Proposing a new effect of learning rate decay -- Network Stability}",
        "howpublished": "Medium",
        "year": "2020",
    }
    return "\n\n".join(
        (_entry("software", "netstab", fields), _entry("misc", "stability", article))
    )


_TITLE = "What does learning-rate decay do?"


def _setup(results: Results) -> str:
    params, segments = results.params, results.collection.segments
    devices = ", ".join(dict.fromkeys(s.device for s in segments)) or "unknown hardware"
    date = f", {segments[-1].finished:%Y-%m-%d}" if segments else ""
    width = "" if params.model.width is None else f" of width {params.model.width}"
    return (
        f"{network_title(params.model)}{width}, {counted(params.train.run_epochs, 'epoch')}, "
        f"{counted(len(params.seeds), 'seed')}; data: {results.data.name}; {devices}{date}"
    )


def _entry(kind: str, key: str, fields: dict[str, str]) -> str:
    width = max(map(len, fields))
    lines = [f"  {name.ljust(width)} = {{{value}}}," for name, value in fields.items()]
    return "\n".join((f"@{kind}{{{key},", *lines, "}"))


def _escaped(text: str) -> str:
    """What BibTeX would take for markup, taken as text."""
    return re.sub(r"([&%$#_{}])", r"\\\1", text)
