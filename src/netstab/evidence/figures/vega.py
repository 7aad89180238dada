"""Vega itself: the script that a page carries, and SVG without a browser."""

import hashlib
import json
import re
from contextlib import suppress
from functools import cache
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from netstab import paths
from netstab.evidence.figures.theme import CONFIG, WIDTH
from netstab.files import write_file

# Of about the same width wherever a file is looked at, which the system's own is not.
FONT = "Arial, Helvetica, 'Liberation Sans', sans-serif"


@cache
def version() -> str:
    """The version of Vega-Lite that Altair writes for, or the newest that there is."""
    wanted = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    known: list[str] = vl_convert.get_vegalite_versions()
    return wanted if wanted in known else known[-1]


@cache
def bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script.

    Always the same for a version, and seconds to put together: so it is kept beside the store.
    """
    kept = paths.kept_script(f"vl-convert-{installed('vl-convert-python')}-{version()}.js")
    script = _checked(kept)
    if script is None:
        script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", version())
        with suppress(OSError):  # nowhere to keep it: it is put together anew next time
            write_file(kept, f"{_digest(script)}\n{script}", shared=True)
    # A block of its own keeps the bundle's many short names out of the page's.
    return "{" + script.replace("</script", r"<\/script") + "}"


def _checked(path: Path) -> str | None:
    """A script that is kept, if it is what was put there."""
    try:
        digest, _, script = path.read_text(encoding="utf-8").partition("\n")
    except (OSError, UnicodeDecodeError):
        return None
    return script if digest == _digest(script) else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def to_svg(spec: dict[str, Any]) -> str:
    """A filled spec as the text of an SVG file, white behind, without what reacts to a pointer."""
    still = _without_hover({**spec, "config": {**CONFIG, "font": FONT}, "padding": 8})
    if still.get("width") == "container":
        still["width"] = WIDTH
    drawn = vl_convert.vegalite_to_svg(json.dumps(still), vl_version=version())
    # A tenth of a pixel is as much as anybody sees.
    drawn = re.sub(r' (?:d|transform)="[^"]*"', lambda found: _shorter(found[0]), drawn)
    return f"{drawn}\n{_seal(spec, drawn)}\n"


def reused(text: str, spec: dict[str, Any]) -> str | None:
    """An SVG file's text if `to_svg` would make just that of the spec; None where it has to."""
    drawn, _, seal = text.rstrip("\n").rpartition("\n")
    return text if seal == _seal(spec, drawn) else None


def _seal(spec: dict[str, Any], drawn: str) -> str:
    """What a drawing was made of and with, and that nobody has changed it, as a comment."""
    source = json.dumps(
        [spec, CONFIG, FONT, installed("vl-convert-python"), version()], sort_keys=True
    )
    digests = [_digest(text)[:16] for text in (source, drawn)]
    return f"<!-- {' '.join(digests)} -->"


def _shorter(attribute: str) -> str:
    return re.sub(r"(\.\d)\d+", r"\1", attribute)


def _without_hover(spec: dict[str, Any]) -> dict[str, Any]:
    """Without the layers whose names say that they are there for a pointer alone."""
    if "spec" in spec:
        return {**spec, "spec": _without_hover(spec["spec"])}
    kept = [layer for layer in spec["layer"] if not layer.get("name", "").startswith("hover")]
    views = {layer.get("name") for layer in kept} | {None}
    params = [p for p in spec.get("params", []) if set(p.get("views", [None])) & views]
    return {**spec, "layer": kept, "params": params}
